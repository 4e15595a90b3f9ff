# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims on a target: one holder at a time, whatever happens to it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused, Stopped, StoreError
from ansible_collections.day2.ops.plugins.module_utils._store import lease
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.lease import Holder, claim, identity, release, renew
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from ansible_collections.day2.ops.plugins.module_utils._store.stop import StopOrder, clear_stop, put_stop, read_stop
from tests.lab.s3 import S3

NOW = datetime(2026, 11, 21, 2, tzinfo=timezone.utc)
LATER = NOW + timedelta(minutes=5)
EXPIRED = NOW + timedelta(minutes=10)


def elsewhere(owner: str) -> Holder:
    """A holder on another host, of whose process nothing is known."""
    return replace(identity(owner, "nightly.yml"), host="other", boot_id="another-boot")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def test_the_lease_in_the_store(store: Store) -> None:
    me = identity("day2/run-1", "nightly.yml")
    taken = claim(store, "db1", me, NOW)
    assert (taken.taken, taken.expires) == (NOW, EXPIRED)
    body = json.loads(store.get("v1/leases/db1/lease.json").data)
    assert body.pop("claim") and body.pop("boot_id") and body.pop("pid_ns") and body.pop("process_start") > 0
    assert body.pop("pid") and body.pop("host")
    assert body == {
        "schema": "day2.ops/lease/1",
        "owner": "day2/run-1",
        "playbook": "nightly.yml",
        "taken": "2026-11-21T02:00:00Z",
        "expires": "2026-11-21T02:10:00Z",
    }


def test_the_second_one_is_told_who_holds_it(store: Store) -> None:
    claim(store, "db1", elsewhere("day2/run-1"), NOW)
    with pytest.raises(Refused) as error:
        claim(store, "db1", identity("day2/run-2"), LATER)
    assert str(error.value) == (
        "Failed to claim db1: it is held by day2/run-1 (playbook nightly.yml, on other) since 2026-11-21T02:00:00Z, "
        "until 2026-11-21T02:10:00Z unless renewed. Wait for that run or stop it."
    )
    claim(store, "db2", identity("day2/run-2"), LATER)


def test_one_run_excludes_itself(store: Store) -> None:
    """Two inventory hosts with one target_id, or two slices of one workflow."""
    claim(store, "db1", identity("day2/run-1"), NOW)
    with pytest.raises(Refused):
        claim(store, "db1", identity("day2/run-1"), NOW)


def test_claiming_again_renews(store: Store) -> None:
    me = identity("day2/run-1")
    claim(store, "db1", me, NOW)
    assert claim(store, "db1", me, LATER).expires == LATER + timedelta(minutes=10)


def test_one_of_eight_wins(params: dict[str, Any]) -> None:
    won: list[str] = []
    lost: list[Exception] = []
    start = threading.Barrier(8)

    def run(number: int) -> None:
        store, me = open_store(params, read_only=False), elsewhere(f"day2/run-{number}")
        start.wait()
        try:
            won.append(claim(store, "db1", me, NOW).holder.owner)
        except Refused as error:
            lost.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(lost) == 7
    assert all(f"held by {won[0]} " in str(error) for error in lost)


def test_one_of_eight_takes_over(params: dict[str, Any]) -> None:
    claim(open_store(params, read_only=False), "db1", elsewhere("day2/run-old"), NOW)
    won: list[str] = []
    start = threading.Barrier(8)

    def run(number: int) -> None:
        store, me = open_store(params, read_only=False), elsewhere(f"day2/run-{number}")
        start.wait()
        with suppress(Refused):
            won.append(claim(store, "db1", me, EXPIRED).holder.owner)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_an_expired_lease_is_taken_over_and_its_holder_stops(store: Store) -> None:
    old, new = elsewhere("day2/run-1"), elsewhere("day2/run-2")
    claim(store, "db1", old, NOW)
    with pytest.raises(Refused):
        claim(store, "db1", new, EXPIRED - timedelta(seconds=1))
    claim(store, "db1", new, EXPIRED)
    with pytest.raises(Stopped, match=r"the lease of db1 is lost to day2/run-2"):
        renew(store, "db1", old, EXPIRED)
    assert not release(store, "db1", old)
    assert release(store, "db1", new)


def test_renewing_holds_it(store: Store) -> None:
    me = elsewhere("day2/run-1")
    claim(store, "db1", me, NOW)
    renewed = renew(store, "db1", me, LATER)
    assert (renewed.taken, renewed.expires) == (NOW, LATER + timedelta(minutes=10))
    with pytest.raises(Refused):
        claim(store, "db1", elsewhere("day2/run-2"), EXPIRED)
    # Nobody took it meanwhile: a run that was paused goes on.
    assert renew(store, "db1", me, LATER + timedelta(hours=1)).expires == LATER + timedelta(hours=1, minutes=10)


def test_a_lease_that_vanished_is_lost(store: Store) -> None:
    me = identity("day2/run-1")
    claim(store, "db1", me, NOW)
    assert release(store, "db1", me) and not release(store, "db1", me)
    with pytest.raises(Stopped, match="not in the store any more"):
        renew(store, "db1", me, LATER)


