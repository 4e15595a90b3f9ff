# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules as Ansible starts them, on real servers, as the least-privilege role."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import CLASSES
from tests.lab import demo
from tests.lab.fixtures import Database, majors
from tests.lab.lab import Lab
from tests.lab.tls import Authority
from tests.unit.plugins.module_utils._postgresql.place import Place, statuses

both = majors(18, soak=(14,))
pytestmark = pytest.mark.lab
SMALL = {"index_min_bytes": 1 << 20}


@both
def test_the_plan_is_what_is_done_and_a_second_run_plans_nothing(place: Place) -> None:
    planned = place.maintain(_ansible_check_mode=True, **SMALL)
    assert planned["changed"] and planned["actions"]
    size = place.database.value("SELECT pg_relation_size('orders_pkey')")
    done = place.maintain(**SMALL)
    assert [(one["action"], one["subject"]) for one in done["actions"]] == [
        (one["action"], one["subject"]) for one in planned["actions"]
    ]
    assert {status for _, status in statuses(done)} == {"done"}
    assert place.database.value("SELECT pg_relation_size('orders_pkey')") < size * 0.6
    again = place.maintain(**SMALL)
    assert again["actions"] == [] and again["changed"] is False
    assert "nothing is due" in again["plan_summary"]


def test_check_mode_changes_nothing(place: Place) -> None:
    look = "SELECT sum(pg_stat_get_vacuum_count(oid) + pg_stat_get_analyze_count(oid)), sum(oid::bigint) FROM pg_class"
    before = place.database.execute(look)
    place.maintain(_ansible_check_mode=True, **SMALL)
    assert place.database.execute(look) == before


@both
def test_a_signal_stops_a_vacuum_on_the_server_too(place: Place, slow: None) -> None:
    module = place.start()
    place.until_running("VACUUM")
    began = time.monotonic()
    module.process.terminate()
    result = module.result()
    place.until_gone("VACUUM", 5.0)
    assert time.monotonic() - began < 5
    assert result["error"]["kind"] == "stopped" and "SIGTERM" in result["msg"]
    assert ("vacuum", "deferred") in statuses(result)


def test_a_killed_module_leaves_nothing_running(place: Place, slow: None) -> None:
    module = place.start()
    place.until_running("VACUUM")
    module.kill()
    place.until_gone("VACUUM", 15.0)


def test_the_deadline_ends_a_vacuum(place: Place, slow: None) -> None:
    began = time.monotonic()
    result = place.maintain(seconds=5, operations=["vacuum"], tables=["orders"])
    assert time.monotonic() - began < 7
    assert statuses(result) == [("vacuum", "deferred")] and "deadline" in result["actions"][0]["reason"]
    place.until_gone("VACUUM", 1.0)


@both
def test_nobody_waits_longer_than_the_lock_timeout(place: Place, slow: None) -> None:
    module = place.start(operations=["vacuum"], tables=["orders"])
    place.until_running("VACUUM")
    began = time.monotonic()
    place.database.execute("ALTER TABLE orders ADD COLUMN more int")
    assert time.monotonic() - began < 2.0
    result = module.result()
    assert statuses(result) == [("vacuum", "deferred")]
    assert "another session waited" in result["actions"][0]["reason"]


def test_a_second_run_is_refused_and_told_who_works(place: Place, slow: None) -> None:
    first = place.start(operations=["vacuum"], tables=["orders"])
    place.until_running("VACUUM")
    for check in (False, True):
        second = place.maintain(_ansible_check_mode=check)
        assert second["error"]["kind"] == "refused"
        assert "day2/t1/locks (pid" in second["msg"]
    first.kill()


def test_a_slot_that_others_keep_is_waited_for_and_a_rehearsal_knows_that(place: Place) -> None:
    given = {"operations": ["vacuum"], "tables": ["orders"]}
    with closing(place.database.postgres.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, 0)", [CLASSES["slot"]])
        for check in (True, False):
            result = place.maintain(slot_wait=0, _ansible_check_mode=check, **given)
            assert statuses(result) == [("vacuum", "deferred")] and not result["changed"]
            assert "holds the server's slot for heavy work" in result["actions"][0]["reason"]
        assert statuses(place.maintain(_ansible_check_mode=True, **given)) == [("vacuum", "planned")]
        module = place.start(**given)
        time.sleep(2)
        assert module.process.poll() is None
    assert statuses(module.result()) == [("vacuum", "done")]


def test_a_run_takes_one_of_the_slots_and_leaves_the_others(place: Place, slow: None) -> None:
    given = {"operations": ["vacuum"], "tables": ["orders"], "server_slots": 3}
    taken = "SELECT array_agg(objid::int ORDER BY objid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
    with closing(place.database.postgres.connect()) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, 0)", [CLASSES["slot"]])
        module = place.start(**given)
        place.until_running("VACUUM")
        assert place.database.postgres.value(taken, [CLASSES["slot"]]) == [0, 1]
    module.kill()


@both
def test_a_killed_rebuild_is_cleaned_up_by_the_next_run(place: Place, hold: Callable[[], None]) -> None:
    module = place.start(**SMALL)
    place.until_running("REINDEX")
    time.sleep(1.5)
    module.kill()
    place.until_gone("REINDEX", 15.0)
    hold()
    assert place.invalid() == ["orders_pkey_ccnew"]
    result = place.maintain(**SMALL)
    assert ("drop_index", "done") in statuses(result) and ("reindex", "done") in statuses(result)
    assert place.invalid() == []


