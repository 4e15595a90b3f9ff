# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong with retention elsewhere, each as a case: some here, most beside what they are about."""

# 35  copied is not what is deleted   test_35; test_delete: rows_that_change_..., the_condition_is_asked_again;
#                                     test_resolve: killed_at, random_kills
# 36  NOT IN and NULL, a typed name   test_36; test_find: what_the_server_does_not_understand_is_bad_input,
#                                     protected_groups_with_null
# 37  LIMIT from the start each time  test_37
# 38  references without an index     test_38; test_find: what_a_delete_reaches
# 39  detaching partitions            test_whole: a_detaching_that_was_interrupted_is_finalised, killed_on_the_way;
#                                     test_readers; test_alone: no_partition_goes_while_a_backup_runs;
#                                     test_find: partitions_that_go_as_a_whole (with a default partition, none)
# 40  nobody vacuums after a purge    test_40
# 41  time zones and clocks           test_41; test_find: rows_older_than_a_time_..., columns_that_tell_no_age, limits
# 42  the first run takes nearly all  test_42; test_find: limits; test_retention_plan: a_policy_that_never_ran_here_...
# 43  the archive's columns drift     test_43; test_restore_rows: drift_is_told_and_another_table_will_do, every_type

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from psycopg2 import sql

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import Copier
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._retention.copy import Pass, Target
from ansible_collections.day2.ops.plugins.module_utils._retention.find import find
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import policies_of, policy_options
from tests.lab import demo
from tests.lab import module as modules
from tests.lab.processes import wait_until
from tests.unit.plugins.module_utils._retention import places
from tests.unit.plugins.module_utils._retention.places import Place, number

pytestmark = pytest.mark.lab


def own(place: Place, *statements: str) -> None:
    for statement in statements:
        place.database.execute(statement, user=demo.OWNER)


def archived(place: Place) -> str:
    """All archived rows, as COPY wrote them."""
    objects = [b"".join(place.store.stream(key)) for key in place.objects("/rows.copy.zst")]
    return b"".join(zstandard.ZstdDecompressor().decompressobj().decompress(one) for one in objects).decode()


def test_35_a_row_that_comes_late_is_neither_deleted_nor_archived(place: Place, tmp_path: Path) -> None:
    """Two statements that each ask for the time, or one time for both, lose rows in between; and a row that was
    deleted is in an archive exactly once."""
    places.fill(place)
    module = place.start(patch=places.wait_in(tmp_path))
    places.there(tmp_path)
    own(place, "INSERT INTO events VALUES (0, now() - interval '100 days', 'late')")
    (tmp_path / "go").touch()
    result = module.result()
    assert number(result, "rows_deleted") == 3000 and "late" not in archived(place)
    assert place.database.value("SELECT note FROM events WHERE at < now() - interval '90 days'") == "late"
    told = json.loads(place.store.get(place.objects("/about.json")[0]).data)
    assert told["cutoff"] == result["actions"][0]["predicted"]["cutoff"] == number(result, "cutoff")
    assert number(place.done(), "rows_deleted") == 1
    keys = [line.split("\t")[1] for line in archived(place).splitlines()]
    assert len(keys) == len(set(keys)) == 3001


def test_36_nulls_keep_no_more_than_is_said_and_a_typed_name_deletes_nothing(place: Place) -> None:
    """``NOT IN`` a query with a NULL deletes nothing; a query that names a column which only the outer table has
    deletes all; a condition that is NULL is not true."""
    own(
        place,
        "CREATE TABLE kept (event bigint)",
        "INSERT INTO kept VALUES (5), (NULL)",
    )
    place.policies = [places.policy(protect="SELECT id FROM kept")]
    before = places.fill(place)
    place.let(("public", "events"), ("public", "kept"))
    result = place.retain()
    assert result["error"]["kind"] == "bad_input" and "policies[old].protect" in result["msg"]
    assert 'column "id" does not exist' in result["msg"]
    place.policies = [places.policy(where="evnet = 5")]
    assert 'policies[old].where: the server says: column "evnet" does not exist' in place.retain()["msg"]
    # True of each row by mistake: the guard looks at how many that are.
    place.policies = [places.policy(where="note = note", max_fraction=0.2)]
    result = place.retain()
    assert result["error"]["kind"] == "refused" and "max_fraction" in result["msg"]
    assert place.rows() == before and place.objects() == []
    place.policies = [places.policy(where="data->>'n' <> '7' AND NULLIF(id, 9) > 0", protect="SELECT event FROM kept")]
    place.accept()
    assert number(place.done(), "rows_deleted") == 2997
    assert place.database.value("SELECT array_agg(id ORDER BY id) FROM events WHERE id <= 3000") == [5, 7, 9]


