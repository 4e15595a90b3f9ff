# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import timedelta

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core import clock, errors
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec, run_spec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.policy import decides, policy_hash


def test_a_deadline_counts_monotonic_time_from_when_it_was_read():
    ticks = [100.0]
    deadline = Deadline(clock.now() + timedelta(seconds=60), lambda: ticks[0])
    assert 59 < deadline.left() <= 60 and deadline.fits(50) and not deadline.fits(61)
    ticks[0] += 61  # whatever the wall clock says meanwhile
    assert deadline.expired()
    with pytest.raises(errors.Expired, match=r"the deadline .* has come"):
        deadline.check()


def test_without_a_deadline_everything_fits():
    deadline = Deadline.parse("")
    assert deadline.left() is None and deadline.fits(1e9) and not deadline.expired()
    deadline.check()


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-21T02:00:00", "21.11.2026"])
def test_a_time_without_a_zone_is_refused_with_the_option_and_an_example(text):
    with pytest.raises(errors.BadInput, match=r"run\.deadline: .* write it like 2026-11-21T02:00:00Z"):
        Deadline.parse(text, "run.deadline")


@pytest.mark.parametrize("text", ["2026-11-21T02:00:00Z", "2026-11-21T03:00:00+01:00", " 2026-11-21T02:00:00+00:00 "])
def test_times_are_utc_whatever_their_zone(text):
    assert clock.iso(clock.parse(text)) == "2026-11-21T02:00:00Z"


def test_merging_specifications_keeps_options_and_constraints():
    one = ArgumentSpec({"a": {}}, required_one_of=[("a", "b")], required_by={"a": "b"})
    two = ArgumentSpec({"b": {}}, required_one_of=[("b", "c")], mutually_exclusive=[("b", "c")])
    merged = one.merge(two, run_spec())
    assert set(merged.argument_spec) == {"a", "b", "run"}
    assert merged.constraints["required_one_of"] == [("a", "b"), ("b", "c")]
    assert merged.constraints["mutually_exclusive"] == [("b", "c")] and merged.required_by == {"a": "b"}
    assert one.constraints["required_one_of"] == [("a", "b")]


def test_an_option_given_twice_is_a_mistake():
    with pytest.raises(AssertionError, match="options given twice: a"):
        ArgumentSpec({"a": {}}).update(a={})


def test_each_kind_of_error_has_its_word():
    kinds = {
        name: getattr(errors, name).kind
        for name in ("Refused", "Unreachable", "Stopped", "Expired", "Braked", "BadInput")
    }
    assert kinds == {
        "Refused": "refused", "Unreachable": "unreachable", "Stopped": "stopped", "Expired": "deferred",
        "Braked": "deferred", "BadInput": "bad_input",
    }  # fmt: skip
    assert errors.StoreDenied("no").kind == "failed" and errors.StoreUnreachable("no").kind == "unreachable"


def test_the_policy_is_what_decides_and_nothing_secret():
    prefixes = ("ops_", "postgresql_maintenance_")
    assert decides("postgresql_maintenance_dead_ratio", prefixes) and decides("ops_windows", prefixes)
    for name in ("ops_postgresql", "ops_store_options", "ops_run_id", "postgresql_maintenance_password", "other"):
        assert not decides(name, prefixes)


def test_the_policy_hash_does_not_depend_on_order():
    assert policy_hash({"a": 1, "b": [1]}) == policy_hash({"b": [1], "a": 1}) != policy_hash({"a": 2, "b": [1]})
