# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance on every PostgreSQL: what differs between them is what is found, locked, left behind and cleaned up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab.fixtures import all_majors
from tests.unit.plugins.module_utils._postgresql import test_act, test_find, test_pitfalls
from tests.unit.plugins.module_utils._postgresql.place import Place, hold, place, slow
from tests.unit.plugins.module_utils._postgresql.test_find import bloated, kinds, lost

__all__ = ["bloated", "hold", "kinds", "lost", "place", "slow"]
pytestmark = pytest.mark.lab

ON_A_PLACE: list[Callable[[Place], None]] = [
    test_act.test_every_kind_of_leftover_is_removed,
    test_act.test_the_first_lock_of_a_rebuild_is_tried_a_few_times_and_given_up,
    test_act.test_the_waits_of_a_rebuild_for_others_are_not_cut_by_the_lock_timeout,
    test_act.test_a_vacuum_that_removed_nothing_has_failed_and_names_the_holder,
    test_act.test_connections_of_one_run_do_not_brake_each_other,
    test_pitfalls.test_space_that_can_be_used_again_is_not_called_freed,
]


@all_majors
@pytest.mark.parametrize("test", ON_A_PLACE, ids=lambda test: test.__name__)
def test_the_same_everywhere(place: Place, test: Callable[[Place], None]) -> None:
    test(place)


@all_majors
@pytest.mark.parametrize(("blocker", "phase"), test_pitfalls.PHASES, ids=["writers", "snapshots", "readers"])
def test_killed_in_any_phase(place: Place, blocker: str, phase: str) -> None:
    test_pitfalls.test_killed_in_any_phase_the_next_run_leaves_no_invalid_index(place, blocker, phase)


@all_majors
@pytest.mark.parametrize("vacuumed", [False, True])
def test_what_a_rebuild_brings_is_predicted(place: Place, vacuumed: bool) -> None:
    test_pitfalls.test_what_a_rebuild_brings_is_predicted(place, vacuumed)


@all_majors
def test_every_kind_of_index(kinds: Place) -> None:
    test_find.test_every_kind_of_index_is_judged_by_what_can_tell(kinds)


@all_majors
def test_without_statistics(lost: Place) -> None:
    test_find.test_without_statistics_size_tells_which_table_is_bloated(lost)
