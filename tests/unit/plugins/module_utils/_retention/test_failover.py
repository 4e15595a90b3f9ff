# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commits that are lost: in a failover to a standby that was behind, and in a crash of the server."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.lab import demo
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres
from tests.lab.processes import wait_until
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, number

pytestmark = pytest.mark.lab


def archived(place: Place) -> list[str]:
    """The rows that can be put back, put into another table."""
    place.database.execute("CREATE TABLE back (LIKE events INCLUDING ALL)", user=demo.OWNER)
    place.let(("public", "events"), ("public", "back"))
    place.restored(into="public.back")
    return place.rows(("public", "back"))


# -- a failover


def fail_over(lab: Lab, primary: Postgres, place: Place, folder: Path) -> Postgres:
    """Retention in three chunks. Its first one, and half of the second, reach the standby that is the primary then."""
    standby = lab.standby(primary, "failover-standby")
    patch = places.small_chunks() + places.wait_in(folder, "_retention.delete", "Deleter._count", when="n == 3")
    module = place.start(patch=patch)
    places.there(folder)
    # This COMMIT waits for the disk, and so do those before it that did not.
    place.database.execute("CREATE TABLE arrived ()")
    primary.caught_up(standby)
    standby.configure(primary_conninfo="")
    wait_until(lambda: not standby.value("SELECT count(*) FROM pg_stat_wal_receiver"), "the standby to hear no more")
    (folder / "go").touch()
    result = module.result()
    assert number(result, "rows_deleted") == 3000, result
    assert len(place.rows()) == 2000 and len(place.objects("/manifest.json")) == 3
    primary.kill9()
    standby.promote()
    return standby


def test_a_failover_that_loses_commits(pg: Postgres, lab: Lab, tmp_path: Path) -> None:
    """The rows are there again, and in the archives, too. Nobody but a person can tell which of them count."""
    primary = lab.postgres(pg.major, "retention-primary")
    demo.create_roles(primary)
    primary.create_database("shop", owner=demo.OWNER)
    past = Place(Database(primary, "shop"), places.folder_store(tmp_path))
    past.database.execute(f"GRANT ALL ON SCHEMA public TO {demo.OWNER}")
    before = places.fill(past)
    with places.kept(past):
        server = fail_over(lab, primary, past, tmp_path)

    found = Place(Database(server, "shop"), past.store_options)
    remaining, kept, known = found.rows(), found.objects(), found.ledger()
    assert len(remaining) == 3500 and found.deleted() == 1500
    refused = found.retain()
    assert refused["error"]["kind"] == "refused" and "(and 1 more)" in refused["msg"], refused["msg"]
    assert "lost commits in a failover" in refused["msg"] and "adopt" in refused["msg"], refused["msg"]
    assert (found.rows(), found.objects(), found.ledger()) == (remaining, kept, known)

    # The application goes on: of the rows that are there again one in each chunk is not what was archived.
    change = "UPDATE events SET note = 'after the failover' WHERE id IN (1700, 2500) RETURNING id, events::text"
    changed = dict(found.database.execute(change, user=demo.OWNER))
    expected = [row for row in before if int(row[1:].partition(",")[0]) not in changed]
    expected += changed.values()
    for side in ("store", "database"):
        store = tmp_path / f"copy-for-{side}"
        shutil.copytree(past.store_options["store"], store)
        server.create_database(side, owner=demo.OWNER, template="shop")
        place = Place(Database(server, side), {"store": str(store)})
        adopted = place.done(adopt=side)
        left = next(one for one in adopted["checks"] if one["check"] == "postgresql_retention_left")
        assert left["evidence"]["adopted"] == 2, left
        if side == "store":
            # Nothing is copied anew. What is not as it was archived stays, and goes the usual way next time.
            assert len(place.rows()) == 2002 and len(place.objects("/about.json")) == 3
            assert place.objects("/void.json") == [] and number(place.done(), "rows_deleted") == 2
        else:
            # Of the second chunk half counts.
            assert len(place.objects("/void.json")) == 1 and len(place.objects("/about.json")) == 4
            assert not place.done()["changed"]
        remaining = place.rows()
        assert len(remaining) == 2000
        assert places.differences([*remaining, *archived(place)], expected) == []
    server.stop("immediate")


# -- a crash


@pytest.fixture(scope="module")
def lingering(pg: Postgres, lab: Lab) -> Iterator[Postgres]:
    """A server in which nobody but its WAL writer makes asynchronous commits safe; see :func:`nobody_writes`."""
    settings = {"autovacuum": "off", "bgwriter_lru_maxpages": 0, "wal_writer_delay": "10s"}
    server = lab.postgres(pg.major, "lingering", settings)
    demo.create_roles(server)
    yield server
    server.kill9()


@contextmanager
def nobody_writes(server: Postgres) -> Iterator[None]:
    """Asynchronous commits stay in the server's memory."""
    pid = server.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it went with its server
            os.kill(pid, signal.SIGCONT)


def crash(place: Place) -> None:
    """The server is killed and comes back without an asynchronous commit of somebody else."""
    server, database = place.database.postgres, place.database
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("INSERT INTO lingers VALUES (1)")
        server.kill9()
    server.start()
    assert database.value("SELECT count(*) FROM lingers") == 0, "what was committed does not linger here"


ENOUGH = f"__import__({places.UTILS!r} + '._core.errors', fromlist=['']).Braked('enough')"
BRAKED = places.raise_in("_retention.delete", "Deleter._count", ENOUGH, when="n == 3")
CLOSED = {
    # How the chunk came to be closed, where its run is held then, and what is gone by then.
    "deleted-to-its-end": (places.small_chunks(), ("_retention.delete", "Deleter.delete", "n == 2"), 1000),
    "braked-in-the-middle": (BRAKED, None, 1500),
    "left-by-a-killed-run": ("", ("_retention.retention", "find", "True"), 1500),
}


@pytest.mark.parametrize("how", CLOSED)
def test_a_chunk_that_is_closed_outlives_a_crash(
    lingering: Postgres, new_database: Callable[[Postgres], Database], tmp_path: Path, how: str
) -> None:
    """The manifest says what the ledger says, so that must be safe before: batches are committed asynchronously."""
    patch, held, gone = CLOSED[how]
    place = Place(new_database(lingering), places.folder_store(tmp_path))
    place.database.execute("CREATE TABLE lingers (one int)")
    before = places.fill(place)
    with places.kept(place), nobody_writes(lingering):
        if how == "left-by-a-killed-run":
            place.killed(places.die_in("_retention.delete", "Deleter._count", when="n == 3"))
            assert place.objects("/manifest.json") == []
        if held:
            module, name, when = held
            running = place.start(patch=patch + places.wait_in(tmp_path, module, name, when=when))
            places.there(tmp_path)
        else:
            running = place.start(patch=patch)
            assert running.process.wait(60) == 0
        (manifest,) = wait_until(lambda: place.objects("/manifest.json"), "a chunk to be closed")
        assert json.loads(place.store.get(manifest).data)["deleted"] == gone
        crash(place)
        (tmp_path / "go").touch()
        running.process.wait(60)
        assert place.deleted() == gone and len(place.rows()) == 5000 - gone
        assert number(place.done(), "rows_deleted") == 3000 - gone
    assert places.differences([*place.rows(), *archived(place)], before) == []
