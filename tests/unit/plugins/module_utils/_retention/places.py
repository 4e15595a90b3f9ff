# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database, a store, and the modules of retention working on both as the least-privilege role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest
from psycopg2 import sql

from ansible_collections.day2.ops.plugins.module_utils._retention.policy import policies_of, policy_options
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab import demo
from tests.lab import module as modules
from tests.lab.fixtures import Database
from tests.lab.module import Module
from tests.lab.processes import wait_until
from tests.lab.s3 import S3

TARGET = "shop"
UTILS = "ansible_collections.day2.ops.plugins.module_utils"
# As the server writes rows where nothing is left to chance.
EXACT = "SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'"


def policy(**given: Any) -> dict[str, Any]:
    """Rows older than 90 days by ``at``, archived readably, unless something else is said."""
    given = {
        "name": "old",
        "table": "events",
        "column": "at",
        "archive": "plain",
        "max_fraction": 1.0,
        **given,
    }
    if "keep_last" not in given:
        given.setdefault("older_than", "90d")
    return given


@dataclass
class Place:
    database: Database
    store_options: dict[str, Any]
    policies: list[dict[str, Any]] = field(default_factory=lambda: [policy()])
    options: dict[str, Any] = field(default_factory=dict)
    started: list[Module] = field(default_factory=list)
    login: dict[str, Any] = field(default_factory=dict)

    def let(self, *tables: tuple[str, str]) -> None:
        """Give the role what it needs on the tables, and no more."""
        demo.let_retain(self.database.postgres, self.database.name, tables or [("public", "events")], restore=True)

    def accept(self) -> None:
        """The policies have run here as they are: no approved plan is needed."""
        defaults = {name: one.get("default") for name, one in policy_options().items()}
        for one in policies_of({"policies": [{**defaults, **each} for each in self.policies]}):
            self.database.execute(
                "INSERT INTO day2.retention_ledger (run, target, policy, policy_hash, relation, kind) "
                "VALUES ('t0', %s, %s, %s, '', 'accept')",
                [TARGET, one.name, one.hash],
            )

    def start(
        self, name: str = "postgresql_retention", *, patch: str = "", check: bool = False, **given: Any
    ) -> Module:
        """``patch``: what is run before the module, in its process."""
        own: dict[str, Any] = {"policies": self.policies, "batch_rows": 500, "lock_timeout": 0.5, **self.options}
        if name != "postgresql_retention":
            own = {"policy": self.policies[0]["name"], "lock_timeout": 5}
        run = {"target": TARGET, **given.pop("run", {})}
        login = {**self.database.login(demo.RETENTION), **self.login}
        arguments = {**login, **self.store_options, **own, **given}
        self.started.append(modules.start(name, arguments, check=check, patch=patch, **run))
        return self.started[-1]

    def retain(self, **given: Any) -> dict[str, Any]:
        return self.start(**given).result()

    def done(self, **given: Any) -> dict[str, Any]:
        result = self.retain(**given)
        assert not result.get("failed"), result.get("msg")
        return result

    def killed(self, patch: str, **given: Any) -> None:
        """A run that ends by kill -9 where ``patch`` says so."""
        module = self.start(patch=patch, **given)
        out, err = module.process.communicate(timeout=60)
        assert module.process.returncode == -9, (module.process.returncode, out, err)

    def restore(self, **given: Any) -> dict[str, Any]:
        return self.start("postgresql_retention_restore", **given).result()

    def restored(self, **given: Any) -> dict[str, Any]:
        result = self.restore(**given)
        assert not result.get("failed"), result.get("msg")
        return result

    def rows(self, table: Sequence[str] = ("public", "events")) -> list[str]:
        """All rows, each as one text."""
        with self.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(EXACT)
            cursor.execute(sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(*table)))
            return [row[0] for row in cursor.fetchall()]

    def ledger(self, kind: str = "delete") -> list[tuple[Any, ...]]:
        """(chunk, first_row, last_row, deleted, stayed, stayed_keys) of each row of this kind."""
        return self.database.execute(
            "SELECT chunk, first_row, last_row, deleted, stayed, stayed_keys FROM day2.retention_ledger "
            "WHERE kind = %s ORDER BY id",
            [kind],
        )

    def deleted(self) -> int:
        return sum(row[3] for row in self.ledger())

    @property
    def store(self) -> Store:
        return open_store(self.store_options, read_only=False)

    def objects(self, end: str = "") -> list[str]:
        return [entry.key for entry in self.store.list("v1/archives/") if entry.key.endswith(end)]


