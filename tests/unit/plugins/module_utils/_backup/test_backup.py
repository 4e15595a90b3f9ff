# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets, taken by the module as Ansible starts it, as the least-privilege role, from real servers."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pyrage
import pytest
import zstandard

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, read_manifest
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab import demo
from tests.lab import module as modules
from tests.lab.fixtures import Database, all_majors
from tests.lab.lab import Lab
from tests.lab.processes import wait_until as until
from tests.lab.s3 import S3

pytestmark = pytest.mark.lab
TOP = Path(__file__).resolve().parents[5]


@dataclass
class Place:
    """A database, and a store for its backups."""

    database: Database
    store_options: dict[str, Any]
    public: str
    identity: Any

    def start(self, *, check: bool = False, name: str = "postgresql_backup", **given: Any) -> modules.Module:
        server = self.database.postgres
        arguments = {
            **self.database.login(demo.BACKUP),
            **self.store_options,
            "bin_dir": str(server.tool("pg_dump").parent),
            "backup_encryption": "age",
            "recipients": [self.public],
        }
        arguments = {**arguments, **given}
        return modules.start(name, {k: v for k, v in arguments.items() if v is not None}, check=check, target="db")

    def backup(self, *, check: bool = False, **given: Any) -> dict[str, Any]:
        return self.start(check=check, **given).result()

    @property
    def store(self) -> Store:
        return open_store(self.store_options, read_only=True)

    def sets(self) -> list[catalogue.BackupSet]:
        return catalogue.read(self.store, "db")

    def objects(self) -> list[str]:
        return [entry.key for entry in self.store.list("v1/")]

    def part(self, made: catalogue.BackupSet, name: str) -> bytes:
        sealed = b"".join(self.store.stream(f"{made.prefix}/{name}.zst.age"))
        packed = pyrage.decrypt(sealed, [self.identity])
        return zstandard.ZstdDecompressor().decompressobj().decompress(packed)


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text)", user=demo.OWNER)
    database.execute("INSERT INTO orders SELECT g, E'a\\nb' FROM generate_series(1, 20000) g", user=demo.OWNER)
    database.execute('CREATE TABLE "We""ird" (id int)', user=demo.OWNER)
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "store").mkdir()
    return Place(database, {"store": str(tmp_path / "store")}, str(identity.to_public()), identity)


def s3_place(place: Place, s3: S3) -> Place:
    options = {
        "store": f"s3://{s3.bucket}/day2",
        "endpoint_url": s3.endpoint_url,
        "region": s3.region,
        "access_key": s3.access_key,
        "secret_key": s3.secret_key,
    }
    return Place(place.database, options, place.public, place.identity)


@all_majors
def test_check_then_backup_then_nothing_is_due(place: Place) -> None:
    planned = place.backup(check=True)
    assert planned["changed"] and [one["status"] for one in planned["actions"]] == ["planned"], planned
    assert place.objects() == []
    done = place.backup()
    assert done["changed"] and done["error"] is None, done
    (made,) = place.sets()
    assert done["set"] == made.id and done["actions"][0]["after"]["rows"] == 20000
    told = read_manifest(place.store, made.prefix)
    jsonschema.validate(told, json.loads((TOP / "docs" / "schemas" / "backup-1.json").read_text(encoding="utf-8")))
    assert told["tables"] == [{"name": 'public."We""ird"', "rows": 0}, {"name": "public.orders", "rows": 20000}]
    assert told["tools"]["version"].split(".")[0] == str(place.database.postgres.major)
    assert {one["name"] for one in told["extensions"]} >= {"plpgsql", "pgstattuple"}
    # pg_read_all_data may read pg_authid, too.
    assert told["passwords"] and told["encryption"]["recipients"] == [place.public]
    assert b"SCRAM-SHA-256$" in place.part(made, "globals.sql")
    assert place.part(made, "database.dump").startswith(b"PGDMP")
    assert f"CREATE ROLE {demo.OWNER}".encode() in place.part(made, "globals.sql")
    again = place.backup()
    assert not again["changed"] and again["actions"] == [] and "Nothing is due" in again["plan_summary"]
    assert {one["check"]: one["status"] for one in again["checks"]}["postgresql_backup_age"] == "ok"


