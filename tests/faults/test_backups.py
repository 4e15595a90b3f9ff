# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups as the playbooks take them: many databases, one that fails, and the gate before what deletes rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.faults.estate import TOP, Estate, make_due
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


def gated_play(estate: Estate) -> Path:
    """The monthly maintenance with one more role, which deletes something."""
    role = estate.folder / "roles" / "deleting" / "tasks"
    role.mkdir(parents=True)
    touch = {"path": f"{estate.folder}/deleted-{{{{ inventory_hostname }}}}", "state": "touch", "mode": "0600"}
    mark = {"name": "Delete", "ansible.builtin.file": touch}
    (role / "main.yml").write_text(yaml.safe_dump([mark]), encoding="utf-8")
    play: list[dict[str, Any]] = yaml.safe_load(
        (TOP / "playbooks" / "monthly-maintenance.yml").read_text(encoding="utf-8")
    )
    play[0]["roles"][0]["vars"]["run_roles"].insert(0, {"name": "deleting", "gated": True})
    path = estate.folder / "gated.yml"
    path.write_text(yaml.safe_dump(play), encoding="utf-8")
    return path


def test_without_a_verified_set_nothing_is_deleted_and_the_rest_is_done(
    estate: Estate, pg18: Postgres, new_database: Callable[..., Database]
) -> None:
    prepare(estate, pg18)
    # One that says nothing of backups: the gate does not fit it, so it is not passed. One whose sets nobody can open.
    bare, closed = new_database(pg18), new_database(pg18)
    estate.add("bare", bare.login(demo.MAINTENANCE), postgresql_backup_engine="")
    estate.add("closed", closed.login(demo.MAINTENANCE), postgresql_backup_verify_identity_file="")
    way_back = new_database(pg18)
    estate.add("open", way_back.login(demo.MAINTENANCE))
    for database in (bare, closed, way_back):
        make_due(database)
    done = estate.play(playbook=str(gated_play(estate).with_suffix("")), ops_rollout="100%", ops_max_failed=3)
    assert [path.name for path in estate.folder.glob("deleted-*")] == ["deleted-open"], done.out
    assert {host: done.status(host) for host in estate.hosts} == {"bare": "ok", "closed": "failed", "open": "ok"}
    assert "backup gate is closed" in done.error("closed")["message"] and done.rc == 2
    for host in ("bare", "closed"):
        assert ("vacuum", "done") in [(one["action"], one["status"]) for one in done.actions(host)], done.out
    assert [one.verified for one in sets(estate, "open")] == [True]
