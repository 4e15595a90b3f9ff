# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brake on real servers: each signal while it is fine, at its limit, beyond it, and unreadable."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Braked, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import finish
from ansible_collections.day2.ops.plugins.module_utils._postgresql import brake as module
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, brake_of, brake_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from tests.lab import demo
from tests.lab import module as modules
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres
from tests.lab.processes import children, wait_until
from tests.lab.prometheus import Prometheus

pytestmark = pytest.mark.lab
MB = 1 << 20


@dataclass
class Place:
    """A database, and brakes on it: with little patience, as no test has much of it."""

    database: Database
    opened: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def run(self, user: str = demo.MAINTENANCE, login: Optional[dict[str, Any]] = None) -> Run:
        options = {name: one.get("default") for name, one in postgresql_spec().argument_spec.items()}
        params = {**options, **(login or self.database.login(user)), "run": {"id": "b1", "target": "shop"}}
        return Run(params, False, Deadline(None), Liveness())

    def brake(
        self,
        lock_timeout: float = 2.0,
        user: str = demo.MAINTENANCE,
        login: Optional[dict[str, Any]] = None,
        **options: Any,
    ) -> Brake:
        checked = ArgumentSpecValidator(brake_spec().argument_spec).validate({"brake": {"wait": 0, **options}})
        assert not checked.error_messages, checked.error_messages
        run = self.run(user, login)
        policy = brake_of({**checked.validated_parameters, "lock_timeout": lock_timeout})
        brake = Brake(run, self.session("watch", run), policy)
        self.opened.callback(brake.close)
        return brake

    def session(self, name: str, run: Optional[Run] = None, *, act: bool = False) -> Session:
        return self.opened.enter_context(contextlib.closing(connect(run or self.run(), name, act=act)))

    def write(self, megabytes: float) -> None:
        """About so much WAL."""
        rows = int(megabytes * 1000)
        text = "(SELECT string_agg(md5(m::text), '') FROM generate_series(1, 31) m)"
        self.database.execute(f"INSERT INTO filler SELECT {text} FROM generate_series(1, {rows}) n")


