# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible starts it: good sets are proven, bad ones refuted, and whatever else fails proves nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue, scratch
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import inhabitants
from tests.lab import module as modules
from tests.lab.age import new_key
from tests.lab.fixtures import Database, majors
from tests.lab.lab import Lab
from tests.lab.module import Module
from tests.lab.postgres import Postgres
from tests.lab.s3 import S3

from . import sets
from .rich import REACHING, RICH

pytestmark = pytest.mark.lab


@dataclass
class Place:
    """A store with sets of one database, and the module that proves them."""

    folder: Path
    server: Postgres
    started: list[Module] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def start(self, **given: Any) -> Module:
        about = {"target": "shop", **given.pop("run", {})}
        mine = {
            "store": str(self.store),
            "bin_dir": str(self.server.programs / "bin"),
            "scratch_dir": str(self.scratch),
        }
        self.started.append(modules.start("postgresql_backup_verify", {**mine, **given}, **about))
        return self.started[-1]

    @property
    def scratch(self) -> Path:
        return Path(self.server.folder).parent / f"s-{self.folder.name[-12:]}"

    def verify(self, **given: Any) -> dict[str, Any]:
        return self.start(**given).result()

    def make(self, database: str, **more: Any) -> sets.Made:
        return sets.make_set(self.server, database, sets.folder_store(self.store), "shop", **more)

    def verdict(self) -> list[Any]:
        """What the store says of each set."""
        return [each.verified for each in catalogue.read_all(sets.folder_store(self.store), "shop")]

    def nothing_left(self, seconds: float = 15.0) -> bool:
        until = time.monotonic() + seconds
        while list(self.scratch.iterdir()) or inhabitants(str(self.scratch)):
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True


def status(result: dict[str, Any], name: str) -> str:
    return next((one["status"] for one in result["checks"] if one["check"] == f"postgresql_backup_{name}"), "none")


@pytest.fixture
def place(tmp_path: Path, pg: Postgres) -> Iterator[Place]:
    made = Place(tmp_path, pg)
    made.store.mkdir()
    made.scratch.mkdir(0o755)
    yield made
    for module in made.started:
        module.kill()
    assert made.nothing_left()
    made.scratch.rmdir()


@pytest.fixture
def rich(database: Database) -> Database:
    database.execute(RICH)
    return database


@pytest.fixture
def plain(database: Database) -> Database:
    database.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    database.execute("INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 5000) g")
    return database


@pytest.fixture
def slow(plain: Database) -> Database:
    """A restore of it sleeps in an index."""
    plain.execute(
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
        "IF current_database() LIKE 'day2_verify_%' THEN PERFORM pg_sleep(60); END IF; RETURN $1; END $$"
    )
    plain.execute("CREATE INDEX ON orders (slow(id))")
    return plain


@majors(18, soak=(14,))
def test_a_good_set(place: Place, rich: Database) -> None:
    key = new_key(place.folder)
    made = place.make(rich.name, recipients=[key.public])
    given = {
        "identity_file": key.path,
        "rto": 600,
        "rpo": 0.001,
        "assertions": [{"name": "orders", "query": "SELECT count(*) = 20000 FROM orders WHERE note LIKE '%'"}],
    }
    planned = place.verify(_ansible_check_mode=True, **given)
    assert planned["changed"] and place.verdict() == [None]
    done = place.verify(**given)
    assert done.get("failed") is None, done["msg"]
    assert done["verified"] is True and done["set"] == made.id
    assert {one["check"]: one["status"] for one in done["checks"] if one["status"] != "ok"} == {
        "postgresql_backup_data_age": "crit"
    }
    assert len(done["checks"]) == 11
    assert done["remarks"] == []
    assert [one["status"] for one in done["actions"]] == ["done"]
    assert [one["subject"] for one in planned["actions"]] == [made.id]
    assert done["actions"][0]["after"]["rows"] == 20000 + 2000 + 3 + 2 + 1
    assert place.verdict() == [True]
    isolation = next(one for one in done["checks"] if one["check"] == "postgresql_backup_isolation")
    assert isolation["evidence"]["network"] is False or os.geteuid() != 0
    again = place.verify(**given)
    assert again["changed"] is False and again["actions"] == [] and "verified" in again["plan_summary"]
    # A newer set is proven when the proof has grown old; the values before are told.
    newer = place.make(rich.name, recipients=[key.public])
    forced = place.verify(force=True, **given)
    assert forced["set"] == newer.id
    seconds = next(one for one in forced["checks"] if one["check"] == "postgresql_backup_restore_seconds")
    assert seconds["evidence"]["previous"] == done["actions"][0]["after"]["restore_seconds"]
    assert key.path not in json.dumps(place.verdict())


def lose_a_row(manifest: dict[str, Any]) -> None:
    manifest["tables"][0]["rows"] += 1


