# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures with real servers. tests/conftest.py: pytest_plugins = ["tests.lab.fixtures"].

def test_one(pg18): ...                      # the session's PostgreSQL 18
@all_majors                                  # or: @majors(14, 18)
def test_each(pg): ...
def test_data(database): ...                 # a fresh database on pg
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest

from . import demo
from .downloads import MAJORS
from .lab import Lab
from .postgres import SUPERUSER, Postgres
from .prometheus import Prometheus
from .redis import Redis
from .s3 import S3


@dataclass(frozen=True)
class Database:
    """A database of a server; its methods are those of Postgres with the database filled in."""

    postgres: Postgres
    name: str

    def connect(self, user: str = SUPERUSER, **more: Any) -> psycopg2.extensions.connection:
        return self.postgres.connect(self.name, user, **more)

    def execute(self, statement: str, params: Any = None, *, user: str = SUPERUSER) -> list[tuple[Any, ...]]:
        return self.postgres.execute(statement, params, dbname=self.name, user=user)

    def value(self, statement: str, params: Any = None, *, user: str = SUPERUSER) -> Any:
        return self.postgres.value(statement, params, dbname=self.name, user=user)

    def login(self, user: str = SUPERUSER) -> dict[str, Any]:
        """Connection options of the collection's modules."""
        return self.postgres.login(self.name, user)


def majors(*wanted: int, soak: Iterable[int] = ()) -> pytest.MarkDecorator:
    """Run a test with the fixture pg once for each of these major versions; for those in ``soak`` only there."""
    usual = [pytest.param(major, id=f"pg{major}") for major in wanted]
    return pytest.mark.parametrize(
        "pg", [*usual, *(pytest.param(major, id=f"pg{major}", marks=pytest.mark.soak) for major in soak)], indirect=True
    )


all_majors = majors(*MAJORS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--major", type=int, choices=MAJORS, help="the PostgreSQL of the fixture pg, whatever a test says")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: needs real servers and some seconds; deselect with -m 'not lab'")
    config.addinivalue_line("markers", "soak: a variant of what another test has seen; runs in make soak only")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The session's lab. Servers that a test starts in it live until the session ends, unless the test stops them."""
    with Lab() as made:
        yield made
    _shared_servers.clear()


_shared_servers: dict[int, Postgres] = {}


def pytest_runtest_setup() -> None:
    """A test may have killed a server that the next one shares."""
    for server in _shared_servers.values():
        server.start()


def _shared(lab: Lab, major: int) -> Postgres:
    if major not in _shared_servers:
        server = lab.postgres(major, f"shared-{major}")
        demo.create_roles(server)
        _shared_servers[major] = server
    return _shared_servers[major]


@pytest.fixture(scope="session")
def pg(lab: Lab, request: pytest.FixtureRequest) -> Postgres:
    """A PostgreSQL server with the roles of the demo (see demo.create_roles); 18 unless @majors or --major says
    otherwise."""
    return _shared(lab, request.config.getoption("major") or getattr(request, "param", MAJORS[-1]))


@pytest.fixture(scope="session")
def pg18(lab: Lab) -> Postgres:
    return _shared(lab, 18)


@pytest.fixture
def new_database() -> Iterator[Callable[..., Database]]:
    """Makes fresh databases: new_database(pg18, owner="orchestrator"). They are dropped after the test."""
    made: list[Database] = []

    def make(
        server: Postgres,
        owner: str | None = demo.OWNER,
        extensions: tuple[str, ...] = ("pgstattuple", "pg_stat_statements"),
    ) -> Database:
        database = Database(server, f"test_{secrets.token_hex(5)}")
        server.create_database(database.name, owner=owner)
        made.append(database)
        for extension in extensions:
            database.execute(f"CREATE EXTENSION {extension}")
        if owner:
            database.execute(f'GRANT ALL ON SCHEMA public TO "{owner}"')
        return database

    yield make
    for database in made:
        database.postgres.start()
        database.postgres.drop_database(database.name)


@pytest.fixture
def database(pg: Postgres, new_database: Callable[..., Database]) -> Database:
    """A fresh database on pg, owned by orchestrator, with pgstattuple and pg_stat_statements."""
    return new_database(pg)


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[Callable[[Path, str], None]]:
    """Makes an empty folder a file system of its own, or gives it another size: small_disk(folder, "1m"). It belongs to
    the servers' user. Whoever works in it must be gone at the end. Skips the test where nothing can be mounted."""
    made: list[Path] = []

    def mount(folder: Path, options: str) -> str:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr.strip() if done.returncode else ""

    def make(folder: Path, size: str) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small file system")
        if folder in made:
            assert not mount(folder, f"remount,size={size}")
            return
        owner = f",uid={lab.account.uid},gid={lab.account.gid}" if lab.account else ""
        if trouble := mount(folder, f"size={size},mode=700{owner}"):
            pytest.skip(f"no file system can be mounted here: {trouble}")
        made.append(folder)

    yield make
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def prometheus(lab: Lab) -> Prometheus:
    """The session's Prometheus; each test gives its gauges names of their own."""
    return lab.prometheus("shared-prometheus")


@pytest.fixture(scope="session")
def shared_redis(lab: Lab) -> Redis:
    return lab.redis("shared-redis")


@pytest.fixture
def redis_server(shared_redis: Redis) -> Redis:
    """The session's Redis, emptied."""
    with shared_redis.client() as client:
        client.flushall()
    return shared_redis


@pytest.fixture(scope="session")
def shared_s3(lab: Lab) -> S3:
    return lab.s3("shared-s3")


@pytest.fixture
def s3(shared_s3: S3) -> Iterator[S3]:
    """The session's S3 with a bucket of the test's own, and no faults before or after."""
    shared_s3.heal()
    yield shared_s3.another_bucket()
    shared_s3.heal()