def read_as(place: Place) -> Any:
    """What explains the statement of the read pass, as the role: its plan, and the pages that it took."""
    params = {name: one.get("default") for name, one in postgresql_spec().argument_spec.items()}
    run = Run(
        {**params, **place.database.login(demo.RETENTION), "run": {"id": "t1"}}, False, Deadline(None), Liveness()
    )
    defaults = {name: one.get("default") for name, one in policy_options().items()}
    policies = policies_of({"policies": [{**defaults, **one} for one in place.policies]})
    with closing(connect(run, "watch")) as control:
        (found,) = find(run, control, policies)
        with closing(Copier(run, "read", control)) as copier:
            reading = Pass(copier, found, Target("", {}), 1 << 20)
            with place.database.connect() as connection:
                text = reading.statement((), 1000).as_string(connection)

                def explain(last: tuple[str, ...]) -> tuple[str, int]:
                    copied = reading.statement(last, 1000).as_string(connection)
                    query = copied.removeprefix("COPY (").removesuffix(") TO STDOUT")
                    rows = place.database.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {query}")
                    plan = rows[0][0][0]["Plan"]
                    return json.dumps(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

                return text, explain


def test_37_reading_goes_on_where_it_stopped_also_with_an_old_snapshot_held(place: Place) -> None:
    """LIMIT without an order reads the emptied part of the table each time, and LIMIT from the start the dead index
    entries: while an old snapshot is held nobody may remove them. Pages tell, not time."""
    places.fill(place, 30000, 25000)
    own(place, "UPDATE events SET at = at + id * interval '1 second'", "VACUUM FULL ANALYZE events")
    text, explain = read_as(place)
    assert text.index(' ORDER BY "t"."at", "t"."id" LIMIT 1000') > 0
    plan, fresh = explain(())
    assert "Index" in plan and "Seq Scan" not in plan
    with closing(place.database.connect(autocommit=False)) as holder, holder.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM events")
        at = place.database.value("SELECT at::text FROM events WHERE id = 20000")
        own(place, "DELETE FROM events WHERE id <= 20000")
        plan, further = explain((at, "20000"))
        _plan, anew = explain(())
        holder.rollback()
    assert "Seq Scan" not in plan
    assert further <= 2 * fresh < anew / 3, f"pages: {fresh} at first, {further} further on, {anew} from the start"


def test_38_references_without_an_index_are_refused_before_anything_is_copied(place: Place) -> None:
    """Each row that goes would be a scan of the table that references it."""
    before = places.fill(place)
    own(place, "CREATE TABLE notes (event bigint REFERENCES events)")
    result = place.retain()
    assert result["error"]["kind"] == "refused" and place.objects() == [] and place.rows() == before
    assert "public.notes (event) references public.events and has no index" in result["msg"]
    assert "create an index, or accept: [unindexed_reference]." in result["msg"]
    own(place, "CREATE INDEX ON notes (event)")
    assert number(place.done(), "rows_deleted") == 3000


def test_40_the_maintenance_after_a_purge_vacuums_the_table(place: Place) -> None:
    """The server's own would wait for a fifth of the table. In a rehearsal, too, in which nothing is dead yet."""
    places.fill(place, 40000, 12000)
    own(place, "ALTER TABLE events SET (autovacuum_enabled = off)", "VACUUM ANALYZE events")
    login = {**place.database.login(demo.MAINTENANCE), "operations": ["vacuum"]}

    def maintenance(*, check: bool = False, actions: list[Any]) -> list[tuple[str, str, str]]:
        result = modules.start("postgresql_maintenance", {**login, "assume_actions": actions}, check=check).result()
        assert not result.get("failed"), result
        return [(one["action"], one["subject"], one["status"]) for one in result["actions"]]

    assert maintenance(check=True, actions=[]) == []
    planned = place.done(check=True)["actions"]
    assert maintenance(check=True, actions=planned) == [("vacuum", "public.events", "planned")]
    place.done()
    dead = "SELECT pg_stat_get_dead_tuples('events'::regclass)"
    wait_until(lambda: place.database.value(dead) >= 12000, "the server to count", 20.0)
    assert maintenance(actions=[]) == [("vacuum", "public.events", "done")]
    assert place.database.value(dead) == 0 and maintenance(actions=[]) == []


@pytest.mark.parametrize(
    "zone",
    [
        "Pacific/Kiritimati",
        *(pytest.param(one, marks=pytest.mark.soak) for one in ("Europe/Berlin", "America/St_Johns")),
    ],
)
def test_41_no_time_zone_and_no_clock_of_ours_moves_the_cutoff(place: Place, zone: str) -> None:
    """The server's clock, once, in UTC: not the zone of the database, with its summer time, nor the controller's
    clock. Columns without a zone are refused until somebody says that they are read as UTC."""
    name = place.database.name
    place.database.execute(f"ALTER DATABASE {name} SET timezone = '{zone}'")
    own(
        place,
        "CREATE TABLE events (id int PRIMARY KEY, at timestamptz, naive timestamp, day date)",
        # Around the cut-off: a second before, at it, and a second after; in UTC, whatever the zone.
        "INSERT INTO events SELECT g, edge AT TIME ZONE 'UTC', edge, edge::date FROM (SELECT g, date_trunc('day', "
        "now() AT TIME ZONE 'UTC') - interval '200 days' + (g - 1) * interval '1 second' FROM generate_series(0, 2) g)"
        " AS made(g, edge)",
    )
    place.let()
    cutoffs = set()
    place.policies = [places.policy(column="naive", older_than="200d")]
    refused = place.retain(check=True)["msg"]
    assert "will be read as UTC" in refused and "accept: [naive_timestamp]" in refused
    for column, years in (("at", 0), ("at", -7), ("at", 7), ("naive", 0), ("day", 0)):
        place.policies = [places.policy(column=column, older_than="200d", accept=["naive_timestamp"])]
        skewed = f"import {places.UTILS}._core.clock as c, datetime\nold = c.now\n"
        skewed += f"c.now = lambda: old() + datetime.timedelta(days={365 * years})\n"
        (action,) = place.done(check=True, patch=skewed)["actions"]
        assert action["predicted"]["rows_deleted"] == 1, (column, years)
        cutoffs.add(action["predicted"]["cutoff"])
    day = place.database.value("SELECT (date_trunc('day', now() AT TIME ZONE 'UTC') - interval '200 days')::date::text")
    assert cutoffs == {f"{day}T00:00:00Z"}


def test_42_the_first_run_after_long_neglect_takes_nothing_that_nobody_looked_at(place: Place) -> None:
    """Nine tenths of the table are due: refused for the share, then for want of an approved plan. Check mode tells."""
    before = places.fill(place, 5000, 4500)
    place.database.execute("TRUNCATE day2.retention_ledger")
    place.policies = [places.policy(max_fraction=0.2)]
    result = place.retain(check=True)
    assert result["error"]["kind"] == "refused"
    assert "4 500 of about 5 000 rows of public.events (90 %) are due, and max_fraction allows 20 %" in result["msg"]
    place.policies = [places.policy(max_fraction=0.2, accept=["max_fraction"])]
    assert "needs an approved plan" in place.done(check=True)["actions"][0]["reason"]
    result = place.retain()
    assert result["error"]["kind"] == "refused" and "ops_plan_out, ops_plan_in" in result["msg"]
    assert place.rows() == before and place.objects() == [] and place.ledger("accept") == []


def test_43_an_archive_says_what_its_columns_were(place: Place) -> None:
    """Its statement makes a table that takes the rows, whatever became of theirs meanwhile; nothing is cut off."""
    places.fill(place, 500, 300)
    own(place, "ALTER TABLE events ADD price numeric(12, 3) DEFAULT 1.5", "UPDATE events SET note = repeat('x', 5000)")
    before = place.rows()
    place.done()
    own(place, "ALTER TABLE events DROP data", "ALTER TABLE events RENAME note TO remark")
    assert "column note" in place.restore()["msg"]
    manifest = json.loads(place.store.get(place.objects("/manifest.json")[0]).data)
    names = [column["name"] for column in manifest["columns"]]
    assert names == ["id", "at", "note", "data", "price"]
    own(place, manifest["ddl"].replace("public.events", "public.then"))
    place.let(("public", "events"), ("public", "then"))
    place.restored(into="public.then")
    assert sorted(place.rows(("public", "then"))) == sorted(row for row in before if int(row[1:].split(",")[0]) <= 300)
    with place.database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT min(length(note)), max(price) FROM {}").format(sql.Identifier("then")))
        assert tuple(map(float, cursor.fetchone() or ())) == (5000.0, 1.5)
