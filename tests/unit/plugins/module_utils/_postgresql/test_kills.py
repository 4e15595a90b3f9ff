# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ends of the maintenance at random moments: the next run leaves nothing of them."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.lab import demo
from tests.lab import module as modules
from tests.lab.fixtures import Database
from tests.lab.module import Module
from tests.unit.plugins.module_utils._postgresql.place import Place
from tests.unit.plugins.module_utils._retention import places

pytestmark = pytest.mark.lab
KILLS = 10
NAMES = ("a", "b", "c")
GIVEN: dict[str, Any] = {"index_min_bytes": 1 << 17, "lock_timeout": 1}
OURS = "FROM pg_stat_activity WHERE application_name LIKE 'day2/%%' AND datname IN (current_database(), 'postgres')"
END = f"SELECT pg_terminate_backend(pid) {OURS}"
WORKING = f"SELECT pid {OURS} AND state = 'active' AND query ~ '^(VACUUM|REINDEX|ANALYZE|DROP)'"
INDEXES = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = ANY(%s::regclass[]) ORDER BY 1"


@pytest.fixture
def worn(database: Database) -> Place:
    """Three tables of which half the rows are dead, each with two indexes that are bloated."""
    for name in NAMES:
        for statement in (
            f"CREATE TABLE {name} (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off)",
            f"INSERT INTO {name} SELECT g, 'x' || g % 1000 FROM generate_series(1, 40000) g",
            f"CREATE INDEX {name}_note ON {name} (note, id)",
            f"DELETE FROM {name} WHERE id % 2 = 0",
        ):
            database.execute(statement, user=demo.OWNER)
    return Place(database)


def test_random_kills(worn: Place, tmp_path: Path) -> None:
    """Of the module or of one of its sessions, while all indexes are rebuilt and all tables vacuumed."""
    seed = int(os.environ.get("DAY2_SEED") or time.time())
    print(f"seed: DAY2_SEED={seed}")
    dice = random.Random(seed)
    database = worn.database
    before = database.execute(INDEXES, [list(NAMES)])
    struck = left = 0
    for turn in range(KILLS):
        sure = turn % 5 == 0
        folder = tmp_path / f"{turn}"
        folder.mkdir()
        # No rebuild begins before the writer is there, or all do as they like.
        hold = places.wait_in(folder, "_postgresql.locks", "Locks.exclude", when="a[1] == 'reindex'") if sure else ""
        module = start(worn, hold, scope="all", jobs=dice.choice((1, 2)), **GIVEN)
        # A writer, for which rebuilds wait in one of their phases.
        with closing(database.connect(autocommit=False)) as writer:
            if sure:
                places.there(folder)
                for name in NAMES:
                    writer.cursor().execute(f"UPDATE {name} SET note = note || '!' WHERE id %% 997 = %s", [turn])
                (folder / "go").touch()
                worn.until_running("REINDEX")
                assert module.process.poll() is None
            else:
                there(worn, module)
                time.sleep(dice.uniform(0.0, 0.4))
                update = f"UPDATE {dice.choice(NAMES)} SET note = note || '!' WHERE id %% 997 = %s"
                writer.cursor().execute(update, [dice.randrange(997)])
                time.sleep(dice.uniform(0.0, 0.6))
                if dice.random() < 0.4:
                    database.execute(END + " ORDER BY random() LIMIT 1")
                    time.sleep(dice.uniform(0.0, 0.3))
            working = database.execute(WORKING)
            struck += sure or (bool(working) and module.process.poll() is None)
            module.kill()
            if dice.random() < 0.7:
                # As the server does by itself, 5 s later.
                database.execute(END)
            writer.rollback()
        gone(worn, 15.0)
        left += len(worn.invalid())
    result = worn.maintain(**GIVEN)
    print(f"{struck} of {KILLS} kills came while it worked, {left} invalid indexes seen; {result['plan_summary']}")
    assert struck >= KILLS / 5
    assert result["error"] is None, result["msg"]
    assert database.execute(INDEXES, [list(NAMES)]) == before, "an index is lost, invalid, or there twice"
    again = worn.maintain(**GIVEN)
    assert not again["changed"] and again["actions"] == [], again["actions"]
    gone(worn, 5.0)


def start(place: Place, patch: str, **given: Any) -> Module:
    arguments = {**place.database.login(demo.MAINTENANCE), **given}
    place.started.append(modules.start("postgresql_maintenance", arguments, patch=patch, target=place.database.name))
    return place.started[-1]


def there(place: Place, module: Module) -> None:
    """Its sessions have begun, or it was refused."""
    while not place.database.execute(f"SELECT pid {OURS}") and module.process.poll() is None:
        time.sleep(0.02)


def gone(place: Place, seconds: float) -> None:
    """No session of ours is there any more."""
    until = time.monotonic() + seconds
    while place.database.execute(f"SELECT pid {OURS}"):
        assert time.monotonic() < until, f"sessions of ours are there {seconds} s after the module"
        time.sleep(0.05)
