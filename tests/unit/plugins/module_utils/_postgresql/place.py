# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database with a bloated table, and the module at work on it as Ansible starts it, with the least privileges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

import pytest

from tests.lab import demo
from tests.lab import module as modules
from tests.lab.fixtures import Database


@dataclass
class Place:
    """A database with a bloated table, and the module working on it."""

    database: Database
    started: list[modules.Module] = field(default_factory=list)

    def start(
        self, name: str = "postgresql_maintenance", /, seconds: Optional[float] = None, **given: Any
    ) -> modules.Module:
        arguments = {**self.database.login(demo.MAINTENANCE), **given}
        about = {"id": "t1", "target": self.database.name}
        if seconds is not None:
            end = datetime.now(timezone.utc) + timedelta(seconds=seconds)
            about["deadline"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.started.append(modules.start(name, arguments, **about))
        return self.started[-1]

    def maintain(self, **given: Any) -> dict[str, Any]:
        return self.start(**given).result()

    def until_running(self, words: str) -> None:
        self._until(words, True)

    def until_gone(self, words: str, seconds: float) -> None:
        self._until(words, False, seconds)

    def _until(self, words: str, wanted: bool, seconds: float = 20.0) -> None:
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'active' "
            "AND query ILIKE %s AND pid <> pg_backend_pid()"
        )
        end = time.monotonic() + seconds
        while (self.database.value(statement, [self.database.name, words + "%"]) > 0) is not wanted:
            assert time.monotonic() < end, f"{words}: not {'running' if wanted else 'gone'} after {seconds} s"
            time.sleep(0.05)

    def until_counted(self, dead: int) -> None:
        """The collector of 14 is told of changes late, and tells of them later: up to a second in all."""
        end = time.monotonic() + 10
        while self.database.value("SELECT pg_stat_get_dead_tuples('orders'::regclass)") != dead:
            assert time.monotonic() < end, f"the server never counted {dead} dead rows"
            time.sleep(0.05)

    def invalid(self) -> list[str]:
        rows = self.database.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1")
        return [row[0] for row in rows]


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    for statement in (
        'CREATE SCHEMA "Odd.Schema"',
        "CREATE TABLE orders (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
        "INSERT INTO orders SELECT g, repeat('x', 40) FROM generate_series(1, 300000) g",
        'CREATE TABLE "Odd.Schema"."We""ird.T" (id int) WITH (autovacuum_enabled = off)',
        'INSERT INTO "Odd.Schema"."We""ird.T" SELECT g FROM generate_series(1, 5000) g',
        "DELETE FROM orders WHERE id % 2 = 0",
    ):
        database.execute(statement, user=demo.OWNER)
    database.execute('GRANT CREATE ON SCHEMA public TO "orchestrator"')
    made = Place(database)
    made.until_counted(150_000)
    yield made
    for module in made.started:
        module.kill()


@pytest.fixture
def slow(place: Place) -> Iterator[None]:
    """Vacuum takes many seconds."""
    alter = f"ALTER ROLE {demo.MAINTENANCE} IN DATABASE {place.database.name} "
    place.database.execute(alter + "SET vacuum_cost_delay = '50ms'")
    place.database.execute(alter + "SET vacuum_cost_limit = 50")
    yield
    place.database.execute(alter + "RESET ALL")


@pytest.fixture
def hold(place: Place) -> Iterator[Callable[[], None]]:
    """An old snapshot, which a concurrent rebuild waits for; the call lets it go."""
    connection = place.database.connect()
    connection.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    yield connection.close
    connection.close()


def statuses(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(action["action"], action["status"]) for action in result["actions"]]
