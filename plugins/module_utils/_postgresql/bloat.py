# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a rebuilt index would be. Pure.

Both ways are careful: an index that was just rebuilt must never look bloated, or it would be rebuilt each night.
"""

from __future__ import annotations

import math
from typing import Optional

PAGE_BYTES = 8192
# Page header and the B-tree's own special space.
USABLE_BYTES = PAGE_BYTES - 40
# Values this wide are often stored out of line in the table, and whole in the index: statistics say nothing then.
WIDEST_BYTES = 128
# Inner pages and the meta page, as a share of the leaves.
INNER_SHARE = 0.01


def achievable(row_bytes: float, fillfactor: int) -> float:
    """The leaf density a fresh build reaches, as a ratio: large entries leave room at the end of each page."""
    return max(0.3, min(fillfactor, 100) / 100 - row_bytes / USABLE_BYTES)


def useful_by_density(leaf_pages: int, density: Optional[float], rows: float, fillfactor: int) -> float:
    """Bytes of a rebuild, from the measured average leaf density (percent; NaN or None for an index without leaves)."""
    if not leaf_pages or density is None or math.isnan(density):
        return float(2 * PAGE_BYTES)
    filled = leaf_pages * density / 100 * USABLE_BYTES
    row_bytes = filled / rows if rows >= 1 else 0.0
    leaves = filled / USABLE_BYTES / achievable(row_bytes, fillfactor)
    return float(leaves * (1 + INNER_SHARE) + 1) * PAGE_BYTES


def useful_by_width(rows: float, width: float, widest: int, nulls: bool, fillfactor: int) -> Optional[float]:
    """Bytes of a rebuild, from the number of entries and the average width of the keys; None when they tell nothing.

    Deduplication is left out of account: it makes real indexes smaller than this, never larger.
    """
    if rows < 0 or widest > WIDEST_BYTES:
        return None
    header = 16 if nulls else 8
    # Each key may be padded up to eight bytes; the line pointer is four.
    row_bytes = math.ceil((header + width) / 8) * 8 + 8 + 4
    leaves = rows * row_bytes / USABLE_BYTES / achievable(row_bytes, fillfactor)
    return float(leaves * (1 + INNER_SHARE) + 2) * PAGE_BYTES
