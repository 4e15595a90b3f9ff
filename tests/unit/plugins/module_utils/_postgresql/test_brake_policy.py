# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brake's options, and the signals of replicas that need no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.day2.ops.plugins.doc_fragments._brake import ModuleDocFragment
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake_policy import (
    BrakePolicy,
    brake_of,
    brake_spec,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.signals import Replicas
from ansible_collections.day2.ops.plugins.module_utils._redis import brake as redis_brake

ROLES = Path(__file__).resolve().parents[5] / "roles"
PROMETHEUS = {"url": "http://127.0.0.1:9090", "timeout": 5.0}


def given(**options: Any) -> dict[str, Any]:
    checked = ArgumentSpecValidator(brake_spec().argument_spec).validate({"brake": options})
    assert not checked.error_messages, checked.error_messages
    return dict(checked.validated_parameters)


def shape(options: dict[str, Any]) -> dict[str, Any]:
    """What a description and a specification must agree on."""
    return {
        name: (
            option["type"],
            option.get("default"),
            option.get("required", False),
            shape(option.get("suboptions") or option.get("options") or {}),
        )
        for name, option in options.items()
    }


def test_the_defaults_of_the_options_are_those_of_the_policy() -> None:
    assert brake_of(given()) == BrakePolicy()
    assert brake_of({**given(), "lock_timeout": 7.0}).lock_timeout == 7.0


def test_documentation_and_role_say_the_same() -> None:
    specified = shape(brake_spec().argument_spec["brake"]["options"])
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["brake"]["suboptions"]
    assert shape(fragment) == specified
    others = {"redis_maintenance": shape(redis_brake.brake_spec().argument_spec["brake"]["options"])}
    described = 0
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        for name, option in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"][
            "options"
        ].items():
            if name.endswith("_brake") and option.get("options"):
                assert shape(option["options"]) == others.get(path.parts[-3], specified), path
                described += 1
    assert described


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replica_lag": -1}, "brake.replica_lag: -1 is negative"),
        ({"wait": -1}, "brake.wait: -1 is negative"),
        ({"disk_free_bytes": 5}, "brake.disk_free_bytes: nobody says how much is free"),
        ({"disk_capacity_bytes": 5, "disk_available_bytes": 5}, "brake.disk_available_bytes says the same"),
        ({"latency_query": "SELECT 1"}, "brake.latency_query: it has no limit"),
        ({"disk_free_query": "free"}, "brake.disk_free_query: say whom to ask"),
        ({"prometheus": PROMETHEUS}, "brake.prometheus: it has nothing to ask"),
        ({"prometheus": {"url": "x"}, "disk_free_query": "free"}, "brake.prometheus.url: 'x' is no address"),
    ],
)
def test_values_that_cannot_be_meant_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        brake_of(given(**options))
    assert words in str(caught.value)


def test_what_goes_together_is_required_together() -> None:
    for wrong in ({"token": "a", "username": "b", "password": "c"}, {"username": "b"}):
        spec = ArgumentSpecValidator(brake_spec().argument_spec)
        assert spec.validate({"brake": {"prometheus": {**PROMETHEUS, **wrong}}}).error_messages


def limits(**options: Any) -> dict[str, tuple[Optional[float], Optional[float], bool]]:
    return {one.signal: (one.wait, one.stop, one.required) for one in brake_of(given(**options)).limits()}


def test_what_is_looked_at_by_itself_and_what_an_option_asks_for() -> None:
    found = limits()
    assert found["lag"] == (60, 120, True) and found["gone"] == (15, 30, True) and found["blocked"] == (20, 40, True)
    assert found["slots"][:2] == found["latency"][:2] == found["disk"][:2] == (None, None)
    relaxed = limits(required=False, latency=0.2, slot_retained_bytes=100, disk_capacity_bytes=10**12)
    assert relaxed["lag"] == (60, 120, False) and relaxed["held_up"][2] is False
    assert relaxed["latency"] == (0.2, 0.4, True) and relaxed["slots"] == (100, 200, True)
    assert relaxed["disk"] == (0, 0, True)
    assert limits(disk_available_bytes=10**12, disk_free_bytes=5)["disk"] == (5, 5, True)


def test_zero_switches_a_limit_off() -> None:
    found = limits(replica_lag=0, replica_gone=0, blocked_sessions=0, latency=0)
    assert all(found[name][:2] == (None, None) for name in ("lag", "gone", "blocked", "latency"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def replica(name: str = "r1", pid: int = 1, **more: Any) -> dict[str, Any]:
    row = {"hidden": False, "name": name, "key": f"{name} 10.0.0.1", "pid": pid, "state": "streaming"}
    return {**row, "replayed": "0/10", "bytes": 0.0, "seconds": None, **more}


def test_without_replicas_nothing_lags() -> None:
    found = Replicas(None).judge([])  # type: ignore[arg-type]
    assert {name: signal.value for name, signal in found.items()} == {"lag": 0, "lag_bytes": 0, "gone": 0}


def test_the_worst_replica_is_told() -> None:
    found = Replicas(None).judge([replica("a", bytes=5.0, seconds=9.0), replica("b", 2, bytes=7.0, seconds=1.0)])  # type: ignore[arg-type]
    assert (found["lag"].value, found["lag"].who) == (9.0, "a")
    assert (found["lag_bytes"].value, found["lag_bytes"].who) == (7.0, "b")


def test_a_replica_that_hangs_reports_no_delay_and_has_one() -> None:
    clock = Clock()
    seen = Replicas(None, clock)  # type: ignore[arg-type]
    assert seen.judge([replica(bytes=10.0, seconds=0.1)])["lag"].value == 0.1
    clock.now = 30
    assert seen.judge([replica(bytes=90.0, seconds=0.1)])["lag"].value == 30
    clock.now = 31
    assert seen.judge([replica(bytes=90.0, seconds=0.2, replayed="0/20")])["lag"].value == 0.2
    clock.now = 90
    assert seen.judge([replica(replayed="0/30")])["lag"].value == 0
    clock.now = 99
    assert seen.judge([replica(bytes=1.0, replayed="0/30")])["lag"].value == 0


def test_a_replica_that_vanishes_and_comes_back() -> None:
    clock = Clock()
    seen = Replicas(None, clock)  # type: ignore[arg-type]
    late = replica("late", 3, state="catchup")
    assert seen.judge([replica(), replica(pid=2), late])["gone"].value == 0
    clock.now = 5
    assert seen.judge([replica()])["gone"].value == 0
    clock.now = 12
    gone = seen.judge([replica()])["gone"]
    assert (gone.value, gone.who) == (7, "r1")
    # With another process, and before it has caught up: it is there.
    assert seen.judge([replica(), replica(pid=9, state="catchup")])["gone"].value == 0
    clock.now = 20
    assert seen.judge([])["gone"].value == 0
