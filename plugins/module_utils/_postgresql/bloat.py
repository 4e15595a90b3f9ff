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


def useful_by_width(
    rows: float, width: float, widest: int, nulls: bool, fillfactor: int, *, exact: bool = False
) -> Optional[float]:
    """Bytes of a rebuild, from the number of entries and the average width of the keys; None when they tell nothing.

    ``exact``: the key is one column of a fixed width, so that nothing is padded but its end. Deduplication is left out
    of account: it makes real indexes smaller than this, never larger.
    """
    if rows < 0 or widest > WIDEST_BYTES:
        return None
    header = 16 if nulls else 8
    # Keys may be padded up to eight bytes; the line pointer is four.
    row_bytes = math.ceil((header + width) / 8) * 8 + (0 if exact else 8) + 4
    leaves = rows * row_bytes / USABLE_BYTES / achievable(row_bytes, fillfactor)
    return float(leaves * (1 + INNER_SHARE) + 2) * PAGE_BYTES


def useful_by_rows(rows: float, row_bytes: float) -> float:
    """Bytes of a table without bloat, from its rows and the bytes that each one takes with all that belongs to it."""
    return math.ceil(max(0.0, rows) * row_bytes / PAGE_BYTES) * float(PAGE_BYTES)


def row_bytes_by_width(width: float, nulls: bool, columns: int, fillfactor: int) -> float:
    """Bytes that a row takes in a fresh table, from the average width of its values.

    Careful the other way round than for indexes: padding between columns is left out, so that this is rather too
    little, and a table whose statistics were lost is rather vacuumed once in vain than never.
    """
    header = 23 + (math.ceil(columns / 8) if nulls else 0)
    tuple_bytes = math.ceil(header / 8) * 8 + math.ceil(width / 8) * 8 + 4
    usable = (PAGE_BYTES - 24) * max(10, min(fillfactor, 100)) / 100
    fitting = max(1, int(usable // tuple_bytes))
    return PAGE_BYTES / fitting
