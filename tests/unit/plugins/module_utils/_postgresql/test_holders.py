# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds up work without a session on the server: prepared transactions, replication slots, readers of a standby."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres
from tests.lab.processes import wait_until
from tests.unit.plugins.module_utils._postgresql.place import Place

pytestmark = pytest.mark.lab
VACUUM: dict[str, Any] = {"operations": ["vacuum"], "tables": ["orders"]}
STANDBY, SLOT = "held-standby", "held_standby"


@pytest.fixture(scope="module")
def primary(lab: Lab, pg: Postgres) -> Iterator[Postgres]:
    settings = {"wal_level": "logical", "max_prepared_transactions": 2, "wal_receiver_status_interval": 1}
    server = lab.postgres(pg.major, f"held-{pg.major}", settings)
    demo.create_roles(server)
    lab.standby(server, STANDBY)
    yield server
    for one in (*server.standbys, server):
        one.stop("immediate")


@pytest.fixture
def database(primary: Postgres, new_database: Callable[..., Database]) -> Database:
    return new_database(primary)


def more_dies(place: Place) -> None:
    """Dead rows since the last vacuum: whoever was there before it may still see them all."""
    place.database.execute("VACUUM orders")
    place.until_counted(0)
    place.database.execute("DELETE FROM orders WHERE id % 3 = 0", user=demo.OWNER)
    place.until_counted(50_000)


def only(result: dict[str, Any], status: str) -> dict[str, Any]:
    (action,) = result["actions"]
    assert action["status"] == status, action
    return action  # type: ignore[no-any-return]


@pytest.fixture
def prepare(place: Place) -> Iterator[Callable[[str], None]]:
    """Leaves a statement's transaction prepared, as ``px``; with "" it is over."""

    def change(statement: str) -> None:
        if statement:
            place.database.execute(f"BEGIN; {statement}; PREPARE TRANSACTION 'px'")
        elif place.database.execute("SELECT gid FROM pg_prepared_xacts"):
            place.database.execute("ROLLBACK PREPARED 'px'")

    yield change
    change("")


def test_a_prepared_transaction_keeps_dead_rows(place: Place, prepare: Callable[[str], None]) -> None:
    prepare("CREATE TABLE elsewhere ()")
    more_dies(place)
    action = only(place.maintain(**VACUUM), "deferred")
    assert "nothing can be removed while the prepared transaction px is open" in action["reason"]
    assert action["predicted"]["held_by"] == "the prepared transaction px"
    prepare("")
    only(place.maintain(**VACUUM), "done")


def test_a_prepared_transaction_keeps_a_rebuild_waiting(place: Place, prepare: Callable[[str], None]) -> None:
    given: dict[str, Any] = {"operations": ["reindex"], "tables": ["orders"], "scope": "all", "cleanup_reserve": 1}
    prepare("UPDATE orders SET note = 'y' WHERE id = 1")
    action = only(place.start(seconds=8, **given).result(), "deferred")
    assert re.search(r"it would wait for the prepared transaction px, open for \d s$", action["reason"]), action
    # The server finds its locks again under another number.
    place.database.postgres.restart()
    assert "it would wait for the prepared" in only(place.start(seconds=8, **given).result(), "deferred")["reason"]
    prepare("")
    only(place.maintain(**given), "done")


def test_a_prepared_transaction_keeps_its_lock(place: Place, prepare: Callable[[str], None]) -> None:
    prepare("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
    action = only(place.maintain(lock_timeout=0.3, **VACUUM), "deferred")
    assert "the prepared transaction px kept it locked through 3 tries of 0.3 s" in action["reason"]


SLOT_TELLS = "SELECT xmin::text FROM pg_replication_slots WHERE slot_name = 'held_standby'"
SENDER_TELLS = "SELECT backend_xmin::text FROM pg_stat_replication"
ACTIVE = "SELECT active FROM pg_replication_slots WHERE slot_name = 'held_standby'"


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    """It tells the primary, each second, what is still seen there."""
    (server,) = primary.standbys
    server.configure(hot_standby_feedback="on")
    yield server
    server.start()
    server.configure(hot_standby_feedback=None)
    wait_until(lambda: primary.value(SLOT_TELLS) is None, "the standby to keep nothing")


@contextlib.contextmanager
def reader_of(standby: Postgres, place: Place, told: str) -> Iterator[None]:
    """An old snapshot there, of which the primary knows: by ``told``."""
    primary = place.database.postgres
    primary.caught_up(standby)
    with contextlib.closing(standby.connect(place.database.name)) as reader:
        reader.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        seen = "SELECT backend_xmin::text FROM pg_stat_activity WHERE pid = %s"
        oldest = standby.value(seen, [reader.info.backend_pid])
        wait_until(lambda: primary.value(told) == oldest, "the standby to tell what is seen there")
        yield


def test_the_slot_of_a_standby_keeps_dead_rows(place: Place, standby: Postgres) -> None:
    database = place.database
    with reader_of(standby, place, SLOT_TELLS):
        oldest = database.value(SLOT_TELLS)
        more_dies(place)
        # What a slot keeps moves on with its reader: only the attempt shows that nothing can be removed.
        action = only(place.maintain(**VACUUM), "failed")
        assert f"dead rows could not be removed while the replication slot {SLOT} is open" in action["error"]
        assert action["after"]["held_by"] == f"the replication slot {SLOT}"
        standby.stop()
    # Without a reader it keeps the same for ever. Since when it has none, servers before 17 do not tell.
    wait_until(lambda: database.value(ACTIVE) is False, "the standby to be missed")
    database.execute("VACUUM orders")
    action = only(place.maintain(**VACUUM), "deferred" if standby.major >= 17 else "failed")
    assert f"the replication slot {SLOT} is open" in (action["error"] or action["reason"])
    standby.start()
    wait_until(lambda: database.value(SLOT_TELLS) != oldest, "the slot to move on")
    only(place.maintain(**VACUUM), "done")


@pytest.fixture
def without_slot(primary: Postgres, standby: Postgres) -> Iterator[None]:
    standby.configure(primary_slot_name="")
    wait_until(lambda: primary.value(ACTIVE) is False, "the slot to be left")
    primary.execute("SELECT pg_drop_replication_slot(%s)", [SLOT])
    yield
    primary.execute("SELECT pg_create_physical_replication_slot(%s, true)", [SLOT])
    standby.configure(primary_slot_name=SLOT)
    wait_until(lambda: primary.value(ACTIVE), "the slot to be taken")


def test_a_standby_without_slot_keeps_dead_rows(place: Place, standby: Postgres, without_slot: None) -> None:
    with reader_of(standby, place, SENDER_TELLS):
        more_dies(place)
        action = only(place.maintain(**VACUUM), "failed")
        pid = place.database.value("SELECT pid FROM pg_stat_replication")
        assert f"dead rows could not be removed while the standby {STANDBY} (pid {pid}) is open" in action["error"]


def test_a_slot_that_keeps_rows_of_catalogs_only_is_not_named(place: Place, primary: Postgres) -> None:
    place.database.execute("SELECT pg_create_logical_replication_slot('changes', 'pgoutput')")
    try:
        assert place.database.value("SELECT catalog_xmin FROM pg_replication_slots WHERE slot_name = 'changes'")
        more_dies(place)
        only(place.maintain(**VACUUM), "done")
    finally:
        primary.execute("SELECT pg_drop_replication_slot('changes')")