def test_sets_that_cannot_be_used(place: Place, plain: Database) -> None:
    """One after the other: each is refuted with its reason, and does not count any more."""
    key = new_key(place.folder)
    older = timedelta(hours=9)
    spoiled: list[tuple[Callable[[sets.Made], None], str]] = [
        (lambda made: sets.truncate(place.store, made), "bytes long, and was"),
        (lambda made: sets.flip(place.store, made), "differs|unusable"),
        (lambda made: sets.empty(place.store, made), "is empty"),
        (lambda made: sets.path_of(place.store, made).unlink(), "is missing"),
        (lambda made: sets.path_of(place.store, made, "globals.sql").unlink(), "is missing"),
        (lambda made: sets.rewrite_manifest(place.store, made, lose_a_row), "its manifest"),
        (lambda made: sets.rewrite_manifest(place.store, made, lambda one: one.pop("blocks")), "manifest"),
        (lambda made: (place.store / made.prefix / "manifest.json").write_text("{"), "manifest is damaged"),
    ]
    for number, (spoil, words) in enumerate(spoiled):
        made = place.make(plain.name, recipients=[key.public], age=older - timedelta(hours=number))
        spoil(made)
        result = place.verify(identity_file=key.path)
        assert result["failed"], words
        if words == "manifest":  # a manifest that this version does not understand: nobody's fault
            assert place.verdict()[-1] is None
            (place.store / made.prefix / "manifest.json").unlink()
            continue
        assert result["verified"] is False
        assert status(result, "restored") == "crit"
        assert any(word in result["msg"] for word in words.split("|")), result["msg"]
        assert result["msg"].startswith(f"Failed to verify {made.id} of shop: ")
        assert result["error"]["kind"] == "failed"
        assert [one["status"] for one in result["actions"]] == ["failed"]
        complete = [each for each in catalogue.read_all(sets.folder_store(place.store), "shop") if each.complete]
        assert complete[-1].verified is False and not complete[-1].counts
        assert complete[-1].verdict is not None and complete[-1].verdict["reason"]
    nothing = place.verify(identity_file=key.path)
    assert "every complete set was refuted" in nothing["msg"] and nothing["error"]["kind"] == "refused"


def test_a_set_that_was_never_finished(place: Place, plain: Database) -> None:
    made = place.make(plain.name)
    sets.half_upload(place.store, made)
    named = place.verify(set=made.id)
    assert "upload was never completed" in named["msg"]
    assert "no complete set" in place.verify()["msg"]
    assert place.verdict() == [None]


def test_without_the_key_nobody_knows(place: Place, plain: Database) -> None:
    key, other = new_key(place.folder), new_key(place.folder, "other")
    place.make(plain.name, recipients=[key.public])
    skipped = place.verify()
    assert skipped["changed"] is False and skipped.get("failed") is None
    assert [one["status"] for one in skipped["actions"]] == ["skipped"]
    assert "identity_file" in skipped["actions"][0]["reason"]
    assert status(skipped, "restored") == "unknown"
    wrong = place.verify(identity_file=other.path)
    assert wrong["error"]["kind"] == "bad_input" and key.public in wrong["msg"]
    assert place.verdict() == [None]


def test_content_that_no_key_of_its_manifest_opens(place: Place, plain: Database) -> None:
    key, other = new_key(place.folder), new_key(place.folder, "other")

    def claim(manifest: dict[str, Any]) -> None:
        manifest["encryption"]["recipients"] = [other.public]

    place.make(plain.name, recipients=[key.public], change=claim)
    result = place.verify(identity_file=other.path)
    assert "no key fits" in result["msg"]
    assert place.verdict() == [False]


def test_assertions(place: Place, plain: Database) -> None:
    place.make(plain.name)
    typo = place.verify(assertions=[{"name": "typo", "query": "SELECT true FROM nowhere"}])
    assert "typo" in typo["msg"] and place.verdict() == [None]
    false = [
        {"name": "good", "query": "SELECT true"},
        {"name": "few orders", "query": "SELECT count(*) < 10 FROM orders"},
        {"name": "no rows", "query": "SELECT true FROM orders WHERE id < 0"},
        {"name": "writes nothing", "query": "SELECT current_setting('transaction_read_only') = 'on'"},
    ]
    result = place.verify(assertions=false)
    assert "few orders, no rows" in result["msg"]
    assert place.verdict() == [False]


def test_a_set_that_cannot_be_restored(place: Place, plain: Database) -> None:
    """The archive is whole, and the server refuses what is in it."""
    plain.execute(
        "CREATE FUNCTION good(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN "
        "RETURN current_database() NOT LIKE 'day2_verify_%'; END $$"
    )
    plain.execute("ALTER TABLE orders ADD CHECK (good(id))")
    place.make(plain.name)
    result = place.verify()
    assert "cannot be restored" in result["msg"] and "orders" in result["msg"]
    assert place.verdict() == [False]