def test_a_dead_process_frees_its_lease_at_once(store: Store, process: subprocess.Popen[bytes]) -> None:
    claim(store, "db1", identity("day2/run-1", pid=process.pid), NOW)
    with pytest.raises(Refused):
        claim(store, "db1", identity("day2/run-2"), NOW)
    process.kill()
    # A zombie until its parent looks, but dead all the same.
    while not lease.gone(identity("x", pid=process.pid)) and process.poll() is None:
        pass
    process.wait()
    claim(store, "db1", identity("day2/run-2"), NOW)


def test_nothing_is_claimed_for_a_process_that_is_gone(store: Store, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    with pytest.raises(Stopped, match="the controller of this run is gone"):
        claim(store, "db1", identity("day2/run-1", pid=process.pid), NOW)
    assert lease.read_lease(store, "db1") is None


def test_which_processes_are_gone(process: subprocess.Popen[bytes]) -> None:
    alive = identity("day2/run-1", pid=process.pid)
    assert not lease.gone(alive)
    assert lease.gone(replace(alive, process_start=alive.process_start - 1)), "the process id was used again"
    assert not lease.gone(identity("day2/run-1", pid=1)), "somebody else's process"
    process.kill()
    process.wait()
    assert lease.gone(alive)
    for unknown in ({"boot_id": "other"}, {"boot_id": ""}, {"pid_ns": "pid:[1]"}, {"pid_ns": ""}, {"process_start": 0}):
        assert not lease.gone(replace(alive, **unknown)), unknown  # type: ignore[arg-type]


def test_without_proc_only_expiry_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_text", lambda path: "")
    monkeypatch.setattr(lease, "_pid_namespace", lambda: "")
    me = identity("day2/run-1", pid=999_999_999)
    assert (me.boot_id, me.process_start) == ("", 0) and not lease.gone(me)


def test_lost_replies_do_not_lose_the_lease(s3: S3, s3_params: dict[str, Any]) -> None:
    """The put is carried out, the answer gets lost, the repetition finds its own work in the way."""
    store, me = open_store(s3_params, read_only=False), identity("day2/run-1")
    s3.faults(lose_replies=1, methods=["PUT"])
    assert claim(store, "db1", me, NOW).holder == me
    s3.faults(lose_replies=1, methods=["PUT"])
    assert renew(store, "db1", me, LATER).expires == LATER + timedelta(minutes=10)
    assert release(store, "db1", me)


def test_a_store_without_conditions_is_refused(s3: S3, s3_params: dict[str, Any]) -> None:
    store = open_store(s3_params, read_only=False)
    s3.faults(ignore_conditions=True)
    with pytest.raises(Refused, match=r"ignores conditional puts .* or set ops_lease to false"):
        claim(store, "db1", identity("day2/run-1"), NOW)
    assert list(store.list("")) == []


def test_a_lease_nobody_understands_is_respected(store: Store) -> None:
    for data in (b"", b"[]", b"{}", b'{"schema": "day2.ops/lease/2"}'):
        store.put("v1/leases/db1/lease.json", data)
        with pytest.raises(StoreError, match=r"^Failed to read .*lease\.json: "):
            claim(store, "db1", identity("day2/run-1"), NOW)


def test_names_that_are_no_target(store: Store) -> None:
    for target in ("", "_all", ".db", "a/b", "a b", "ümlaut", "a\n", "a" * 201):
        with pytest.raises(BadInput, match=r"^target_id: "):
            claim(store, target, identity("day2/run-1"), NOW)


STOP_ORDERS = [
    (b'{"reason": "disk swap", "by": "ann"}', ("db1", "disk swap", None, "ann")),
    (b'{"reason": "x", "until": "2026-11-21T03:00:00Z"}', ("db1", "x", NOW + timedelta(hours=1), "")),
    (b'{"reason": "x", "until": "2026-11-21T02:00:00Z"}', None),
    (b'{"reason": "x", "until": "soon"}', ("db1", '{"reason": "x", "until": "soon"}', None, "")),
    (b"do not touch\n", ("db1", "do not touch", None, "")),
    (b"", ("db1", "no reason given", None, "")),
    (b"{}", ("db1", "no reason given", None, "")),
    (b"\xff", ("db1", "\ufffd", None, "")),
]


def test_stop_orders(store: Store) -> None:
    for data, order in STOP_ORDERS:
        store.put("v1/stop/db1", data)
        found = read_stop(store, "db1", NOW)
        assert (found and (found.scope, found.reason, found.until, found.by)) == order
    assert read_stop(store, "db2", NOW) is None


def test_the_fleet_stops(store: Store) -> None:
    assert read_stop(store, "db1", NOW) is None
    put_stop(store, "_all", "storage is failing", by="ann")
    put_stop(store, "db1", "over", until=NOW)
    assert read_stop(store, "db1", NOW) == StopOrder("_all", "storage is failing", None, "ann")
    put_stop(store, "db1", "longer", until=LATER)
    assert read_stop(store, "db1", NOW) == StopOrder("db1", "longer", LATER, "")
    for scope in ("_all", "db1"):
        clear_stop(store, scope)
    assert read_stop(store, "db1", NOW) is None
