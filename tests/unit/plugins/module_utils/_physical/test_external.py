# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the estate has already: RDS as moto plays it, and a real pgBackRest and Barman."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import yaml

from ansible_collections.day2.ops.plugins.doc_fragments._backup_engines import ModuleDocFragment
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import run_spec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._physical import barman, external, pgbackrest, rds
from ansible_collections.day2.ops.plugins.module_utils._physical.pgbackrest import DAY, Policy
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._store import s3 as factory
from tests.lab import demo
from tests.lab.barman import Barman
from tests.lab.lab import Lab
from tests.lab.postgres import Postgres
from tests.lab.processes import wait_until
from tests.lab.s3 import S3

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=timezone.utc)


def run_of(login: dict[str, Any], max_age: float = DAY, **given: Any) -> Run:
    specs = {**postgresql_spec().argument_spec, **run_spec().argument_spec}
    params = {name: option.get("default") for name, option in specs.items()}
    inner = external.options().argument_spec["external"]["options"]
    defaults = {name: option.get("default") for name, option in inner.items()}
    params.update({**login, "max_age": max_age, "external": {**defaults, **given}})
    # Nothing is ever changed, whatever the mode.
    return Run(params, False, Deadline(None), Liveness())


def by_name(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {check["check"].removeprefix("postgresql_"): check for check in found}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": "rds"}, "external.instance or external.cluster"),
        ({"source": "rds", "instance": "a", "cluster": "b"}, "one of them"),
        ({"source": "pgbackrest"}, "external.stanza"),
        ({"source": "barman"}, "external.server"),
        ({"source": "barman", "server": "a", "max_wal_age": 0.0}, "external.max_wal_age"),
        ({"source": "barman", "server": "a", "program": "/nowhere"}, "external.program"),
        ({"source": "barman", "server": "a", "config": "/nowhere"}, "external.config"),
    ],
)
def test_what_is_missing_is_named(given, words):
    with pytest.raises(BadInput, match=words):
        external.prove(run_of({}, **given))


@pytest.mark.parametrize("specification", [external.options(), pgbackrest.options()])
def test_the_documentation_says_what_the_options_are(specification):
    told = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    for name, option in specification.argument_spec.items():
        for key, inner in option["options"].items():
            said = {what: value for what, value in told[name]["suboptions"][key].items() if what != "description"}
            assert said == {what: value for what, value in inner.items() if what != "no_log"}, key
        assert option["options"].keys() == told[name]["suboptions"].keys()


# -- RDS


def saved(minutes: float | None, days: float | None = 1, retention: int = 7) -> rds.Saved:
    latest = None if minutes is None else NOW - timedelta(minutes=minutes)
    moment = None if days is None else NOW - timedelta(days=days)
    return rds.Saved("shop", "15.4", ("shop.x.us-east-1.rds.amazonaws.com",), retention, latest, None, "s1", moment)


@pytest.mark.parametrize(
    ("state", "statuses"),
    [
        (saved(5), ["ok", "ok", "ok", "ok"]),
        (saved(16), ["ok", "ok", "ok", "crit"]),
        (saved(60 * 25, days=0.9), ["ok", "ok", "ok", "crit"]),
        (saved(60 * 25, days=2), ["ok", "warn", "ok", "crit"]),
        (saved(60 * 49, days=8), ["ok", "crit", "warn", "crit"]),
        (saved(5, retention=0), ["warn", "warn", "ok", "crit"]),
        (saved(None, days=None), ["ok", "crit", "crit", "crit"]),
    ],
)
def test_what_rds_tells(state, statuses):
    assert [check["status"] for check in external.rds_checks(state, Policy(), NOW)] == statuses


def test_the_address_of_another_instance_is_noticed():
    rds.require_same(saved(5), "db.example.com")
    rds.require_same(saved(5), "shop.x.us-east-1.rds.amazonaws.com")
    with pytest.raises(BadInput, match="login_host is other"):
        rds.require_same(saved(5), "other.x.us-east-1.rds.amazonaws.com")


def test_members_of_a_cluster_are_saved_with_it():
    with pytest.raises(BadInput, match=r"external\.cluster"):
        rds.parse_instance({"DBInstanceIdentifier": "shop-1", "DBClusterIdentifier": "shop"}, [])


def test_snapshots_that_are_not_complete_do_not_count():
    moments = [NOW, NOW - timedelta(days=3), NOW - timedelta(days=2)]
    entries = [
        {"DBSnapshotIdentifier": f"s{number}", "Status": status, "SnapshotCreateTime": moment}
        for number, (status, moment) in enumerate(zip(("creating", "available", "available"), moments))
    ]
    found = rds.parse_instance({"DBInstanceIdentifier": "shop", "BackupRetentionPeriod": 7}, entries)
    assert (found.snapshot, found.snapshot_at) == ("s2", moments[2])


