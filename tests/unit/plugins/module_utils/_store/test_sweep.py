# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What killed runs left: found, planned and removed, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, StoreDenied
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._store import sweep
from ansible_collections.day2.ops.plugins.module_utils._store.base import Partial, Store
from ansible_collections.day2.ops.plugins.module_utils._store.lease import Lease, claim, identity, lease_key
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from ansible_collections.day2.ops.plugins.modules import store_sweep
from tests.lab.s3 import S3

NOW = datetime.now(timezone.utc).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAY = 86400.0


def elsewhere(owner: str) -> Any:
    return replace(identity(owner), boot_id="another-boot")


def leave_partial(params: dict[str, Any], key: str) -> None:
    """What a killed put leaves."""
    store = open_store(params, read_only=False)
    store._abort = lambda *_: None  # type: ignore[attr-defined]

    def killed() -> Any:
        yield b"x" * 20 * 1024 * 1024
        raise KeyboardInterrupt

    if params["store"].startswith("s3://"):
        with pytest.raises(KeyboardInterrupt):
            store.put(key, killed())
    else:
        store.put(key, b"half")
        store.delete(key)
        folder, _slash, name = f"{params['store']}/{key}".rpartition("/")
        with open(f"{folder}/.partial-0123-{name}", "wb") as file:
            file.write(b"half")


def run(params: dict[str, Any], *, check_mode: bool = False, **options: Any) -> Any:
    given = {"target_id": None, "older_than_seconds": 0, "run": {}, **params, **options}
    return store_sweep.work(Run(given, check_mode, Deadline(None), Liveness()))


def brief(actions: list[Any]) -> list[tuple[str, str, str]]:
    return [(action["action"], action["subject"].partition(" ")[0], action["status"]) for action in actions]


def test_a_sweep(params: dict[str, Any], store: Store) -> None:
    claim(store, "dead", elsewhere("day2/run-1"), NOW - HOUR)
    # Not as of NOW: a session of tests may take longer than a lease lives.
    claim(store, "live", elsewhere("day2/run-2"), datetime.now(timezone.utc).replace(microsecond=0))
    leave_partial(params, "v1/backups/dead/set/base")
    leave_partial(params, "v1/backups/live/set/base")
    store.put("v1/backups/dead/set/manifest.json", b"{}")
    removing = "abort_upload" if params["store"].startswith("s3://") else "delete_partial"

    planned = run(params, check_mode=True)
    steps = [
        ("delete_lease", "v1/leases/dead/lease.json"),
        (removing, "v1/backups/dead/set/base"),
        (removing, "v1/backups/live/set/base"),
    ]
    assert brief(planned["actions"]) == [(*steps[0], "planned"), (*steps[1], "planned"), (*steps[2], "skipped")]
    assert (planned["checks"][0]["value"], planned["checks"][0]["status"]) == (2, "warn")
    assert "held by day2/run-2" in planned["actions"][2]["reason"]

    done = run(params)
    assert brief(done["actions"]) == [(*steps[0], "done"), (*steps[1], "done"), (*steps[2], "skipped")]
    assert [a["before"] for a in done["actions"]] == [a["before"] for a in planned["actions"]]
    assert [a["reason"] for a in done["actions"]] == [a["reason"] for a in planned["actions"]]
    assert (done["checks"][0]["value"], done["checks"][0]["status"]) == (0, "ok")
    assert [entry.key for entry in store.list("")] == ["v1/backups/dead/set/manifest.json", lease_key("live")]

    assert brief(run(params)["actions"]) == [(*steps[2], "skipped")]


def test_one_target_only(params: dict[str, Any], store: Store) -> None:
    for target in ("a", "b"):
        claim(store, target, elsewhere("day2/run-1"), NOW - HOUR)
        leave_partial(params, f"v1/backups/{target}/set/base")
    assert {action["status"] for action in run(params, target_id="a")["actions"]} == {"done"}
    assert [entry.key for entry in store.list("")] == [lease_key("b")]
    assert [partial.key for partial in store.partials("")] == ["v1/backups/b/set/base"]


def test_young_uploads_stay(params: dict[str, Any], store: Store) -> None:
    leave_partial(params, "v1/backups/a/set/base")
    # The lab's S3 says of every upload that it began in 2010.
    assert run(params, older_than_seconds=10**9)["actions"] == []
    assert len(list(store.partials(""))) == 1


def test_an_empty_store(params: dict[str, Any]) -> None:
    result = run(params)
    assert result["actions"] == [] and result["checks"][0]["status"] == "ok"


@pytest.mark.parametrize("options", [{"older_than_seconds": -1}, {"target_id": "../a"}])
def test_bad_input(params: dict[str, Any], options: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=rf"^{next(iter(options))}: "):
        run(params, **options)


def test_a_lease_taken_up_meanwhile_stays(params: dict[str, Any], store: Store) -> None:
    claim(store, "a", elsewhere("day2/run-1"), NOW - HOUR)
    steps = sweep.plan(sweep.find(store, None, NOW), DAY)
    claim(store, "a", elsewhere("day2/run-2"), NOW)
    sweep.act(store, steps, Run({"run": {}}, False, Deadline(None), Liveness()))
    assert steps[0].action["status"] == "skipped" and "taken up again" in steps[0].action["reason"]
    assert [entry.key for entry in store.list("")] == [lease_key("a")]


def test_what_comes_after_the_deadline_is_deferred(store: Store) -> None:
    claim(store, "a", elsewhere("day2/run-1"), NOW - HOUR)
    steps = sweep.plan(sweep.find(store, None, NOW), DAY)
    sweep.act(store, steps, Run({"run": {}}, False, Deadline(NOW - HOUR), Liveness()))
    assert steps[0].action["status"] == "deferred"


def test_one_failure_does_not_stop_the_others(s3: S3, s3_params: dict[str, Any]) -> None:
    store = open_store(s3_params, read_only=False)
    for target in ("a", "b"):
        claim(store, target, elsewhere("day2/run-1"), NOW - HOUR)
    s3.faults(deny=True, methods=["DELETE"], contains="leases/a")
    with pytest.raises(StoreDenied, match=r"Grant s3:DeleteObject on it") as error:
        run(s3_params)
    assert [action["status"] for action in error.value.result["actions"]] == ["failed", "done"]


def test_only_the_documented_grants_are_used(s3: S3, s3_params: dict[str, Any]) -> None:
    """Check mode sends nothing but GET and HEAD."""
    leave_partial(s3_params, "v1/backups/a/set/base")
    claim(open_store(s3_params, read_only=False), "b", elsewhere("day2/run-1"), NOW - HOUR)
    s3.forget()
    assert len(run(s3_params, check_mode=True)["actions"]) == 2
    assert {method for method, _path, _status in s3.requests()} == {"GET"}


@pytest.mark.parametrize(("age", "planned"), [(DAY - 1, 0), (DAY, 1)])
def test_the_age_that_counts(age: float, planned: int) -> None:
    partial = Partial("upload", "v1/backups/a/base", "id", NOW - timedelta(seconds=age))
    steps = sweep.plan(sweep.State("s3://b", NOW, (), (partial,)), DAY)
    assert len(steps) == planned


def test_a_lease_that_holds_is_not_planned() -> None:
    held = Lease("a", elsewhere("day2/run-1"), NOW, NOW + HOUR)
    assert sweep.plan(sweep.State("s3://b", NOW, (held,), ()), DAY) == []
