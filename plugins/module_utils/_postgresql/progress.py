# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long statement is, from the server's progress views, for people."""

from __future__ import annotations

import time

from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session

EVERY_SECONDS = 2.0
_VIEWS = {
    "pg_stat_progress_vacuum": (
        "SELECT phase, CASE phase WHEN 'scanning heap' THEN heap_blks_scanned WHEN 'vacuuming heap' "
        "THEN heap_blks_vacuumed END::float8 AS done, heap_blks_total::float8 AS total "
        "FROM pg_stat_progress_vacuum WHERE pid = %s"
    ),
    "pg_stat_progress_analyze": (
        "SELECT phase, sample_blks_scanned::float8 AS done, sample_blks_total::float8 AS total "
        "FROM pg_stat_progress_analyze WHERE pid = %s"
    ),
    "pg_stat_progress_create_index": (
        "SELECT phase, CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END::float8 AS done, "
        "CASE WHEN blocks_total > 0 THEN blocks_total ELSE tuples_total END::float8 AS total "
        "FROM pg_stat_progress_create_index WHERE pid = %s"
    ),
}


class Progress:
    """Lines like "reindex public.orders_pkey: building index: loading tuples in tree"."""

    def __init__(self, control: Session, pid: int, view: str, what: str) -> None:
        self._control = control
        self._pid = pid
        self._statement = _VIEWS.get(view, "")
        self._what = what
        self._began = self._told = time.monotonic()
        self._phase = ""

    def tell(self, live: Liveness) -> None:
        now = time.monotonic()
        if not self._statement or now - self._told < EVERY_SECONDS:
            return
        self._told = now
        rows = self._control.rows(self._statement, [self._pid], timeout=5.0)
        if not rows:
            return
        row = rows[0]
        if row["phase"] != self._phase:
            self._phase, self._began = row["phase"], now
        fraction = row["done"] / row["total"] if row["total"] and row["done"] is not None else None
        seconds = now - self._began
        left = seconds * (1 - fraction) / fraction if fraction and seconds > 1 else None
        live.progress(f"{self._what}: {row['phase']}", fraction, left)
