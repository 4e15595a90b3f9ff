# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that others reference: what can go goes, in an order that the server takes, and what cannot stays."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.lab import demo
from tests.lab.fixtures import majors
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, number
from tests.unit.plugins.module_utils._retention.test_resolve import past

__all__ = ["past"]
pytestmark = pytest.mark.lab
OLD = "SELECT id FROM events WHERE at < now() - interval '90 days' ORDER BY 1"


def own(place: Place, *statements: str) -> None:
    for statement in statements:
        place.database.execute(statement, user=demo.OWNER)


def old(place: Place) -> list[int]:
    return [row[0] for row in place.database.execute(OLD)]


def planned(place: Place) -> dict[str, int]:
    actions = place.done(check=True)["actions"]
    return {one["subject"]: one["predicted"]["rows_deleted"] for one in actions}


def done(place: Place, **given: Any) -> dict[str, int]:
    result = place.done(**given)
    assert {one["status"] for one in result["actions"]} <= {"done"}, result
    return {one["subject"]: one["after"]["rows_deleted"] for one in result["actions"]}


def tree(place: Place, rows: int = 3000) -> None:
    """Rows that may reference others of the table."""
    places.fill(place, rows + 500, rows)
    own(
        place,
        "ALTER TABLE events ADD parent bigint REFERENCES events, ADD other bigint REFERENCES events",
        "CREATE INDEX ON events (parent)",
        "CREATE INDEX ON events (other)",
    )


@majors(18, soak=(14,))
def test_parents_go_after_their_children_also_in_other_chunks(place: Place) -> None:
    tree(place)
    # Chains of three with the parent first, as they are read; rows that are their own; and old parents of young rows.
    own(
        place,
        "UPDATE events SET parent = id - 1000 WHERE id BETWEEN 1001 AND 3000",
        "UPDATE events SET other = id WHERE id IN (4, 5)",
        "UPDATE events SET parent = 2007 WHERE id = 3100",
        "UPDATE events SET other = 9 WHERE id = 3200",
    )
    before = place.rows()
    assert planned(place) == {"public.events": 2996}
    assert done(place, patch=places.small_chunks()) == {"public.events": 2996}
    assert old(place) == [7, 9, 1007, 2007]
    assert not place.done()["changed"]
    place.restored()
    assert place.rows() == before


def test_parents_are_deleted_again_after_their_children(place: Place, past: Any) -> None:
    tree(place)
    own(place, "UPDATE events SET parent = id - 1000 WHERE id BETWEEN 1001 AND 3000")
    before, then = place.rows(), past()
    place.done(patch=places.small_chunks())
    then.back()
    result = place.done(adopt="store")
    assert sum(one["after"]["rows_stayed"] for one in result["actions"]) == 0 and old(place) == []
    place.restored()
    assert place.rows() == before


def test_rows_in_a_circle_stay_and_nothing_is_planned_for_them(place: Place) -> None:
    tree(place)
    own(
        place,
        "UPDATE events SET parent = CASE id WHEN 10 THEN 20 ELSE 10 END WHERE id IN (10, 20)",
        # One that the circle keeps, and one that hangs on it.
        "UPDATE events SET other = 30 WHERE id = 20",
        "UPDATE events SET parent = 10 WHERE id = 40",
    )
    assert planned(place) == done(place) == {"public.events": 2997}
    assert old(place) == [10, 20, 30]
    assert not place.done()["changed"]