def test_without_a_word_on_encryption_nothing_is_done(place: Place) -> None:
    for given, words in (
        ({"backup_encryption": None}, "backup_encryption: say how"),
        ({"recipients": []}, "recipients: encryption with age needs"),
        ({"recipients": ["age1nonsense"]}, "is not a public key of age"),
        ({"bin_dir": "/nowhere"}, "bin_dir: there is no pg_dump in /nowhere"),
        ({"max_age": 0}, "max_age: 0"),
        ({"store": "/nowhere/at/all"}, "/nowhere/at/all"),
    ):
        result = place.backup(**given)
        assert result["failed"] and words in result["msg"], result["msg"]
    assert place.objects() == []


def test_what_cannot_be_read_is_found_before_work(place: Place) -> None:
    place.database.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY", user=demo.OWNER)
    place.database.execute("SELECT lo_create(4711)", user=demo.OWNER)
    result = place.backup()
    assert result["error"]["kind"] == "refused" and "row security hides rows of public.orders" in result["msg"]
    role = demo.BACKUP
    for statement in (f"ALTER ROLE {role} BYPASSRLS", f"GRANT SELECT ON LARGE OBJECT 4711 TO {role}"):
        assert statement in result["msg"]
        place.database.execute(statement)
    assert place.backup()["error"] is None
    place.database.execute(f"ALTER ROLE {role} NOBYPASSRLS")


def test_a_database_too_large_for_a_dump_is_refused_with_the_alternative(place: Place) -> None:
    for given in ({"max_logical_bytes": 1000}, {"max_snapshot_age": 0.001}):
        result = place.backup(**given)
        assert result["error"]["kind"] == "refused" and "pgBackRest" in result["msg"], result["msg"]


def test_rows_that_change_meanwhile_are_counted_as_the_dump_saw_them(place: Place) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(place.database.connect(demo.OWNER)) as connection:
            cursor, number = connection.cursor(), 100000
            while not stop.is_set():
                number += 1
                cursor.execute("INSERT INTO orders VALUES (%s, 'new')", [number])
                cursor.execute("DELETE FROM orders WHERE id = %s", [number - 100001])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = place.backup()
    finally:
        stop.set()
        writer.join()
    (made,) = place.sets()
    dump = place.part(made, "database.dump")
    told = read_manifest(place.store, made.prefix)
    rows = next(one["rows"] for one in told["tables"] if one["name"] == "public.orders")
    # Each row is written as its number, a tab and its text.
    assert rows == dump.count(b"\ta\\nb\n") + dump.count(b"\tnew\n") and result["error"] is None


def test_nothing_is_deleted_while_backups_have_ceased_and_locked_sets_stay(place: Place, s3: S3) -> None:
    far = s3_place(place, s3)
    client = s3.client()
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    far.store_options["store"] = "s3://locked/day2"
    assert far.backup()["error"] is None
    (first,) = far.sets()
    old = f"{catalogue.BACKUPS}db/20200101T000000Z-0001"
    for name in ("manifest.json", "database.dump.zst.age"):
        copy = {"Bucket": "locked", "Key": f"day2/{first.prefix}/{name}"}
        client.copy_object(Bucket="locked", Key=f"day2/{old}/{name}", CopySource=copy)
    few = {"keep_daily": 1, "keep_weekly": 0, "keep_monthly": 0}
    # The newest set is older than max_age, and none is taken: nothing goes.
    assert far.backup(check=True, max_age=0.001, **few)["actions"][0]["action"] == "backup"
    planned = far.backup(check=True, **few)
    assert [(one["action"], one["subject"], one["status"]) for one in planned["actions"]] == [
        ("delete_backup", old.rpartition("/")[2], "planned")
    ]
    held = {"Bucket": "locked", "Key": f"day2/{old}/manifest.json"}
    client.put_object_legal_hold(**held, LegalHold={"Status": "ON"})
    version = client.list_object_versions(Bucket="locked", Prefix=held["Key"])["Versions"][0]["VersionId"]
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(**held, VersionId=version)
    kept = far.backup(**few)
    assert [one["status"] for one in kept["actions"]] == ["skipped"] and not kept["changed"]
    assert "keeps it locked" in kept["actions"][0]["reason"] and len(far.sets()) == 2
    client.put_object_legal_hold(**held, LegalHold={"Status": "OFF"})
    gone = far.backup(**few)
    assert [one["status"] for one in gone["actions"]] == ["done"] and [one.id for one in far.sets()] == [first.id]