@pytest.fixture(autouse=True)
def nothing_is_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(module, "BRIDGE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def primary(lab: Lab, pg: Postgres) -> Iterator[Postgres]:
    server = lab.postgres(pg.major, "braked", {"wal_level": "logical", "wal_receiver_status_interval": 1})
    demo.create_roles(server)
    lab.standby(server, "braked-replica")
    yield server
    for one in (*server.standbys, server):
        one.stop("immediate")


@pytest.fixture
def replica(primary: Postgres) -> Postgres:
    standby = primary.standbys[0]
    standby.start()
    wait_until(
        lambda: (
            primary.value("SELECT state FROM pg_stat_replication WHERE application_name = 'braked-replica'")
            == "streaming"
        ),
        "the replica to stream",
    )
    standby.execute("SELECT pg_wal_replay_resume() WHERE pg_is_wal_replay_paused()")
    primary.caught_up(standby)
    return standby


@pytest.fixture
def place(primary: Postgres, new_database: Callable[..., Database]) -> Iterator[Place]:
    yield from opened(new_database(primary))


@pytest.fixture
def alone(pg18: Postgres, new_database: Callable[..., Database]) -> Iterator[Place]:
    """On a server without replicas, as many hosted ones are."""
    yield from opened(new_database(pg18))


def opened(database: Database) -> Iterator[Place]:
    database.execute("CREATE TABLE filler (text text); CREATE TABLE orders (id int PRIMARY KEY)")
    made = Place(database)
    with made.opened:
        yield made


def value(brake: Brake, name: str) -> Optional[float]:
    return brake._known[name][0].value


def test_a_quiet_server_lets_work_go_at_full_speed(place: Place, replica: Postgres) -> None:
    brake = place.brake()
    brake.start()
    began = time.monotonic()
    brake.clear()
    brake.watch(brake._control.pid)
    assert time.monotonic() - began < 0.5
    assert brake.pace() == 1.0 and brake.told() == {} and brake.unknown == set()


def test_a_replica_that_is_behind(place: Place, replica: Postgres) -> None:
    brake = place.brake(replica_lag=1.5, replica_lag_bytes=0)
    brake.start()
    replica.execute("SELECT pg_wal_replay_pause()")
    place.write(0.1)
    brake.clear()
    time.sleep(1.7)
    with pytest.raises(Braked, match=r"replica braked-replica is \d s behind \(limit 2 s\)"):
        brake.clear()
    assert brake.pace() == 0.0
    brake.watch(0)
    time.sleep(1.4)
    brake._every = 0
    with pytest.raises(Braked, match=r"is \d s behind \(limit 3 s\)"):
        brake.watch(0)
    assert "replica braked-replica is" in str(brake.told()["braked_by"]) and brake.told() == {}


def test_work_goes_on_once_the_replica_has_caught_up(place: Place, replica: Postgres) -> None:
    brake = place.brake(replica_lag_bytes=MB, replica_lag=0, wait=20)
    brake.start()
    replica.execute("SELECT pg_wal_replay_pause()")
    place.write(0.7)
    brake.clear()
    assert 0.0 < brake.pace() < 1.0
    place.write(1)
    timer = threading.Timer(1.5, lambda: replica.execute("SELECT pg_wal_replay_resume()"))
    timer.start()
    began = time.monotonic()
    brake.clear()
    waited = time.monotonic() - began
    assert 1.0 < waited < 6
    action = finish(types.VACUUM.plan("orders", "due"), {"seconds": 1.0})
    brake.tell(action, types.VACUUM)
    assert abs(float(action["after"]["braked_seconds"]) - waited) < 0.5
    assert "bytes behind (limit 1048576)" in action["after"]["braked_by"] and action["after"]["seconds"] == 1.0


def test_bytes_far_behind_cancel_what_runs(place: Place, replica: Postgres) -> None:
    brake = place.brake(replica_lag_bytes=MB, replica_lag=0)
    brake.start()
    replica.execute("SELECT pg_wal_replay_pause()")
    place.write(2.5)
    with pytest.raises(Braked, match=r"bytes behind \(limit 2097152\)"):
        brake.watch(0)


def test_a_replica_that_hangs_is_behind(place: Place, replica: Postgres) -> None:
    brake = place.brake(replica_lag=1, replica_lag_bytes=0)
    brake.start()
    assert replica.process is not None
    receiver = next(
        one for one in children(replica.process.pid) if b"walreceiver" in Path(f"/proc/{one.pid}/cmdline").read_bytes()
    )
    os.kill(receiver.pid, signal.SIGSTOP)
    try:
        place.write(0.1)
        brake.clear()
        time.sleep(1.3)
        with pytest.raises(Braked, match=r"replica braked-replica is \d s behind"):
            brake.clear()
    finally:
        os.kill(receiver.pid, signal.SIGCONT)


def test_a_replica_that_vanishes_and_comes_back(place: Place, replica: Postgres) -> None:
    brake = place.brake(replica_gone=1.5)
    brake.start()
    replica.stop("immediate")
    brake.clear()
    time.sleep(1.6)
    with pytest.raises(Braked, match="replica braked-replica, there when the work began, is gone for 2 s"):
        brake.clear()
    brake.watch(0)
    time.sleep(1.5)
    brake._every = 0
    with pytest.raises(Braked, match=r"is gone for \d s \(limit 3 s\)"):
        brake.watch(0)
    replica.start()
    wait_until(lambda: value_after(brake, "gone") == 0, "the replica to be seen again")
    brake.clear()


def value_after(brake: Brake, name: str) -> Optional[float]:
    brake._read(0)
    return value(brake, name)


def test_hidden_replicas_are_refused_with_the_statement_that_helps(place: Place, replica: Postgres) -> None:
    place.database.postgres.execute("DROP ROLE IF EXISTS blind")
    place.database.postgres.create_role("blind")
    with pytest.raises(Refused) as caught:
        place.brake(user="blind").start()
    assert "the lag of replicas in seconds could not be read: replicas are hidden from this user" in str(caught.value)
    assert str(caught.value).endswith("run: GRANT pg_monitor TO blind; or set brake.required to false.")

    told = place.brake(user="blind", required=False)
    told.start()
    told.clear()
    assert told.pace() == 1.0 and told.told() == {"unread_signals": "gone, lag, lag_bytes"}


def test_where_nothing_replicates_nothing_is_hidden(alone: Place) -> None:
    alone.database.postgres.execute("DROP ROLE IF EXISTS blind")
    alone.database.postgres.create_role("blind")
    brake = alone.brake(user="blind")
    brake.start()
    brake.clear()
    assert value(brake, "lag") == value(brake, "gone") == 0 and brake.unknown == set()


def test_a_brake_on_a_standby(place: Place, replica: Postgres) -> None:
    login = {**replica.login("postgres", demo.MAINTENANCE)}
    brake = place.brake(login=login, slot_retained_bytes=MB)
    brake.start()
    brake.clear()
    assert brake.unknown == set()


@contextlib.contextmanager
def queue(place: Place, waiting: int) -> Iterator[None]:
    """So many sessions that wait for a lock which another one holds."""
    holder = place.database.connect()
    holder.cursor().execute("BEGIN; LOCK TABLE filler")
    wait = "BEGIN; LOCK TABLE filler; ROLLBACK"
    threads = [threading.Thread(target=lambda: place.database.execute(wait)) for _ in range(waiting)]
    for thread in threads:
        thread.start()
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'filler'::regclass"
    try:
        wait_until(lambda: place.database.value(query) == waiting, "the queue")
        yield
    finally:
        holder.close()
        for thread in threads:
            thread.join(10)


def test_sessions_that_wait_for_locks(alone: Place) -> None:
    brake = alone.brake(blocked_sessions=2)
    brake.start()
    with queue(alone, 1):
        brake.clear()
        assert brake.pace() == 1.0
    with queue(alone, 2), pytest.raises(Braked, match=r"2 sessions wait for locks \(limit 2\)"):
        brake.clear()
    with queue(alone, 4), pytest.raises(Braked, match=r"4 sessions wait for locks \(limit 4\)"):
        brake.watch(0)
    brake.clear()


@pytest.mark.parametrize("named", [True, False], ids=["one process", "all of the run"])
def test_who_waits_for_us_is_let_through_in_time(alone: Place, named: bool) -> None:
    brake = alone.brake(lock_timeout=1.0)
    brake.start()
    work = alone.session("work", act=True)
    alone.database.execute(f"GRANT ALL ON filler TO {demo.MAINTENANCE}")
    work.rows("BEGIN; LOCK TABLE filler IN ACCESS EXCLUSIVE MODE")
    began = time.monotonic()
    waiter = threading.Thread(target=lambda: alone.database.execute("SELECT count(*) FROM filler"))
    waiter.start()
    with pytest.raises(Braked, match="another session waited"):
        while True:
            brake.watch(work.pid if named else 0)
            assert time.monotonic() - began < 5
            time.sleep(0.05)
    work.rows("ROLLBACK")
    waiter.join()
    assert time.monotonic() - began < 1.0 + 0.25


def test_our_own_processes_may_wait_for_each_other(alone: Place) -> None:
    brake = alone.brake(lock_timeout=0.2, blocked_sessions=1)
    alone.database.execute(f"GRANT ALL ON filler TO {demo.MAINTENANCE}")
    first, second = alone.session("one", act=True), alone.session("two", act=True)
    first.rows("BEGIN; LOCK TABLE filler")
    waiter = threading.Thread(target=lambda: second.rows("BEGIN; LOCK TABLE filler"))
    waiter.start()
    time.sleep(1)
    brake.clear()
    for pid in (0, first.pid):
        brake._every = 0
        brake.watch(pid)
    first.rows("ROLLBACK")
    waiter.join()


def test_waiting_for_a_lock_ourselves_has_an_end(alone: Place) -> None:
    brake = alone.brake(lock_timeout=0.3)
    alone.database.execute(f"GRANT ALL ON filler TO {demo.MAINTENANCE}")
    work = alone.session("work", act=True)
    with alone.database.connect(autocommit=False) as other:
        other.cursor().execute("LOCK TABLE filler")
        work.rows("BEGIN")
        with pytest.raises(Braked, match="it waited 1 s for its lock"):
            work.run("LOCK TABLE filler", settings={"lock_timeout": "0"}, watch=lambda: brake.watch(work.pid))
        other.rollback()
    other.close()


def test_wal_that_a_slot_keeps(place: Place, primary: Postgres, lab: Lab) -> None:
    subscriber = lab.subscriber(primary, "braked-subscriber")
    subscriber.create_database(place.database.name)
    subscriber.execute("CREATE TABLE filler (text text)", dbname=place.database.name)
    primary.publish(place.database.name, "public.filler")
    subscription = subscriber.subscribe(primary, place.database.name)
    brake = place.brake(slot_retained_bytes=4 * MB, replica_lag_bytes=0)
    brake.start()
    brake.clear()
    subscription.pause()
    place.write(2.5)
    brake.clear()
    assert 0 < brake.pace() < 1
    place.write(2.5)
    with pytest.raises(Braked, match=r"slot lab keeps \d+ bytes of WAL \(limit 4194304\)"):
        brake.clear()
    place.write(4)
    with pytest.raises(Braked, match=r"\(limit 8388608\)"):
        brake._every = 0
        brake.watch(0)

    # The module leaves its work, and does it once the subscriber is back.
    make_due(place)
    arguments = {**place.database.login(demo.MAINTENANCE), "operations": ["vacuum"], "tables": ["due"]}
    arguments["brake"] = {"slot_retained_bytes": 4 * MB, "wait": 0.5}
    action = modules.start("postgresql_maintenance", arguments).result()["actions"][0]
    assert action["status"] == "deferred" and "slot lab keeps" in action["reason"]
    assert "slot lab keeps" in action["after"]["braked_by"] and action["after"]["braked_seconds"] >= 0.5
    subscription.resume()
    subscription.caught_up()

    def released() -> bool:
        primary.execute("CHECKPOINT")
        return subscription.retained() < MB

    wait_until(released, "the slot to let go", every=0.2)
    brake.clear()
    action = modules.start("postgresql_maintenance", arguments).result()["actions"][0]
    assert action["status"] == "done" and "braked_by" not in action["after"]
    subscription.drop()
    subscriber.stop("immediate")


def make_due(place: Place, rows: int = 20_000) -> None:
    place.database.execute(
        "CREATE TABLE due (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off);"
        f"INSERT INTO due SELECT n, repeat('x', 40) FROM generate_series(1, {rows}) n;"
        f"ALTER TABLE due OWNER TO {demo.OWNER}; DELETE FROM due WHERE id % 2 = 0"
    )


def test_the_latency_of_small_queries(alone: Place, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.1)
    with lab.proxy(alone.database.postgres) as proxy:
        login = {**alone.database.login(demo.MAINTENANCE), "login_host": proxy.host, "login_port": proxy.port}
        brake = alone.brake(login=login, latency=0.15)
        brake.start()
        brake.clear()
        assert (value(brake, "latency") or 1) < 0.07 and brake.pace() == 1.0
        proxy.latency(0.2)
        wait_until(lambda: (value_after(brake, "latency") or 0) >= 0.15, "the probe to notice", 10)
        with pytest.raises(Braked, match=r"a small query takes \d\.\d\d s \(limit 0\.15 s\)"):
            brake.clear()
        proxy.latency(0.4)
        wait_until(lambda: (value_after(brake, "latency") or 0) >= 0.3, "the probe to notice", 10)
        with pytest.raises(Braked, match=r"\(limit 0\.30 s\)"):
            brake._every = 0
            brake.watch(0)
        proxy.resume()
        wait_until(lambda: (value_after(brake, "latency") or 1) < 0.07, "the probe to notice", 10)
        brake.clear()
        brake.close()


def test_a_query_of_ones_own(alone: Place) -> None:
    brake = alone.brake(latency=0.1, latency_query="SELECT pg_sleep(0.15)")
    brake.start()
    with pytest.raises(Braked, match=r"a small query takes 0\.1\d s"):
        brake.clear()
    endless = alone.brake(latency=0.1, latency_query="SELECT pg_sleep(60)")
    with pytest.raises(Braked, match=r"a small query takes 1\.\d\d s \(limit 0\.10 s\)"):
        endless.clear()
    with pytest.raises(Refused, match=r"brake\.latency_query fails: relation .* does not exist; or leave out"):
        alone.brake(latency=1, latency_query="SELECT * FROM no_such").start()
    with pytest.raises(Refused, match=r"run: GRANT SELECT ON filler TO day2_maintenance; or leave out the option"):
        alone.brake(latency=1, latency_query="SELECT * FROM filler").start()
    with pytest.raises(Refused, match="cannot execute INSERT in a read-only transaction"):
        alone.brake(latency=1, latency_query="INSERT INTO orders VALUES (1)", user="postgres").start()


def used(place: Place) -> int:
    query = "SELECT sum(pg_database_size(oid)) FROM pg_database WHERE datallowconn"
    return int(place.database.value(query) + place.database.value("SELECT sum(size) FROM pg_ls_waldir()"))


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISK_SECONDS", 0.1)


def test_disk_by_its_capacity(alone: Place, quick_disk: None) -> None:
    brake = alone.brake(disk_capacity_bytes=used(alone) + 40 * MB, disk_free_bytes=20 * MB)
    brake.start()
    brake.clear()
    free = brake.disk_free()
    assert free is not None and 35 * MB < free < 41 * MB
    alone.write(24)
    wait_until(lambda: (value_after(brake, "disk") or 0) <= 20 * MB, "the disk to fill", 20)
    with pytest.raises(Braked, match=r"\d+ bytes of disk are free \(limit 20971520\)"):
        brake.clear()
    with pytest.raises(Braked, match="bytes of disk are free"):
        brake._every = 0
        brake.watch(0)


def test_disk_by_facts_of_its_host(alone: Place, quick_disk: None) -> None:
    brake = alone.brake(disk_available_bytes=30 * MB, disk_free_bytes=20 * MB)
    brake.start()
    assert brake.disk_free() == pytest.approx(30 * MB, abs=MB)
    brake.clear()
    alone.write(12)
    wait_until(lambda: (value_after(brake, "disk") or 0) <= 20 * MB, "the disk to fill", 20)
    with pytest.raises(Braked, match="bytes of disk are free"):
        brake.clear()


def test_sizes_that_may_not_be_read_name_the_grant(alone: Place) -> None:
    alone.database.postgres.execute("DROP ROLE IF EXISTS blind")
    alone.database.postgres.create_role("blind")
    with pytest.raises(Refused, match=r"the free disk could not be read: .*run: GRANT pg_monitor TO blind; or leave"):
        # Asked for, so it must be readable whatever the rest may be.
        alone.brake(user="blind", disk_capacity_bytes=1 << 40, required=False).start()


def test_disk_by_a_prometheus(alone: Place, prometheus: Prometheus, quick_disk: None) -> None:
    def brake(query: str = "min(brake_free)", **more: Any) -> Brake:
        options = {"disk_free_bytes": 1000, "disk_free_query": query, "prometheus": prometheus.options(timeout=1)}
        return alone.brake(**{**options, **more})

    prometheus.tell('brake_free{disk="a"}', 5000)
    prometheus.tell('brake_free{disk="b"}', 3000)
    one = brake()
    one.start()
    one.clear()
    assert one.disk_free() == 3000 and one.pace() == 1.0
    prometheus.tell('brake_free{disk="b"}', 1500)
    wait_until(lambda: value_after(one, "disk") == 1500, "the brake to see it")
    one.clear()
    assert one.pace() == 0.5
    prometheus.tell('brake_free{disk="b"}', 999)
    wait_until(lambda: value_after(one, "disk") == 999, "the brake to see it")
    with pytest.raises(Braked, match=r"999 bytes of disk are free \(limit 1000\)"):
        one.clear()

    with pytest.raises(Braked, match=r"brake\.disk_free_query: the query finds 2 series"):
        brake("brake_free").clear()
    with pytest.raises(Braked, match=r"the free disk could not be read: .* the query finds nothing"):
        brake("no_such", required=False).clear()
    with pytest.raises(Refused, match=r"does not take the query: .*; or leave out the option that asks for it"):
        brake("min(").start()


def test_a_monitoring_that_restarts_ends_nothing_and_one_that_is_gone_does(
    alone: Place, lab: Lab, quick_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.prometheus("short-lived")
    options = {"disk_free_bytes": 1000, "disk_free_query": "vector(5000)", "prometheus": server.options(timeout=1)}
    brake = alone.brake(**options)
    brake.start()
    monkeypatch.setattr(module, "BRIDGE_SECONDS", 1.5)
    server.stop()
    began = time.monotonic()
    brake.clear()
    with pytest.raises(Braked, match=r"the free disk could not be read: .*nobody answers there") as caught:
        while time.monotonic() - began < 10:
            brake._every = 0
            brake.watch(0)
            time.sleep(0.05)
    assert time.monotonic() - began > 1.0 and str(caught.value)
    server.start()
    wait_until(lambda: value_after(brake, "disk") == 5000, "the brake to see it")
    brake.clear()


def test_stop_orders_that_may_not_be_read(alone: Place) -> None:
    create = "CREATE SCHEMA day2; CREATE TABLE day2.stop (target_id text, reason text, until timestamptz)"
    alone.database.execute(create)
    with pytest.raises(Refused, match=r"run: GRANT USAGE ON SCHEMA day2 TO day2_maintenance; or set brake\.required"):
        alone.brake().start()
    alone.database.execute(f"GRANT USAGE ON SCHEMA day2 TO {demo.MAINTENANCE}")
    with pytest.raises(Refused, match=r"run: GRANT SELECT ON day2\.stop TO day2_maintenance; or set brake\.required"):
        alone.brake().start()
    told = alone.brake(required=False)
    told.start()
    assert told.told() == {"unread_signals": "stop"}
    alone.database.execute(f"GRANT SELECT ON day2.stop TO {demo.MAINTENANCE}")
    alone.brake().start()
    alone.database.execute("INSERT INTO day2.stop VALUES ('shop', 'an incident')")
    with pytest.raises(Refused, match=r"a stop is ordered in day2\.stop: an incident"):
        alone.brake().start()


def test_a_vacuum_is_slower_near_a_limit_and_never_faster_than_the_server_says(alone: Place) -> None:
    brake = alone.brake(blocked_sessions=4)
    brake.clear()
    assert brake.vacuum_costs() == {"vacuum_cost_delay": "0.0ms"}
    with queue(alone, 3):
        brake.clear()
        assert brake.pace() == 0.5
        assert brake.vacuum_costs() == {"vacuum_cost_delay": "5.0ms"}
        assert brake.vacuum_costs(urgent=True) == {"vacuum_cost_delay": "0.0ms"}
    alter = f"ALTER ROLE {demo.MAINTENANCE} IN DATABASE {alone.database.name} SET vacuum_cost_delay = '20ms'"
    alone.database.execute(alter)
    set_by_hand = alone.brake()
    set_by_hand.clear()
    assert set_by_hand.vacuum_costs() == {"vacuum_cost_delay": "20.0ms"}


def test_the_module_yields_in_time_waits_and_goes_on(place: Place, replica: Postgres) -> None:
    make_due(place)
    arguments = {**place.database.login(demo.MAINTENANCE), "operations": ["vacuum"], "tables": ["due"]}
    arguments["brake"] = {"replica_lag_bytes": 2 * MB, "wait": 30}
    slow = f"ALTER ROLE {demo.MAINTENANCE} IN DATABASE {place.database.name}"
    place.database.execute(f"{slow} SET vacuum_cost_delay = '50ms'; {slow} SET vacuum_cost_limit = 1")
    at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'VACUUM%'"
    busy = f"{at_work} AND state = 'active'"
    work = modules.start("postgresql_maintenance", arguments)
    wait_until(lambda: place.database.value(busy), "the vacuum to run")
    replica.execute("SELECT pg_wal_replay_pause()")
    place.write(5)
    began = time.monotonic()
    wait_until(lambda: not place.database.value(busy), "the vacuum to be cancelled", 10)
    assert time.monotonic() - began < 3
    action = work.result()["actions"][0]
    assert action["status"] == "deferred" and "bytes behind (limit 4194304)" in action["reason"]
    assert "bytes behind" in action["after"]["braked_by"] and action["after"]["braked_seconds"] == 0

    place.database.execute(f"{slow} RESET ALL")
    work = modules.start("postgresql_maintenance", arguments)
    time.sleep(2.5)
    assert work.process.poll() is None
    replica.execute("SELECT pg_wal_replay_resume()")
    action = work.result()["actions"][0]
    assert action["status"] == "done" and action["after"]["braked_seconds"] > 0.5
    assert "bytes behind (limit 2097152)" in action["after"]["braked_by"]
