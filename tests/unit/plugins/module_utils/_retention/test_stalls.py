# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store that falls silent, whatever was about to be put there: nobody in the database waits for it."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.lab import Lab
from tests.lab.processes import wait_until
from tests.lab.s3 import S3
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place

pytestmark = pytest.mark.lab

PUT, DELETED, CLOSE = ("_retention.copy", "Pass._stored"), ("_retention.delete", "Deleter._count"), "_retention.chunk"
# Of three chunks of 1000 rows: the calls before which the store falls silent, each by its number, and how many rows
# can go without it.
MOMENTS = {
    "first-chunk": ([(*PUT, 1)], 0),
    "second-chunk-while-rows-of-the-first-go": ([(*PUT, 2), (*DELETED, 1)], 1000),
    "manifest": ([(CLOSE, "close", 1), (*PUT, 3)], 2000),
    "last-manifest": ([(CLOSE, "close", 3)], 3000),
}
LONGER = ("first-chunk", "last-manifest")
# Whatever would keep a lock, or rows that are dead from being removed.
OPEN = """
SELECT application_name, state, query FROM pg_stat_activity
 WHERE application_name LIKE 'day2/%%'
   AND (xact_start IS NOT NULL OR backend_xid IS NOT NULL OR backend_xmin IS NOT NULL OR state ~ 'in transaction')
"""


def idle(place: Place) -> bool:
    """No transaction of ours is open, and none begins."""
    for _look in range(10):
        if place.database.execute(OPEN):
            return False
        time.sleep(0.05)
    return True


def use(place: Place) -> None:
    """What the application and its administrator do meanwhile, rows that are due not left out: none of it waits, and
    what is dead can be removed."""
    with closing(place.database.connect(demo.OWNER)) as connection, connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '300ms'")
        for statement in (
            "UPDATE events SET note = note WHERE id > 2990",
            "ALTER TABLE events ADD more int",
            "ALTER TABLE events DROP more",
        ):
            cursor.execute(statement)

        def clean() -> bool:
            cursor.execute("VACUUM events")
            return place.database.value("SELECT dead_tuple_count FROM pgstattuple('events')") == 0

        # The server's own work may keep old rows for a moment.
        wait_until(clean, "dead rows to be removed", 5.0)


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    "moment", [pytest.param(name, marks=[pytest.mark.soak] if name in LONGER else []) for name in MOMENTS]
)
def test_a_store_that_stalls_holds_up_nobody(
    place: Place, lab: Lab, s3: S3, tmp_path: Path, moment: str, seconds: int
) -> None:
    held, gone = MOMENTS[moment]
    before = places.fill(place)
    place.database.execute("ALTER TABLE events SET (autovacuum_enabled = off)")
    folders = [tmp_path / f"{number}" for number in range(len(held))]
    patch = places.small_chunks()
    for folder, (module, name, number) in zip(folders, held, strict=True):
        folder.mkdir()
        patch += places.wait_in(folder, module, name, when=f"n == {number}")
    with closing(lab.proxy(s3)) as far:
        place.store_options = places.s3_options(s3, far.port)
        running = place.start(patch=patch)
        for folder in folders:
            places.there(folder)
        far.stall()
        place.store_options = places.s3_options(s3)
        kept = place.objects()
        for folder in folders:
            (folder / "go").touch()
        wait_until(lambda: place.deleted() == gone, f"{gone} rows to go", 20.0)
        wait_until(lambda: idle(place), "its sessions to rest", 10.0)
        seen: list[Any] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            use(place)
            seen += place.database.execute(OPEN)
            time.sleep(0.2)
        assert seen == []
        assert running.process.poll() is None and place.deleted() == gone and place.objects() == kept
        far.resume()
        result = running.result(180)
    assert not result.get("failed"), result["msg"]
    remaining = place.rows()
    # The due rows that somebody changed before they could go have stayed.
    assert len(remaining) + place.deleted() == 5000 and len(remaining) in (2000, 2010)
    assert len(place.objects("/manifest.json")) == 3
    place.restored()
    assert places.differences(place.rows(), before) == []
