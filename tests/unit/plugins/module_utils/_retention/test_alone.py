# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not be at work at the same time: two retentions, and a backup while partitions go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab import demo
from tests.lab import module as modules
from tests.lab.module import Module
from tests.unit.plugins.module_utils._retention import places, test_whole
from tests.unit.plugins.module_utils._retention.places import Place, number
from tests.unit.plugins.module_utils._retention.test_whole import place as partitioned

__all__ = ["partitioned"]
pytestmark = pytest.mark.lab


def seen(place: Place) -> tuple[Any, ...]:
    """All that a run changes."""
    ledger = place.database.execute("SELECT l::text FROM day2.retention_ledger l ORDER BY id")
    return place.rows(), ledger, [*place.store.list("v1/")]


def test_a_second_retention_is_refused_and_changes_nothing(place: Place, tmp_path: Path) -> None:
    before = places.fill(place)
    first = place.start(patch=places.wait_in(tmp_path), run={"id": "first"})
    places.there(tmp_path)
    now = seen(place)
    for check in (True, False):
        second = place.retain(check=check, run={"id": "second"})
        assert second.get("failed") and second["error"]["kind"] == "refused", second
        assert not second["changed"] and second["actions"] == []
        words = f"Failed to lock {place.database.name} for retention: day2/first/locks (pid "
        assert second["msg"].startswith(words) and "holds the retention lock for" in second["msg"], second["msg"]
    assert seen(place) == now
    (tmp_path / "go").touch()
    result = first.result()
    assert number(result, "rows_deleted") == 3000, result
    # Nobody is there any more.
    assert place.done(run={"id": "second"})["actions"] == []
    place.restored()
    assert place.rows() == before


def back_up(place: Place, patch: str = "") -> Module:
    """A backup into the same store. There are two slots for heavy work: it is not for want of one that others wait."""
    server = place.database.postgres
    own = {"bin_dir": str(server.tool("pg_dump").parent), "backup_encryption": "none", "server_slots": 2}
    arguments = {**place.database.login(demo.BACKUP), **place.store_options, **own}
    place.started.append(modules.start("postgresql_backup", arguments, patch=patch, id="b1", target=places.TARGET))
    return place.started[-1]


def test_no_partition_goes_while_a_backup_runs(partitioned: Place, tmp_path: Path) -> None:
    """pg_dump locks the tables that it found at the beginning, and ends with an error where one is gone by then."""
    place = partitioned
    place.options = {"server_slots": 2}
    before = place.rows()
    backup = back_up(place, places.wait_in(tmp_path, "_backup.backup", "_act"))
    places.there(tmp_path)
    now = seen(place)
    *drops, rest = place.done()["actions"]
    # Row by row they would go, too.
    assert (rest["action"], rest["status"]) == ("delete_rows", "deferred") and "p1 has not gone" in rest["reason"], rest
    assert len(drops) == 2
    for action in drops:
        assert (action["action"], action["status"]) == ("drop_partition", "deferred"), action
        assert "day2/b1/locks (pid " in action["reason"] and "holds the backup lock for" in action["reason"], action
    attached = "SELECT count(*), bool_or(inhdetachpending) FROM pg_inherits WHERE inhparent = 'events'::regclass"
    assert place.database.execute(attached) == [(3, False)] and seen(place) == now
    assert place.database.value("SELECT obj_description('p1'::regclass)") == "the first"
    (tmp_path / "go").touch()
    assert backup.result()["error"] is None
    assert {one["status"] for one in place.done()["actions"]} == {"done"}
    test_whole.proven(place, before)


def test_no_backup_begins_while_a_partition_goes(partitioned: Place, tmp_path: Path) -> None:
    place = partitioned
    place.options = {"server_slots": 2}
    before = place.rows()
    module = place.start(patch=places.wait_in(tmp_path, "_retention.whole", "_archive"))
    places.there(tmp_path)
    refused = back_up(place).result()
    assert refused.get("failed") and refused["error"]["kind"] == "refused", refused
    assert "day2/t1/locks (pid " in refused["msg"] and "holds the backup lock" in refused["msg"], refused["msg"]
    assert [*place.store.list("v1/backups/")] == []
    (tmp_path / "go").touch()
    assert {one["status"] for one in module.result()["actions"]} == {"done"}
    assert back_up(place).result()["error"] is None
    test_whole.proven(place, before)
