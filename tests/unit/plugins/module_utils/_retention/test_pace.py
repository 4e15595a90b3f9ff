# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How batches go: how large, how fast, when no further one begins; over rows that others hide, and past rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import STOP_ROW_SECONDS
from ansible_collections.day2.ops.plugins.module_utils._retention.delete import LONGEST_PAUSE, Pace
from ansible_collections.day2.ops.plugins.module_utils._retention.rows import BLOCK
from tests.lab import demo
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import UTILS, Place, number

lab = pytest.mark.lab


def own(place: Place, *statements: str) -> None:
    for statement in statements:
        place.database.execute(statement, user=demo.OWNER)


# -- how large and how fast


def test_batches_grow_while_they_are_short_and_shrink_when_they_are_long() -> None:
    pace = Pace(0.1, 10_000)
    sizes = []
    for _batch in range(12):
        sizes.append(pace.rows(1.0))
        assert pace.learn(0.01, 1.0) == 0.0
    assert sizes[0] == 4 * BLOCK and sizes[-1] == 10_000 and sizes == sorted(sizes)
    assert pace.learn(0.05, 1.0) == 0.0 and pace.rows(1.0) == 10_000, "as it should be"
    # A little too long: smaller. Far too long: a pause as long as it was, too.
    assert pace.learn(0.12, 1.0) == 0.0 and pace.rows(1.0) == 5_000
    assert pace.learn(0.4, 1.0) == 0.4 and pace.rows(1.0) == 2_500
    for _batch in range(9):
        assert pace.learn(60.0, 1.0) == LONGEST_PAUSE
    assert pace.rows(1.0) == BLOCK


def test_the_brake_makes_batches_smaller_and_pauses_longer() -> None:
    pace = Pace(0.1, 2_000)
    assert [pace.rows(brake) for brake in (1.0, 0.5, 0.25, 0.0)] == [2_000, 1_000, BLOCK, BLOCK]
    assert [round(pace.learn(0.05, brake), 3) for brake in (1.0, 0.5, 0.25, 0.0)] == [0.0, 0.05, 0.15, 0.45]


def batches(place: Place) -> list[int]:
    return [last - first + 1 for _chunk, first, last, *_more in place.ledger()]


@lab
@pytest.mark.parametrize(("seconds", "brake", "largest"), [(60.0, 1.0, 4000), (0.0001, 1.0, BLOCK), (60.0, 0.3, 1200)])
def test_a_run_heeds_its_target_and_the_brake(place: Place, seconds: float, brake: float, largest: int) -> None:
    places.fill(place, 16000, 15000)
    patch = places.small_chunks(20000) + f"import {UTILS}._postgresql.brake as b\nb.Brake.pace = lambda self: {brake}\n"
    result = place.done(patch=patch, batch_rows=4000, batch_seconds=seconds)
    sizes = batches(place)
    # The first ones are no sign: it has to begin somewhere.
    assert max(sizes[2:]) // BLOCK == largest // BLOCK and sum(sizes) == 15000, sizes
    assert (number(result, "paused_seconds") or 0.0) > 0 or (seconds, brake) == (60.0, 1.0)
    assert number(result, "batches") == len(sizes)


# -- when no further one begins


def waiting(tmp_path: Path) -> str:
    """The second batch is done, and the third not begun."""
    return places.wait_in(tmp_path, "_retention.delete", "Deleter._count", when="n == 2")


def left(place: Place, result: dict[str, Any]) -> None:
    """Two batches are gone, all is in order, and the next run goes on."""
    (action,) = result["actions"]
    assert action["status"] == "deferred" and place.deleted() == 1000 == number(result, "rows_deleted"), result
    place.database.execute("DROP TABLE IF EXISTS day2.stop")
    assert number(place.done(), "rows_deleted") == 2000