@pytest.mark.lab
def test_rds_by_reading_alone(s3: S3):
    client = s3.client("rds")
    common = {"MasterUsername": "postgres", "MasterUserPassword": "not-a-secret", "BackupRetentionPeriod": 7}
    client.create_db_instance(
        DBInstanceIdentifier="shop", Engine="postgres", DBInstanceClass="db.t3.micro", AllocatedStorage=20, **common
    )
    client.create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="shop-1")
    client.create_db_cluster(DBClusterIdentifier="mall", Engine="aurora-postgresql", **common)
    client.create_db_cluster_snapshot(DBClusterIdentifier="mall", DBClusterSnapshotIdentifier="mall-1")
    s3.forget()
    for given in ({"instance": "shop"}, {"cluster": "mall"}):
        result = external.prove(run_of({}, source="rds", **given, **s3.options()))
        found = by_name(result["checks"])
        assert (found["backup_age"]["status"], found["full_backup_age"]["status"]) == ("ok", "ok")
        assert found["backup_age"]["evidence"]["source"] == "rds"
        assert found["full_backup_age"]["evidence"]["retention_days"] == 7
        assert result["actions"] == []
    for given, words in (({"instance": "none"}, "no instance none"), ({"cluster": "none"}, "no cluster none")):
        with pytest.raises(BadInput, match=words):
            external.prove(run_of({}, source="rds", **given, **s3.options()))
    options = {**dict.fromkeys(rds.AWS_OPTIONS), **s3.options()}
    reader = factory.connect(options, read_only=True, deadline=Deadline(None), service="rds")
    with pytest.raises(AssertionError, match="made for reading"):
        reader.delete_db_instance(DBInstanceIdentifier="shop")


# -- pgBackRest


@pytest.mark.lab
def test_a_pgbackrest_that_others_run(lab: Lab):
    repository = lab.pgbackrest("external-pgbackrest")
    server = repository.postgres
    server.create_role(demo.BACKUP, member_of=("pg_monitor",))
    how = {"source": "pgbackrest", **repository.options()}
    login = server.login("postgres", demo.BACKUP)
    empty = by_name(external.prove(run_of(login, **how))["checks"])
    assert (empty["backup_age"]["status"], empty["backup_engine"]["status"]) == ("crit", "warn")
    repository("backup", "--type=full")
    found = by_name(external.prove(run_of(login, **how))["checks"])
    assert {check["status"] for check in found.values()} == {"ok"}
    assert found["backup_age"]["value"] <= 60
    late = by_name(external.prove(run_of(login, max_age=0.001, **{**how, "full_max_age": 0.001}))["checks"])
    assert late["full_backup_age"]["status"] == "crit"


# -- Barman


@pytest.fixture(scope="module")
def saved_by_barman(lab: Lab) -> Barman:
    made = lab.barman()
    made.postgres.create_role(demo.BACKUP, member_of=("pg_monitor",))
    return made


def barman_run(made: Barman, *, name: str | None = None, postgres: Postgres | None = None) -> Run:
    how = {"source": "barman", "program": str(made.program), "config": str(made.config), "server": name or made.server}
    return run_of((postgres or made.postgres).login("postgres", demo.BACKUP), **how)


@pytest.mark.lab
@pytest.mark.soak
def test_a_barman_that_others_run(saved_by_barman: Barman, monkeypatch: pytest.MonkeyPatch):
    made = saved_by_barman
    monkeypatch.setattr(external, "PATIENCE_SECONDS", 0.0)
    empty = by_name(external.prove(barman_run(made))["checks"])
    assert (empty["backup_age"]["status"], empty["full_backup_age"]["status"]) == ("crit", "crit")
    made("backup", "--wait", made.server)
    found = by_name(external.prove(barman_run(made))["checks"])
    assert {check["status"] for check in found.values()} == {"ok"}
    assert found["backup_age"]["evidence"]["source"] == "barman"
    # What was archived and not taken in is not safe yet.
    made.postgres.value("SELECT pg_create_restore_point('written')")
    made.postgres.execute("SELECT pg_switch_wal()")
    made.postgres.configure(archive_command="/bin/true")
    made.postgres.value("SELECT pg_create_restore_point('thrown away')")
    made.postgres.execute("SELECT pg_switch_wal()")
    statement = "SELECT last_archived_wal = pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver"
    wait_until(lambda: bool(made.postgres.value(statement)), "the archiver")
    found = by_name(external.prove(barman_run(made))["checks"])
    assert found["wal_archive_age"]["status"] == "crit"
    assert "the newest in the archive is" in found["wal_archive_age"]["summary"]


@pytest.mark.lab
def test_the_barman_of_another_server_proves_nothing(saved_by_barman: Barman, pg18: Postgres):
    with pytest.raises(BadInput, match=r"external\.server: Barman's main is the server with system identifier"):
        external.prove(barman_run(saved_by_barman, postgres=pg18))
    with pytest.raises(BadInput, match=r"external\.server: Barman says: Unknown server 'nope'"):
        external.prove(barman_run(saved_by_barman, name="nope"))


def test_what_barman_finds_wrong_is_told():
    checked = {
        "archiver_errors": {"hint": "", "status": "OK"},
        "minimum_redundancy_requirements": {"hint": "have 0 backups, expected at least 1", "status": "FAILED"},
    }
    found = barman.parse([], {}, checked, {"server_txt_version": "15.19"})
    assert found.failed == ("minimum redundancy requirements (have 0 backups, expected at least 1)",)
    told = external.barman_checks(found, None, None, Policy(), NOW)
    assert [check["status"] for check in told] == ["warn", "crit", "crit"]
    assert "does not reach the server" in told[0]["summary"]
