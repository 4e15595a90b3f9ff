# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a stored set to a restored database: what is refused, and why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup import archive, fetch, load
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import find_tools
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from tests.lab.age import new_key
from tests.lab.fixtures import Database

from . import sets

SAID = """\
pg_restore: while INITIALIZING:
pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"
Command was: SET transaction_timeout = 0;
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3; 3079 16385 EXTENSION pgstattuple
pg_restore: error: could not execute query: ERROR:  must be owner of extension pgstattuple
Command was: COMMENT ON EXTENSION pgstattuple IS 'show tuple-level statistics';


"""
MATTERS = """\
pg_restore: from TOC entry 3; 3079 16385 USER MAPPING day2
pg_restore: error: could not execute query: FEHLER:  Rolle "app" existiert nicht
Command was: CREATE USER MAPPING FOR app SERVER far OPTIONS (
    "user" 'x',
    password 'geheim'
);

"""
END = "pg_restore: warning: errors ignored on restore: "


def test_complaints_that_do_not_matter() -> None:
    said = load.judge(SAID + END + "2\n", 1)
    assert said.errors == []
    assert len(said.warnings) == 2
    assert load.judge("", 0) == load.Said()


def test_complaints_that_matter() -> None:
    said = load.judge(SAID + MATTERS + END + "3\n", 1)
    assert len(said.errors) == 1
    assert "CREATE USER MAPPING FOR app SERVER far" in said.errors[0]
    assert "geheim" not in said.errors[0]
    assert len(said.warnings) == 2


def test_complaints_that_were_not_kept_matter() -> None:
    many = SAID * (load.KEPT_BYTES // len(SAID) + 1)
    count = many.count("error:")
    assert load.judge(many + END + f"{count + 5}\n", 1).errors == ["about 5 more errors came before these."]
    assert load.judge(many + END + f"{count}\n", 1).errors == []
    assert load.judge(SAID + END + "7\n", 1).errors == []


@pytest.mark.parametrize(("said", "status"), [("", 1), ("", -9), ("pg_restore: error: no\n", 1), (SAID, -15)])
def test_an_end_that_is_none(said: str, status: int) -> None:
    assert load.judge(said, status).errors


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ('COPY failed for table "t": ERROR: could not extend file "base/1/2": No space left on device', True),
        ("query failed: server closed the connection unexpectedly", True),
        ('could not execute query: ERROR: could not access file "$libdir/postgis-3": No such file or directory', True),
        ('could not execute query: ERROR: collation "de_DE" for encoding "UTF8" does not exist', True),
        ('COPY failed for table "t": ERROR: duplicate key value violates unique constraint "t_pkey"', False),
        ("could not execute query: ERROR: function public.f() does not exist", False),
        ('could not execute query: ERROR: role "app" does not exist', False),
    ],
)
def test_what_tells_nothing_of_the_archive(text: str, yes: bool) -> None:
    assert load.elsewhere(text) is yes


def test_names_are_not_parameters() -> None:
    assert load.conninfo("host=evil") == "dbname='host=evil'"
    assert load.conninfo("a\\'b") == r"dbname='a\\\'b'"


def test_no_room(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"spool_dir"):
        fetch.need_space(str(tmp_path), 1 << 60, "spool_dir", "the set")
    with pytest.raises(BadInput, match=r"spool_dir: .*nowhere"):
        fetch.need_space(str(tmp_path / "nowhere"), 1, "spool_dir", "the set")


def test_a_key_that_fits_no_set(tmp_path: Path) -> None:
    key, other = new_key(tmp_path), new_key(tmp_path, "other")
    manifest = {"encryption": {"method": "age", "recipients": [key.public]}}
    keys = fetch.keys_for(manifest, key.path)
    assert keys is not None and len(keys) == 1
    assert fetch.keys_for({"encryption": {"method": "none"}}, key.path) is None
    with pytest.raises(BadInput, match=f"identity_file: .*{key.public}"):
        fetch.keys_for(manifest, other.path)
    with pytest.raises(BadInput, match="identity_file"):
        fetch.keys_for(manifest, None)


# -- on real servers


@pytest.fixture
def run(tmp_path: Path) -> Run:
    about = {"id": "t1", "target": "shop"}
    return Run({"run": about, "connect_timeout": 10, "lock_db": "postgres"}, False, Deadline(None), Liveness())


@pytest.fixture
def filled(database: Database) -> Database:
    for statement in (
        'CREATE SCHEMA "Odd.Schema"',
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text)",
        "INSERT INTO orders SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 20000) g",
        'CREATE TABLE "Odd.Schema"."We""ird.T" (id int, note text)',
        """INSERT INTO "Odd.Schema"."We""ird.T" SELECT g, E'a\\nb\\\\.' FROM generate_series(1, 500) g""",
        "CREATE TABLE none (id int)",
        "SELECT lo_from_bytea(0, repeat('x', 5000)::bytea)",
    ):
        database.execute(statement)
    return database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    made.mkdir()
    return made


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as made:
        yield made