@lab
def test_a_stop_order_ends_a_run_between_batches(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    place.database.execute("CREATE TABLE day2.stop (target_id text NOT NULL, reason text NOT NULL, until timestamptz)")
    place.database.execute(f"GRANT SELECT ON day2.stop TO {demo.RETENTION}")
    patch = f"import {UTILS}._postgresql.brake as b\nassert b.STOP_ROW_SECONDS == {STOP_ROW_SECONDS}\n"
    module = place.start(patch=patch + "b.STOP_ROW_SECONDS = 0\n" + waiting(tmp_path))
    places.there(tmp_path)
    place.database.execute("INSERT INTO day2.stop VALUES ('shop', 'an incident')")
    (tmp_path / "go").touch()
    result = module.result()
    assert result["error"]["kind"] == "stopped" and "a stop was ordered in day2.stop: an incident" in result["msg"]
    left(place, result)


@lab
def test_another_server_behind_the_name_ends_a_run_between_batches(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    moved = f"import {UTILS}._postgresql.preflight as p\np.IDENTITY_SECONDS = 0\nold = p.moved\n"
    moved += (
        f"p.moved = lambda *a: 'it is another one' if __import__('pathlib').Path({str(tmp_path / 'go')!r}).exists()"
    )
    module = place.start(patch=f"{moved} else old(*a)\n" + waiting(tmp_path))
    places.there(tmp_path)
    (tmp_path / "go").touch()
    result = module.result()
    assert result["error"]["kind"] == "stopped" and "not the server that was planned for" in result["msg"], result
    left(place, result)


# -- rows that others hide


@lab
@pytest.mark.parametrize("moment", [("_retention.copy", "Pass._one"), ("_retention.delete", "Deleter.delete")])
def test_row_security_that_comes_meanwhile_is_an_error_and_no_silence(
    place: Place, tmp_path: Path, moment: tuple[str, str]
) -> None:
    before = places.fill(place)
    module = place.start(patch=places.wait_in(tmp_path, *moment))
    places.there(tmp_path)
    own(place, "CREATE POLICY few ON events USING (id > 2000)", "ALTER TABLE events ENABLE ROW LEVEL SECURITY")
    (tmp_path / "go").touch()
    result = module.result()
    assert result["failed"] and "row-level security" in result["msg"], result
    own(place, "ALTER TABLE events DISABLE ROW LEVEL SECURITY")
    assert place.rows() == before and place.ledger() == []


# -- rules


@lab
def test_rules_that_were_accepted_see_each_row_that_goes_and_no_other(place: Place, tmp_path: Path) -> None:
    places.fill(place)
    own(
        place,
        "CREATE TABLE log (id bigint)",
        f"GRANT INSERT ON log TO {demo.RETENTION}",
        "CREATE RULE telling AS ON DELETE TO events DO ALSO INSERT INTO log VALUES (OLD.id)",
    )
    place.policies = [places.policy(accept=["rules"])]
    place.accept()
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    own(place, "UPDATE events SET note = 'kept' WHERE id IN (7, 600)")
    with place.database.connect(demo.OWNER, autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM events WHERE id = 1500 FOR UPDATE")
        (tmp_path / "go").touch()
        result = module.result()
        other.rollback()
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed")] == [2997, 3], result
    assert [row[3:] for row in place.ledger() if row[4]] == [
        (499, [7], ['["7"]']), (499, [600], ['["600"]']), (499, [1500], ['["1500"]']),
    ]  # fmt: skip
    logged = "SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE id IN (7, 600, 1500)) FROM log"
    assert place.database.execute(logged) == [(2997, 2997, 0)]


@lab
def test_rows_that_a_rule_keeps_stay_and_are_listed(place: Place) -> None:
    before = places.fill(place, 1000, 700)
    own(place, "CREATE RULE never AS ON DELETE TO events DO INSTEAD NOTHING")
    place.policies = [places.policy(accept=["rules"])]
    place.accept()
    result = place.done()
    assert [number(result, name) for name in ("rows_deleted", "rows_stayed")] == [0, 700] and place.rows() == before