def fill(place: Place, rows: int = 5000, due: int = 3000) -> list[str]:
    """Table ``events`` with rows of which the first ``due`` are old; returns all rows."""
    for statement in (
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text, data jsonb)",
        f"""INSERT INTO events SELECT g, now() - interval '1 day' * CASE WHEN g <= {due} THEN 100 ELSE 10 END,
            E'tab\\t, line\\n, back\\\\slash, \\\\N ' || g, jsonb_build_object('n', g)
            FROM generate_series(1, {rows}) g""",
        "CREATE INDEX ON events (at)",
    ):
        place.database.execute(statement, user=demo.OWNER)
    place.let()
    place.accept()
    return place.rows()


@contextmanager
def kept(place: Place) -> Iterator[None]:
    """No module outlives its test."""
    try:
        yield
    finally:
        for module in place.started:
            module.kill()


def s3_options(s3: S3, port: int = 0) -> dict[str, Any]:
    """A bucket as the store, behind a proxy at ``port`` where there is one."""
    options = {**s3.options(), "store": s3.url("day2")}
    return {**options, "endpoint_url": f"http://127.0.0.1:{port}"} if port else options


def folder_store(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "store"
    folder.mkdir(exist_ok=True)
    return {"store": str(folder)}


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Place]:
    """A database of the demo's kind, with a folder beside it as the store."""
    made = Place(database, folder_store(tmp_path))
    with kept(made):
        yield made


def do_in(module: str, name: str, what: str, *, when: str = "True", after: bool = False) -> str:
    """A patch: ``what`` is done when ``module``'s function ``name`` is called (or has returned) and ``when`` holds,
    which may use its arguments ``a`` and ``n``, how often it was called. Patches can be put together."""
    owner, _dot, function = name.rpartition(".")
    place = f"importlib.import_module('{UTILS}.{module}')" + (f".{owner}" if owner else "")
    return (
        "import importlib, itertools, os, pathlib, random, time\n"
        "def patch(owner):\n"
        f"    old, calls = owner.{function}, itertools.count(1)\n"
        "    def new(*a, **k):\n"
        "        n = next(calls)\n"
        f"        result = {'old(*a, **k)' if after else 'None'}\n"
        f"        if {when}: {what}\n"
        f"        return {'result' if after else 'old(*a, **k)'}\n"
        f"    owner.{function} = new\n"
        f"patch({place})\n"
    )


def die_in(module: str, name: str, *, when: str = "True", after: bool = False) -> str:
    """A patch: kill -9 there."""
    return do_in(module, name, "os.kill(os.getpid(), 9)", when=when, after=after)


def raise_in(module: str, name: str, error: str, *, when: str = "True") -> str:
    """A patch: an error of the collection, as Python that makes it, is raised there."""
    return f"def fail():\n    raise {error}\n" + do_in(module, name, "fail()", when=when)


def somebody_waits(place: Place) -> None:
    """Until a session waits for the end of another one's transaction."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    wait_until(lambda: bool(place.database.value(waiting)), "the delete to wait", 20.0)


def small_chunks(rows: int = 1000) -> str:
    """A patch: no chunk has more rows."""
    return f"import {UTILS}.{'_retention.copy'} as c\nc.FEWEST = c.MOST = {rows}\n"


def wait_in(
    folder: Path, module: str = "_retention.delete", name: str = "Deleter.delete", *, when: str = "True"
) -> str:
    """A patch: where this function is called the module says so in ``folder`` and waits for a word. That of the default
    is called when a chunk is safe in the store, before its first row is deleted."""
    wait = "def wait(place):\n    (place / 'there').touch()\n    while not (place / 'go').exists(): time.sleep(0.02)\n"
    return wait + do_in(module, name, f"wait(pathlib.Path({str(folder)!r}))", when=when)


def there(folder: Path) -> None:
    """The module has come to where :func:`wait_in` holds it."""
    wait_until((folder / "there").exists, "the module to come there", 20.0)


def differences(found: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Some of the rows that are lost, or there twice, or not as they should be: none where all is well."""
    have, want = Counter(found), Counter(expected)
    return [*(f"lost: {row}" for row in want - have), *(f"too much: {row}" for row in have - want)][:10]


def number(result: dict[str, Any], measure: str, position: int = 0) -> Optional[Any]:
    return result["actions"][position]["after"].get(measure)
