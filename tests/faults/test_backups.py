# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups as the playbooks take them: many databases, one that fails, and the gate before what deletes rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import policies_of, policy_options
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.faults.estate import Estate, make_due
from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import Database
from tests.lab.postgres import Postgres

pytestmark = pytest.mark.lab


def prepare(estate: Estate, server: Postgres) -> None:
    key = new_key(estate.folder)
    bin_dir = str(server.tool("pg_dump").parent)
    estate.vars |= {
        "postgresql_backup_engine": "pg_dump",
        "postgresql_backup_encryption": "age",
        "postgresql_backup_recipients": [key.public],
        "postgresql_backup_bin_dir": bin_dir,
        "postgresql_backup_server_slots": 8,
        "postgresql_backup_login": {
            "login_user": demo.BACKUP,
            "login_password": server.passwords[demo.BACKUP],
        },
        "postgresql_backup_verify_bin_dir": bin_dir,
        "postgresql_backup_verify_identity_file": key.path,
    }


def sets(estate: Estate, host: str) -> list[catalogue.BackupSet]:
    return catalogue.read(open_store({"store": str(estate.store)}, read_only=True), host)


def back_up_many(estate: Estate, server: Postgres, new_database: Callable[..., Database], number: int) -> None:
    prepare(estate, server)
    hosts = [estate.add(f"db{one}", new_database(server).login(demo.MAINTENANCE)) for one in range(number)]
    estate.hosts["db1"]["ops_postgresql"]["login_db"] = "is-not-there"
    done = estate.start(playbook="backup-databases").wait(1200)
    assert done.rc == 2 and done.status("db1") == "failed" and "login_db" in done.error("db1")["message"]
    assert [len(sets(estate, host)) for host in hosts] == [int(host != "db1") for host in hosts]
    del estate.hosts["db1"]
    again = estate.start(playbook="backup-databases").wait(1200)
    assert again.rc == 0 and again.result["status"] == "ok" and again.actions("db0") == []


def test_one_database_that_fails_does_not_keep_the_others_from_a_backup(
    estate: Estate, pg18: Postgres, new_database: Callable[..., Database]
) -> None:
    back_up_many(estate, pg18, new_database, 3)


POLICY = {"name": "events", "table": "events", "column": "at", "older_than": "90d", "archive": "plain"}


def let_go(estate: Estate, host: str, database: Database) -> None:
    """Rows of which a fifth is to go by a policy that has run here before, so that only the gate can hold it back."""
    database.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at timestamptz NOT NULL);"
        "INSERT INTO events SELECT n, now() - interval '1 day' * CASE WHEN n <= 200 THEN 100 ELSE 10 END"
        "  FROM generate_series(1, 1000) n",
        user=demo.OWNER,
    )
    demo.let_retain(database.postgres, database.name, [("public", "events")])
    defaults = {name: option.get("default") for name, option in policy_options().items()}
    (policy,) = policies_of({"policies": [{**defaults, **POLICY}]})
    database.execute(
        "INSERT INTO day2.retention_ledger (run, target, policy, policy_hash, relation, kind) "
        "VALUES ('r0', %s, %s, %s, 'public.events', 'accept')",
        [host, policy.name, policy.hash],
    )
    login = {"login_user": demo.RETENTION, "login_password": database.postgres.passwords[demo.RETENTION]}
    estate.vars |= {"postgresql_retention_policies": [POLICY], "postgresql_retention_login": login}


def test_without_a_verified_set_nothing_is_deleted_and_the_rest_is_done(
    estate: Estate, pg18: Postgres, new_database: Callable[..., Database]
) -> None:
    prepare(estate, pg18)
    # One that says nothing of backups: the gate does not fit it, so it is not passed. One whose sets nobody can open.
    differs = {
        "bare": {"postgresql_backup_engine": ""},
        "closed": {"postgresql_backup_verify_identity_file": ""},
        "open": {},
    }
    databases = {host: new_database(pg18) for host in differs}
    for host, database in databases.items():
        estate.add(host, database.login(demo.MAINTENANCE), **differs[host])
        make_due(database)
        let_go(estate, host, database)
    done = estate.play(ops_rollout="100%", ops_max_failed=3)
    rows = {host: database.value("SELECT count(*) FROM events") for host, database in databases.items()}
    assert rows == {"bare": 1000, "closed": 1000, "open": 800}, done.out
    assert {host: done.status(host) for host in estate.hosts} == {"bare": "ok", "closed": "failed", "open": "ok"}
    assert "backup gate is closed" in done.error("closed")["message"] and done.rc == 2
    for host in ("bare", "closed"):
        assert ("vacuum", "done") in [(one["action"], one["status"]) for one in done.actions(host)], done.out
        planned = {one["action"] for step in ("plan", "run") for one in done.actions(host, step)}
        assert "delete_rows" not in planned, "a gated role does not even look"
    assert [one.verified for one in sets(estate, "open")] == [True]