class Listener:
    """Stands for the other server: counts who connects, and hangs up."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.seen = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self.socket.accept()
            except OSError:
                return
            self.seen += 1
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.socket.close()


@pytest.fixture(scope="module")
def another(lab: Lab) -> Postgres:
    """A server that has no set's roles."""
    server = lab.postgres(18, "verify-host", settings={"max_connections": "30"})
    server.create_role("day2_verify", attributes="LOGIN CREATEDB")
    return server


def test_it_reaches_nobody(place: Place, plain: Database, listener: Listener, another: Postgres) -> None:
    server = plain.postgres
    where = {"host": server.host, "own": server.port, "database": plain.name, "password": server.password}
    for statement in REACHING.format(port=listener.port, **where).split(";\n"):
        if statement.strip():
            plain.execute(statement)
    with pytest.raises(psycopg2.Error, match="could not connect"):
        plain.value("SELECT count(*) FROM there")
    assert listener.seen == 1
    place.make(plain.name)
    own = place.verify()
    assert own["verified"], own.get("msg")
    left_out = next(one for one in own["checks"] if one["check"] == "postgresql_backup_isolation")["evidence"]
    host = {**another.login(), "login_db": "postgres"}
    there = place.verify(verify_host=host, force=True)
    assert there["verified"], there.get("msg")
    assert status(there, "isolation") == "warn"
    assert listener.seen == 1
    names = left_out["left_out"]
    for word in ("subscription feed", "event trigger watched", "materialized view data copied"):
        assert word in names, names
    plain.execute("DROP SUBSCRIPTION feed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a server no network")
def test_it_has_no_network(place: Place, plain: Database, listener: Listener) -> None:
    """Code that nobody can see through tries to reach out while it is restored."""
    plain.execute("CREATE EXTENSION dblink")
    plain.execute(
        "CREATE FUNCTION reach() RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "IF current_database() LIKE 'day2_verify_%' THEN "
        f"PERFORM public.dblink_connect('host=127.0.0.1 port={listener.port}'); "
        "END IF; RETURN 1; END $$; CREATE MATERIALIZED VIEW reached AS SELECT reach()"
    )
    place.make(plain.name)
    result = place.verify()
    assert result["verified"], result.get("msg")
    assert any("reached was not filled" in text or "public.reached" in text for text in result["remarks"])
    assert listener.seen == 0


# -- cut short


def until(place: Place, words: str) -> list[int]:
    """The processes of the drill, once one of them shows these words."""
    end = time.monotonic() + 30
    while True:
        found = {pid: command(pid) for pid in inhabitants(str(place.scratch))}
        if any(words in text for text in found.values()):
            return list(found)
        assert time.monotonic() < end, found
        time.sleep(0.05)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children(pid: int, name: str) -> list[int]:
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()]
    return [int(row[0]) for row in rows if int(row[1]) == pid and row[2] == name]


@pytest.mark.parametrize("victim", ["module", "pg_restore", "server", "stopped"])
def test_killed_in_the_middle(place: Place, slow: Database, victim: str) -> None:
    place.make(slow.name)
    module = place.start()
    until(place, "CREATE INDEX")
    restoring = children(module.process.pid, "pg_restore")
    assert restoring
    if victim == "module":
        module.kill()
    elif victim == "stopped":
        module.process.send_signal(signal.SIGTERM)
    elif victim == "pg_restore":
        os.kill(restoring[0], signal.SIGKILL)
    else:
        postmasters = [pid for pid in inhabitants(str(place.scratch)) if " -D " in command(pid)]
        assert len(postmasters) == 1
        os.kill(postmasters[0], signal.SIGKILL)
    if victim != "module":
        result = module.result()
        assert result["failed"] and result["verified"] is None, result
        assert result["error"]["kind"] == ("stopped" if victim == "stopped" else result["error"]["kind"])
        assert [one["status"] for one in result["actions"]] == ["failed"]
    assert place.nothing_left()
    assert not [pid for pid in restoring if command(pid)]
    assert place.verdict() == [None]