@pytest.mark.lab
def test_there_and_back(
    run: Run, filled: Database, new_database: Callable[..., Database], folder: Path, tmp_path: Path, guard: Guard
) -> None:
    key, store, server = new_key(tmp_path), sets.folder_store(folder), filled.postgres
    made = sets.make_set(server, filled.name, store, "shop", recipients=[key.public])
    spool = tmp_path / "spool"
    spool.mkdir()
    keys = fetch.keys_for(made.manifest, key.path)
    found = fetch.spool(run, store, made.prefix, made.manifest, keys, str(spool))
    assert (spool / "database.dump").stat().st_mode & 0o777 == 0o600
    assert "CREATE ROLE" in fetch.read_globals(run, store, made.prefix, made.manifest, keys)
    fresh = new_database(server, extensions=())
    tools = find_tools(str(server.programs / "bin"), server.major)

    def keep(entry: archive.Entry) -> bool:
        return entry.tag != "none"

    login = sets.login(server)
    loaded = load.load(run, guard, tools, found, login, fresh.name, jobs=2, keep=keep, settings=load.SCRATCH)
    assert loaded.warnings == []
    rows = 'SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM "Odd.Schema"."We""ird.T")'
    assert fresh.execute(rows) == filled.execute(rows) == [(20000, 500)]
    assert fresh.value("SELECT to_regclass('none')") is None
    with pytest.raises(load.LoadFailed, match="already exists") as again:
        load.load(run, guard, tools, found, login, fresh.name, jobs=2, keep=keep)
    assert not again.value.environment


def spoil_rows(manifest: dict[str, Any]) -> None:
    manifest["tables"][0]["rows"] += 1


@pytest.mark.lab
def test_broken_sets(run: Run, filled: Database, folder: Path, tmp_path: Path) -> None:
    key, other = new_key(tmp_path), new_key(tmp_path, "other")
    store, server = sets.folder_store(folder), filled.postgres
    good = sets.make_set(server, filled.name, store, "shop", recipients=[key.public])
    path = sets.path_of(folder, good)
    whole, text = path.read_bytes(), (folder / good.prefix / "manifest.json").read_text()
    spool = tmp_path / "spool"
    spool.mkdir()

    def reason(identity: str = key.path) -> str:
        manifest = json.loads((folder / good.prefix / "manifest.json").read_text())
        with pytest.raises(fetch.BrokenSet) as broken:
            keys = fetch.codec.identities_of(identity, "identity_file")
            fetch.spool(run, store, good.prefix, manifest, keys, str(spool))
        for left in spool.iterdir():
            left.unlink()
        path.write_bytes(whole)
        (folder / good.prefix / "manifest.json").write_text(text)
        return str(broken.value)

    def agree(**more: str) -> None:
        about = {"size": path.stat().st_size, **more}
        sets.rewrite_manifest(folder, good, lambda one: one["parts"][path.name].update(about))

    def own_sum() -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    sets.truncate(folder, good)
    assert "bytes long, and was" in reason()
    sets.truncate(folder, good)
    agree()
    assert "sha256" in reason()
    for share in (0.1, 0.9):
        sets.truncate(folder, good, share)
        agree(sha256=own_sum())
        assert "unusable" in reason()
        sets.flip(folder, good, share)
        agree(sha256=own_sum())
        assert "unusable" in reason()
    sets.empty(folder, good)
    assert "is empty" in reason()
    path.unlink()
    assert "is missing" in reason()
    for share in (0.001, 0.5, 0.9999):
        sets.flip(folder, good, share)
        why = reason()
        assert "differs" in why or "unusable" in why
    assert "no key fits" in reason(other.path)
    path.write_bytes(b"".join(fetch.codec.seal([b"no archive"], fetch.codec.recipients_of([key.public], "r"))))
    agree(sha256=own_sum())
    assert "not an archive" in reason()
    sets.rewrite_manifest(folder, good, spoil_rows)
    assert "its manifest" in reason()
    sets.rewrite_manifest(folder, good, lambda one: one["tables"].pop())
    assert "does not know 1 table" in reason()
    sets.rewrite_manifest(folder, good, lambda one: one["tables"].append({"name": "public.gone", "rows": 3}))
    assert "lacks 1 table of the manifest: public.gone" in reason()
    sets.rewrite_manifest(folder, good, lambda one: one["blocks"].update({next(iter(one["blocks"])): 7}))
    assert "begin" in reason()


@pytest.mark.lab
def test_the_disk_is_full(
    run: Run, filled: Database, folder: Path, tmp_path: Path, small_disk: Callable[[Path, str], None]
) -> None:
    """The room was there when it was looked at, and was not when it was needed."""
    small = tmp_path / "small"
    small.mkdir()
    small_disk(small, "1m")
    store = sets.folder_store(folder)
    made = sets.make_set(filled.postgres, filled.name, store, "shop")
    assert made.manifest["logical_bytes"] > 1 << 20
    with pytest.raises(Refused, match=r"scratch_dir .*larger"):
        fetch.spool(run, store, made.prefix, made.manifest, None, str(small), option="scratch_dir")
    grown = {**made.manifest, "logical_bytes": -fetch.MARGIN_BYTES}
    with pytest.raises(Refused, match=r"full; set scratch_dir"):
        fetch.spool(run, store, made.prefix, grown, None, str(small), option="scratch_dir")
