# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._postgresql.history_of import (
    history_from,
    raised_to,
    rates_of,
    sizes_per_row,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import RATES, History, Index, Table

GIVEN = {
    "throughput": {"vacuum": 9e6, "reindex": 0, "delete": 5, "analyze": "fast"},
    "deferred": {"postgresql_maintenance": {"vacuum public.a": 2}, "postgresql_backup": {"backup db": 9}},
    "raised": {"public.i": 0.6},
    "bytes_per_row": {"public.a": 30.5, "public.b": None},
}


def test_history_is_read_and_what_is_none_of_ours_left_out() -> None:
    history = history_from(GIVEN)
    assert history == History(True, {"vacuum": 9e6}, {"vacuum public.a": 2}, {"public.i": 0.6}, {"public.a": 30.5})
    assert history_from({}) == History()
    assert history_from({"deferred": [], "throughput": "x", "raised": None}).known


def test_given_rates_win_over_learnt_ones_and_those_over_defaults() -> None:
    rates = rates_of(history_from(GIVEN), {"reindex": 7e6, "vacuum": None})
    assert rates == {"vacuum": 9e6, "reindex": 7e6, "analyze": RATES["analyze"]}


def test_a_threshold_is_raised_only_by_a_rebuild_that_gave_back_little() -> None:
    assert raised_to(1000, 99, 0.3) == 0.4
    assert raised_to(1000, -50, 0.9) == 0.95
    assert raised_to(1000, 100, 0.3) is None
    assert raised_to(1000, 0, None) is None, "it was rebuilt because it was invalid"


def test_sizes_per_row_are_those_of_large_things() -> None:
    tables = [Table(1, "public", "a", bytes=4000, rows=100.0), Table(2, "public", "empty", bytes=9000, rows=-1.0)]
    indexes = [Index(3, "public", "i", 1, bytes=100, rows=100.0), Index(4, "public", "x", 1, bytes=4000, rows=10.0)]
    assert sizes_per_row(tables, indexes, 1000) == {"public.a": 40.0, "public.x": 400.0}