def test_the_deadline_comes(place: Place, slow: Database) -> None:
    place.make(slow.name)
    end = datetime.now(timezone.utc) + timedelta(seconds=5)
    result = place.verify(run={"deadline": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert [one["status"] for one in result["actions"]] == ["deferred"], result
    assert place.verdict() == [None]


def test_a_store_that_says_no_says_nothing_of_the_set(place: Place, plain: Database, s3: S3) -> None:
    params = {**s3.options(), "store": s3.url("day2")}
    store = sets.open_store(params, read_only=False)
    sets.make_set(place.server, plain.name, store, "shop")
    s3.faults(deny=True, methods=["GET"], contains="database.dump")
    denied = place.verify(**params)
    assert denied["failed"] and denied["verified"] is None
    assert [each.verified for each in catalogue.read(store, "shop")] == [None]
    # What the way from the store does to a set once is not the set's fault.
    s3.faults(flip_bits=1, methods=["GET"], contains="database.dump")
    assert place.verify(**params)["verified"]


def test_no_room(place: Place, plain: Database) -> None:
    place.make(plain.name, change=lambda one: one.update(database_bytes=1 << 55))
    result = place.verify()
    assert result["error"]["kind"] == "refused" and "scratch_dir" in result["msg"]
    assert place.verdict() == [None]


def test_programs_that_are_not_there(place: Place, plain: Database) -> None:
    place.make(plain.name)
    bare = place.folder / "bin"
    bare.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        (bare / name).symlink_to(place.server.tool(name))
    result = place.verify(bin_dir=str(bare), _ansible_check_mode=True)
    assert result["error"]["kind"] == "refused"
    assert "initdb" in result["msg"] and "bin_dir" in result["msg"] and "verify_host" in result["msg"]


# -- on another server


def test_on_another_server(place: Place, plain: Database, another: Postgres) -> None:
    place.make(plain.name, age=timedelta(hours=1))
    host = another.login(user="day2_verify")
    another.execute("CREATE DATABASE day2_verify_old OWNER day2_verify")
    another.execute(
        "COMMENT ON DATABASE day2_verify_old IS 'Made to verify a backup; owner day2/x; expires 2020-01-01T00:00:00Z'"
    )
    another.execute("CREATE DATABASE day2_verify_young OWNER day2_verify")
    done = place.verify(verify_host=host)
    # pgstattuple may only be made by a superuser.
    assert done["error"]["kind"] == "refused" and "pgstattuple" in done["msg"]
    plain.execute("DROP EXTENSION pgstattuple; DROP EXTENSION pg_stat_statements")
    made = place.make(plain.name)
    done = place.verify(verify_host=host)
    assert done["verified"] and done["set"] == made.id, done.get("msg")
    structure = next(one for one in done["checks"] if one["check"] == "postgresql_backup_structure")
    assert structure["evidence"]["owners"] is False and "owners" in structure["summary"]
    left = another.execute("SELECT datname FROM pg_database WHERE datname LIKE 'day2_verify%'")
    assert left == [("day2_verify_young",)]
    another.execute("DROP DATABASE day2_verify_young")
    another.execute("ALTER ROLE day2_verify NOCREATEDB")
    refused = place.verify(verify_host=host, force=True)
    another.execute("ALTER ROLE day2_verify CREATEDB")
    assert "ALTER ROLE day2_verify CREATEDB" in refused["msg"]


def test_the_source_is_spared(place: Place, plain: Database) -> None:
    place.make(plain.name)
    host = plain.postgres.login()
    refused = place.verify(verify_host=host)
    assert refused["error"]["kind"] == "refused" and "verify_on_source" in refused["msg"]
    unknown = place.verify(verify_host=host, verify_on_source=True)
    assert "disk_capacity_bytes" in unknown["msg"]
    small = place.verify(verify_host=host, verify_on_source=True, brake={"disk_capacity_bytes": 1})
    assert small["error"]["kind"] == "refused" and "must be free" in small["msg"]
    room = {"disk_capacity_bytes": 1 << 40}
    # Every answer takes longer than this.
    busy = place.verify(verify_host=host, verify_on_source=True, brake={**room, "latency": 1e-6, "wait": 1})
    (action,) = busy["actions"]
    assert action["status"] == "deferred" and busy["error"] is None, busy
    assert action["after"]["braked_seconds"] >= 1 and "query" in action["after"]["braked_by"], action
    done = place.verify(verify_host=host, verify_on_source=True, brake=room)
    assert done["verified"], done.get("msg")
    assert plain.postgres.execute("SELECT FROM pg_database WHERE datname LIKE 'day2_verify%'") == []


def test_the_server_s_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(scratch.BadInput, match=r"scratch_user: .*nowhere"):
        scratch.account_of("nowhere")
    with pytest.raises(scratch.BadInput, match="root"):
        scratch.account_of("root")
    account = scratch.account_of("nobody")
    assert account.name == "nobody"
    with tempfile.TemporaryDirectory() as closed:
        (Path(closed) / "work").mkdir()
        with pytest.raises(scratch.BadInput, match="scratch_dir"):
            scratch.check_reachable(f"{closed}/work", scratch.Account(4711, 4711, "x", "/nowhere"))
    with pytest.raises(scratch.BadInput, match="too long"):
        scratch.check_reachable("/tmp/" + "x" * 100, account)