def test_a_stopped_rebuild_records_what_it_left(place: Place, hold: Callable[[], None]) -> None:
    module = place.start(**SMALL)
    place.until_running("REINDEX")
    time.sleep(1.5)
    module.process.terminate()
    result = module.result()
    assert result["actions"][0]["after"] == {"invalid_index": "orders_pkey_ccnew"}
    assert result["changed"]


def test_the_deadline_ends_a_rebuild_and_removes_what_it_left(place: Place, hold: Callable[[], None]) -> None:
    result = place.maintain(seconds=9, cleanup_reserve=2, **SMALL)
    assert statuses(result)[0] == ("reindex", "deferred")
    assert place.invalid() == []


def test_a_rebuild_does_not_wait_for_an_old_transaction(place: Place, hold: Callable[[], None]) -> None:
    time.sleep(1.1)
    result = place.maintain(max_transaction_age=1, **SMALL)
    assert statuses(result)[0] == ("reindex", "deferred")
    pid = place.database.value(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    )
    told = rf"it would wait for a session without a name \(pid {pid}\), open for [1-9]\d* s$"
    assert re.search(told, result["actions"][0]["reason"]), result["actions"][0]


@both
def test_who_keeps_dead_rows_is_named_and_nothing_is_vacuumed_in_vain(place: Place, hold: Callable[[], None]) -> None:
    place.database.execute("VACUUM orders")
    place.until_counted(0)
    place.database.execute("DELETE FROM orders WHERE id % 3 = 0", user=demo.OWNER)
    place.until_counted(50_000)
    result = place.maintain(operations=["vacuum"], tables=["orders"])
    assert statuses(result) == [("vacuum", "deferred")] and not result["changed"]
    assert "nothing can be removed while the transaction of" in result["actions"][0]["reason"]
    hold()
    assert statuses(place.maintain(operations=["vacuum"], tables=["orders"])) == [("vacuum", "done")]


def test_a_stop_row_stops_and_refuses(place: Place, slow: None) -> None:
    for statement in (
        "CREATE SCHEMA day2",
        "CREATE TABLE day2.stop (target_id text NOT NULL, reason text NOT NULL, until timestamptz)",
        f"GRANT USAGE ON SCHEMA day2 TO {demo.MAINTENANCE}",
        f"GRANT SELECT ON day2.stop TO {demo.MAINTENANCE}",
    ):
        place.database.execute(statement)
    module = place.start(operations=["vacuum"], tables=["orders"])
    place.until_running("VACUUM")
    began = time.monotonic()
    place.database.execute("INSERT INTO day2.stop VALUES ('_all', 'an incident')")
    assert module.result()["error"]["kind"] == "stopped"
    assert time.monotonic() - began < 15
    assert "an incident" in place.maintain()["msg"]


@both
def test_a_missing_grant_is_found_before_work(place: Place) -> None:
    place.database.execute("CREATE TABLE foreign_one (id int)")
    for name in ("postgresql_maintenance", "postgresql_preflight_info"):
        result = place.start(name).result()
        assert result["error"]["kind"] == "refused"
        assert "GRANT " in result["msg"] and demo.MAINTENANCE in result["msg"]


@both
def test_preflight_and_health_change_nothing(place: Place) -> None:
    ready = place.start("postgresql_preflight_info").result()
    assert not ready["changed"] and ready["server"]["database"] == place.database.name
    health = place.start("postgresql_health_info").result()
    assert not health["changed"]
    verdicts = {check["check"]: check["status"] for check in health["checks"]}
    assert verdicts["postgresql_dead_rows"] in ("warn", "crit")
    assert verdicts["postgresql_connections"] == "ok"


def test_passwords_do_not_leave(place: Place) -> None:
    right = place.database.login(demo.MAINTENANCE)["login_password"]
    wrong = place.start(login_password=right + "x").result()
    assert wrong["error"]["kind"] == "bad_input" and "login_password" in wrong["msg"]
    assert right not in json.dumps(wrong) and right not in json.dumps(place.maintain())


def test_tls_is_verified(lab: Lab, new_database: Callable[..., Database], tmp_path: Path) -> None:
    server = lab.postgres(18, "with-tls", tls=True)
    demo.create_roles(server)
    place = Place(new_database(server))

    def look(**given: Any) -> dict[str, Any]:
        return place.start("postgresql_preflight_info", **given).result()

    assert look()["error"] is None
    (tmp_path / "other").mkdir(mode=0o755)
    other = Authority(tmp_path / "other" / "ca", None)
    for given, words in (({"ca_cert": str(other.ca_file)}, "ca_cert"), ({"ssl_mode": "disable"}, "pg_hba")):
        result = look(**given)
        assert result["error"]["kind"] == "refused" and words in result["msg"], result["msg"]


def test_a_server_without_tls_is_not_used_when_tls_is_asked_for(place: Place) -> None:
    result = place.start("postgresql_preflight_info", ssl_mode="require").result()
    assert result["error"]["kind"] == "refused" and "ssl_mode" in result["msg"]