@pytest.fixture
def large(place: Place) -> Place:
    """A dump that takes some seconds."""
    place.database.execute(
        "INSERT INTO orders SELECT g, repeat(md5(g::text), 20) FROM generate_series(30000, 330000) g", user=demo.OWNER
    )
    return place


def dumping(place: Place) -> Any:
    return place.database.value(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s AND query LIKE %s", ["day2/%/dump", "COPY%"]
    )


# A server that goes is noticed by whoever speaks to it first: pg_dump, or the session that watches.
KINDS = {"stop": ("stopped",), "server": ("failed", "unreachable")}


@pytest.mark.parametrize("whom", ["module", "pg_dump", "session", "server", "stop"])
def test_what_is_killed_is_no_set_and_the_next_backup_is_one(large: Place, whom: str) -> None:
    module = large.start()
    pid = until(lambda: dumping(large))
    if whom == "module":
        module.kill()
    elif whom == "stop":
        module.process.terminate()
    elif whom == "server":
        large.database.postgres.kill9()
    elif whom == "session":
        large.database.execute("SELECT pg_terminate_backend(%s)", [pid])
    else:
        children = [
            int(one)
            for one in Path(f"/proc/{module.process.pid}/task").glob("*/children")
            for one in one.read_text().split()
        ]
        (dump,) = [one for one in children if "pg_dump" in Path(f"/proc/{one}/comm").read_text()]
        os.kill(dump, signal.SIGKILL)
    if whom != "module":
        result = module.result()
        assert result["failed"] and result["error"]["kind"] in KINDS.get(whom, ("failed",)), result
    if whom == "server":
        large.database.postgres.start()
    assert large.sets() == []
    until(lambda: dumping(large) is None, seconds=15.0)
    assert large.backup()["error"] is None and len(large.sets()) == 1


def test_two_backups_at_once(large: Place) -> None:
    first = large.start()
    until(lambda: dumping(large))
    second = large.backup()
    assert second["error"]["kind"] == "refused" and "holds the backup lock" in second["msg"]
    assert first.result()["error"] is None and len(large.sets()) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"slow_down": 2}, None),
        ({"deny": True, "methods": ["PUT", "POST"]}, "failed"),
        ({"lose_replies": 1, "methods": ["PUT"]}, None),
    ],
)
def test_a_store_that_falters(place: Place, s3: S3, fault: dict[str, Any], kind: str | None) -> None:
    far = s3_place(place, s3)
    s3.faults(**fault)
    result = far.backup()
    s3.heal()
    assert (result["error"] or {}).get("kind") == kind, result
    assert len(far.sets()) == (0 if kind else 1)


def test_a_standby_can_be_the_source_and_promoted_meanwhile(lab: Lab, tmp_path: Path, place: Place) -> None:
    primary = lab.postgres(18, "backed-up")
    demo.create_roles(primary)
    primary.create_database("shop", owner=demo.OWNER)
    primary.execute(
        "CREATE TABLE big AS SELECT g, repeat(md5(g::text), 20) AS t FROM generate_series(1, 300000) g", dbname="shop"
    )
    standby = lab.standby(primary, "backed-up-standby")
    primary.caught_up(standby)
    near = Place(Database(standby, "shop"), place.store_options, place.public, place.identity)
    module = near.start()
    until(lambda: dumping(near))
    standby.promote()
    assert module.result()["error"] is None
    (made,) = near.sets()
    told = read_manifest(near.store, made.prefix)
    assert told["server"]["standby"] and told["tables"][0]["rows"] == 300000
    standby.stop("immediate")
    primary.stop("immediate")


def test_secrets_do_not_leave(place: Place) -> None:
    password = place.database.login(demo.BACKUP)["login_password"]
    result = place.backup()
    told = read_manifest(place.store, place.sets()[0].prefix)
    assert password not in json.dumps(result) + json.dumps(told)
    plain = place.backup(backup_encryption="none", recipients=[], force=True)
    prefix = f"{catalogue.BACKUPS}db/{plain['set']}"
    packed = b"".join(place.store.stream(f"{prefix}/globals.sql.zst"))
    roles = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    assert b"CREATE ROLE" in roles and b"SCRAM-SHA-256$" not in roles
    assert read_manifest(place.store, prefix)["passwords"] is False