def test_a_child_that_somebody_locks_keeps_its_parents_and_the_run_ends(place: Place, tmp_path: Path) -> None:
    tree(place)
    own(place, "UPDATE events SET parent = id - 1000 WHERE id BETWEEN 1001 AND 3000")
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    with closing(place.database.connect(demo.OWNER, autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM events WHERE id = 2500 FOR UPDATE")
        (tmp_path / "go").touch()
        result = module.result()
        other.rollback()
    assert number(result, "rows_deleted") == 2997 and old(place) == [500, 1500, 2500], result
    assert done(place) == {"public.events": 3}


def items(place: Place) -> None:
    """Two of its rows are too young to go, with parents that are due."""
    places.fill(place)
    own(
        place,
        "CREATE TABLE items (id bigint PRIMARY KEY, at timestamptz NOT NULL, event bigint REFERENCES events)",
        "CREATE INDEX ON items (event)",
        "INSERT INTO items SELECT g, now() - interval '100 days', g FROM generate_series(1, 2000) g",
        "UPDATE items SET at = now() - interval '50 days' WHERE id IN (1500, 1600)",
    )
    place.let(("public", "events"), ("public", "items"))
    # The table that is referenced is given first.
    place.policies = [places.policy(), places.policy(name="items", table="items")]
    place.accept()


@majors(18, soak=(14,))
def test_what_young_children_reference_stays(place: Place) -> None:
    items(place)
    before = place.rows(), place.rows(("public", "items"))
    assert planned(place) == done(place) == {"public.items": 1998, "public.events": 2998}
    assert old(place) == [1500, 1600]
    assert not place.done()["changed"]
    place.restored()
    place.restored(policy="items")
    assert (place.rows(), place.rows(("public", "items"))) == before


def test_several_policies_together_may_let_go_all_children(place: Place) -> None:
    """The newest of each parent's stay by one policy, and go by another where their parent is to go."""
    places.fill(place, 500, 300)
    own(
        place,
        "CREATE TABLE items (event bigint REFERENCES events, version int, at timestamptz,"
        " PRIMARY KEY (event, version))",
        "INSERT INTO items SELECT g % 500 + 1, g / 500, now() - interval '95 days' FROM generate_series(0, 4999) g",
        "UPDATE items SET at = now() WHERE event IN (7, 400) AND version = 9",
    )
    place.let(("public", "events"), ("public", "items"))
    old_parent = "EXISTS (SELECT FROM public.events e WHERE e.id = t.event AND e.at < now() - interval '90 days')"
    place.policies = [
        places.policy(),
        places.policy(name="versions", table="items", keep_last=3, per=["event"], column="version"),
        places.policy(name="with-parents", table="items", where=old_parent),
    ]
    place.accept()
    before = place.rows(), place.rows(("public", "items"))
    shown = planned(place)
    # What two policies let go is counted by both, and goes by the first.
    assert shown == {"public.items (versions)": 3500, "public.items (with-parents)": 2999, "public.events": 299}
    assert done(place) == {**shown, "public.items (with-parents)": 899}
    assert old(place) == [7] and place.database.value("SELECT count(*) FROM items WHERE event = 7") == 1
    assert not place.done()["changed"]
    for name in ("old", "versions", "with-parents"):
        place.restored(policy=name)
    assert (place.rows(), place.rows(("public", "items"))) == before


def test_a_child_that_comes_meanwhile_keeps_its_parent(place: Place, tmp_path: Path) -> None:
    """It is there when the delete is at it, and no sooner: neither the plan nor the copy knew."""
    items(place)
    module = place.start(patch=places.wait_in(tmp_path, when="a[0]._name == 'public.events'"))
    places.there(tmp_path)
    own(place, "INSERT INTO items VALUES (0, now(), 2222)")
    (tmp_path / "go").touch()
    result = module.result()
    assert [one["status"] for one in result["actions"]] == ["done", "done"], result
    assert number(result, "rows_stayed", 1) == 1 and old(place) == [1500, 1600, 2222]


def test_a_child_whose_transaction_is_not_over_keeps_its_parent(place: Place, tmp_path: Path) -> None:
    items(place)
    place.options = {"lock_timeout": 10}
    module = place.start(patch=places.wait_in(tmp_path, when="a[0]._name == 'public.events'"))
    places.there(tmp_path)
    with closing(place.database.connect(demo.OWNER, autocommit=False)) as other, other.cursor() as cursor:
        cursor.execute("INSERT INTO items VALUES (0, now(), 2222)")
        (tmp_path / "go").touch()
        places.somebody_waits(place)
        other.commit()
    result = module.result()
    assert [one["status"] for one in result["actions"]] == ["done", "done"], result
    assert old(place) == [1500, 1600, 2222]


def test_what_a_cascade_would_not_get_past_stays(place: Place) -> None:
    places.fill(place)
    own(
        place,
        "CREATE TABLE child (id bigint PRIMARY KEY, event bigint REFERENCES events ON DELETE CASCADE)",
        "CREATE TABLE leaf (child bigint REFERENCES child)",
        "CREATE INDEX ON child (event)",
        "CREATE INDEX ON leaf (child)",
        "INSERT INTO child SELECT g, g FROM generate_series(1, 100) g",
        "INSERT INTO leaf VALUES (50)",
    )
    place.policies = [places.policy(accept=["cascade"])]
    place.let(("public", "events"), ("public", "child"), ("public", "leaf"))
    place.accept()
    assert planned(place) == done(place) == {"public.events": 2999}
    assert old(place) == [50] and place.database.value("SELECT count(*) FROM child") == 1


def test_hundreds_of_references_are_planned_in_time(place: Place) -> None:
    """Each would else be a join more."""
    places.fill(place, 500, 300)
    own(
        place,
        "DO $$ BEGIN FOR n IN 1..200 LOOP EXECUTE format('CREATE TABLE c%s (event bigint REFERENCES events)', n);"
        " EXECUTE format('CREATE INDEX ON c%s (event)', n); END LOOP; END $$",
        "INSERT INTO c77 VALUES (7)",
    )
    place.let(("public", "events"), *(("public", f"c{number}") for number in range(1, 201)))
    assert planned(place) == done(place) == {"public.events": 299}