def test_the_catalogue_tells_what_is_there(place: Place) -> None:
    def look() -> dict[str, Any]:
        return modules.start("postgresql_backup_info", place.store_options, target="db").result()

    empty = look()
    assert empty["sets"] == [] and {one["check"]: one["status"] for one in empty["checks"]} == {
        "postgresql_backup_age": "crit",
        "postgresql_backup_verified_age": "crit",
        "postgresql_backup_sets": "ok",
    }
    place.backup()
    found = look()
    assert [one["verified"] for one in found["sets"]] == [None] and found["checks"][0]["status"] == "ok"


@pytest.fixture
def random_rows(place: Place) -> Place:
    """Some parts of an upload: what cannot be compressed."""
    place.database.execute(
        "CREATE TABLE noise AS SELECT string_agg(md5(random()::text), '') AS x FROM generate_series(1, 1200000) g "
        "GROUP BY g % 1000"
    )
    return place


def through(place: Place, s3: S3, proxy: Any) -> Place:
    far = s3_place(place, s3)
    far.store_options["endpoint_url"] = f"http://{proxy.host}:{proxy.port}"
    return far


def test_a_connection_that_breaks_in_the_middle_of_an_upload(random_rows: Place, s3: S3, lab: Lab) -> None:
    proxy = lab.proxy(s3)
    far = through(random_rows, s3, proxy)
    module = far.start()
    uploads = s3.client()
    until(lambda: uploads.list_multipart_uploads(Bucket=s3.bucket).get("Uploads"))
    proxy.reset()
    result = module.result()
    assert result["error"] is None, result["msg"]
    (made,) = far.sets()
    assert far.part(made, "database.dump").startswith(b"PGDMP")
    proxy.close()


def test_a_store_that_stays_away_in_the_middle_of_an_upload(random_rows: Place, s3: S3, lab: Lab) -> None:
    proxy = lab.proxy(s3)
    far = through(random_rows, s3, proxy)
    module = far.start()
    until(lambda: s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads"))
    proxy.refuse()
    proxy.reset()
    result = module.result(120.0)
    assert result["error"]["kind"] == "unreachable", result["msg"]
    assert s3_place(random_rows, s3).sets() == []
    proxy.close()


@pytest.mark.soak
def test_who_waits_for_the_dump_is_not_held_up_even_when_the_store_stalls(place: Place, s3: S3, lab: Lab) -> None:
    """More than fits between the dump and the store, so that the dump is at it for as long as the store is silent."""
    place.database.execute(
        "CREATE TABLE noise AS SELECT string_agg(encode(sha512(g::text::bytea), 'hex'), '') AS x "
        "FROM generate_series(1, 900000) g GROUP BY g % 1000"
    )
    proxy = lab.proxy(s3)
    far = through(place, s3, proxy)
    module = far.start(lock_timeout=1)
    until(lambda: s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads"))
    proxy.stall()
    time.sleep(2)
    assert dumping(place), "the dump is over before anybody could wait for it"
    began = time.monotonic()
    place.database.execute("ALTER TABLE noise ADD COLUMN more int")
    assert time.monotonic() - began < 3
    proxy.resume()
    result = module.result()
    assert result["actions"][0]["status"] == "deferred" and "waited" in result["actions"][0]["reason"], result
    assert s3_place(place, s3).sets() == []
    proxy.close()


def test_latency_and_a_missing_bucket(place: Place, s3: S3, lab: Lab) -> None:
    proxy = lab.proxy(s3)
    far = through(place, s3, proxy)
    proxy.latency(0.05)
    assert far.backup()["error"] is None and len(far.sets()) == 1
    proxy.close()
    result = s3_place(place, s3).backup(store="s3://no-such-bucket/day2")
    assert result["failed"] and "no-such-bucket" in result["msg"]


def test_tools_older_than_the_server_are_refused_and_newer_ones_will_do(place: Place, lab: Lab) -> None:
    older = lab.programs.postgresql(17) / "bin"
    result = place.backup(bin_dir=str(older))
    assert result["error"]["kind"] == "bad_input" and "is older than the server" in result["msg"]


@pytest.mark.parametrize("pg", [14], indirect=True)
def test_newer_tools_dump_an_older_server(place: Place, lab: Lab) -> None:
    assert place.backup(bin_dir=str(lab.programs.postgresql(18) / "bin"))["error"] is None
    assert read_manifest(place.store, place.sets()[0].prefix)["tools"]["version"].startswith("18.")
