# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which backup of pgBackRest is due, and whether WAL is safe: by rule, and with the real program."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import run_spec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Deferred, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._physical import pgbackrest, stanza, wal
from ansible_collections.day2.ops.plugins.module_utils._physical.pgbackrest import DAY, Policy
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from tests.lab import demo
from tests.lab.lab import Lab
from tests.lab.pgbackrest import PgBackRest
from tests.lab.postgres import give_file
from tests.lab.processes import wait_until

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=timezone.utc)
SEGMENT = 16 << 20


def entry(kind: str, days: float, *, error: bool = False, prior: str | None = None, db: int = 1) -> dict[str, Any]:
    """One backup as pgBackRest tells it, begun so many days ago."""
    began = int((NOW - timedelta(days=days)).timestamp())
    label = f"{began}{kind[0].upper()}"
    return {
        "archive": {"start": "000000010000000000000002", "stop": "000000010000000000000003"},
        "database": {"id": db, "repo-key": 1},
        "error": error,
        "info": {"size": 22283916, "repository": {"delta": 2685712, "size": 2685712}},
        "label": label,
        "prior": prior,
        "timestamp": {"start": began, "stop": began + 60},
        "type": kind,
    }


def told(*backups: dict[str, Any], held: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "archive": [
                {"database": {"id": 1, "repo-key": 1}, "id": "15-1", "min": "0" * 24, "max": "000000010000000000000009"}
            ],
            "backup": list(backups),
            "db": [{"id": 1, "repo-key": 1, "system-id": 7710474478724304895, "version": "15"}],
            "name": "main",
            "repo": [{"key": 1, "status": {"code": 0, "message": "ok"}}],
            "status": {"code": 0, "lock": {"backup": {"held": held}}, "message": "ok"},
        }
    ]


def known(*backups: dict[str, Any], held: bool = False) -> stanza.Stanza:
    return stanza.parse(told(*backups, held=held), "main", 1)


WEEKLY = Policy(max_age=0.25 * DAY, diff_max_age=DAY, full_max_age=7 * DAY)


@pytest.mark.parametrize(
    ("backups", "kind", "words"),
    [
        ([], "full", "no full backup"),
        ([("full", 8)], "full", "newest full backup is 192.0 h old (threshold 168.0 h)"),
        ([("full", 8), ("incr", 0.1)], "full", "192.0 h"),
        ([("full", 2)], "diff", "full or differential backup is 48.0 h old"),
        ([("full", 2), ("diff", 0.5)], "incr", "newest backup is 12.0 h old (threshold 6.0 h)"),
        ([("full", 0.9), ("incr", 0.2)], None, "is 4.8 h old"),
        ([("full", 7)], "full", "168.0 h"),
    ],
)
def test_what_is_due_follows_from_ages(backups, kind, words):
    found = pgbackrest.due(known(*(entry(*one) for one in backups)), WEEKLY, NOW)
    assert found[0] == kind
    assert words in found[1]


def test_without_differentials_the_rest_is_incremental():
    assert pgbackrest.due(known(entry("full", 2)), Policy(), NOW)[0] == "incr"


def test_force_takes_the_smallest():
    assert pgbackrest.due(known(entry("full", 0.01)), Policy(force=True), NOW) == ("incr", "it was asked for")


def test_damaged_backups_and_what_builds_on_them_do_not_count():
    damaged = entry("full", 1, error=True)
    found = known(damaged, entry("incr", 0.1, prior=damaged["label"]))
    assert found.good == ()
    kind, why = pgbackrest.due(found, WEEKLY, NOW)
    assert kind == "full"
    assert "2 backups with damaged pages do not count" in why


def test_backups_of_the_server_before_an_upgrade_do_not_count():
    entries = told(entry("full", 0.1, db=1))
    entries[0]["db"].append({"id": 2, "repo-key": 1, "system-id": 5, "version": "18"})
    found = stanza.parse(entries, "main", 1)
    assert (found.backups, found.newest_wal, found.version) == ((), None, "18")


def test_another_backup_at_work_defers_both_steps():
    actions = pgbackrest.plan(known(entry("full", 8), held=True), WEEKLY, NOW)
    assert [action["status"] for action in actions] == ["deferred", "deferred"]


def test_a_stanza_that_is_not_there_is_named():
    with pytest.raises(BadInput, match="no stanza shop"):
        stanza.parse(told(), "shop", 1)
    with pytest.raises(BadInput, match="not in repository 2"):
        stanza.parse(told(), "main", 2)


def test_the_backups_of_another_server_prove_nothing():
    with pytest.raises(BadInput, match="stanza-upgrade"):
        stanza.require_same_server(known(), "1", "db1")
    stanza.require_same_server(known(), None, "a server that hides it")


@pytest.mark.parametrize(
    ("option", "value"), [("full_max_age", 3600.0), ("diff_max_age", 10.0), ("max_wal_age", 0.0), ("diff_max_age", 9e9)]
)
def test_ages_that_cannot_be_meant(option, value):
    given = {"full_max_age": 7 * DAY, "diff_max_age": None, "max_wal_age": 900.0, option: value}
    with pytest.raises(BadInput, match=option if value < 9e9 else "full_max_age"):
        pgbackrest.policy_of({"max_age": DAY, "pgbackrest": given})


def test_pgbackrests_words_become_one_sentence():
    said = (
        "ERROR: [055]: unable to load info file '/r/backup.info':\n"
        "       FileMissingError: unable to open\n       HINT: has a stanza-create been performed?\n"
    )
    error = stanza.failure("back up main", said, 55)
    assert (
        str(error)
        == "Failed to back up main: unable to load info file '/r/backup.info'. Has a stanza-create been performed?."
    )
    assert isinstance(stanza.failure("x", "P00  ERROR: [050]: unable to acquire lock", 50), Deferred)
    assert str(stanza.failure("x", "", 7)) == "Failed to x: exit status 7."


# -- WAL


def archiver(**more: Any) -> wal.Archiver:
    """A server that writes its tenth segment, a quarter full, and archived the ninth two hours ago."""
    values: dict[str, Any] = {
        "now": NOW,
        "mode": "on",
        "timeout": 0,
        "segment_bytes": SEGMENT,
        "timeline": "00000001",
        "position": 10 * SEGMENT + SEGMENT // 4,
        "archived_wal": "000000010000000000000009",
        "archived_at": NOW - timedelta(hours=2),
    }
    return wal.Archiver(**{**values, **more})


NEWEST = "000000010000000000000009"


def test_what_was_written_since_is_at_most_as_old_as_the_last_success():
    found = wal.lag(archiver(), NEWEST)
    assert (found.seconds, found.pending_bytes, found.fault) == (7200.0, SEGMENT // 4, "")
    assert "archive_timeout" in found.advice


def test_with_a_timeout_an_idle_server_is_not_behind():
    assert wal.lag(archiver(timeout=60), NEWEST).seconds == 60.0


@pytest.mark.parametrize(
    "more",
    [
        {"position": 12 * SEGMENT},
        {"failed_at": NOW, "failed_wal": "00000001000000000000000A"},
    ],
    ids=["a closed segment waits", "the archiver fails"],
)
def test_a_timeout_excuses_no_backlog(more):
    assert wal.lag(archiver(timeout=60, **more), NEWEST).seconds == 7200.0


def test_nothing_written_is_nothing_behind():
    assert wal.lag(archiver(position=10 * SEGMENT), NEWEST) == wal.Lag(0.0)


@pytest.mark.parametrize(
    ("more", "newest", "words"),
    [
        ({"mode": "off"}, NEWEST, "does not archive"),
        ({}, None, "holds no WAL"),
        ({}, "000000010000000000000008", "calls 000000010000000000000009 archived, but the newest"),
        ({}, "000000020000000000000009", "another server archives there"),
        ({"archived_wal": None, "archived_at": None}, NEWEST, "no success yet"),
    ],
)
def test_what_makes_an_archive_worthless(more, newest, words):
    found = wal.check(archiver(**more), newest, 900)
    assert (found["status"], found["value"]) == ("crit", None)
    assert words in found["summary"]


def test_the_backup_label_file_is_no_segment():
    claimed = archiver(archived_wal="000000010000000000000003.00000028.backup", position=10 * SEGMENT)
    assert wal.lag(claimed, NEWEST).seconds == 0.0


def test_names_of_segments_of_another_size():
    for place in (0, 255, 256, 515, 4711):
        for segment_bytes in (1 << 20, SEGMENT, 1 << 30):
            assert wal.number(wal.name("00000003", place, segment_bytes), segment_bytes) == place


# -- the real program


def run_of(repository: PgBackRest, *, check: bool = False, seconds: float | None = None, **given: Any) -> Run:
    """A run of the module as the least-privilege role."""
    specs = {**postgresql_spec().argument_spec, **run_spec().argument_spec}
    params = {name: option.get("default") for name, option in specs.items()}
    options = pgbackrest.options().argument_spec["pgbackrest"]["options"]
    defaults = {name: option.get("default") for name, option in options.items()}
    inner = {**defaults, **repository.options(), **given.pop("pgbackrest", {})}
    params.update(repository.postgres.login("postgres", demo.BACKUP))
    params.update({"max_age": DAY, "force": False, "pgbackrest": inner, **given})
    end = None if seconds is None else datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return Run(params, check, Deadline(end), Liveness())


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["check"].removeprefix("postgresql_"): check["status"] for check in result["checks"]}


def labels(repository: PgBackRest) -> list[str]:
    return [one["label"] for one in repository.info()["backup"]]


@pytest.fixture(scope="module")
def repository(lab: Lab) -> PgBackRest:
    made = lab.pgbackrest("pgbackrest-unit")
    made.postgres.create_role(demo.BACKUP, member_of=("pg_monitor",))
    return made


@pytest.mark.lab
def test_check_take_and_take_again(repository: PgBackRest):
    planned = pgbackrest.backup(run_of(repository, check=True))
    assert statuses(planned)["backup_age"] == "crit"
    assert labels(repository) == []

    done = pgbackrest.backup(run_of(repository))
    assert [one["status"] for one in planned["actions"]] == ["planned", "planned"]
    assert [one["status"] for one in done["actions"]] == ["done", "done"]
    assert [(one["action"], one["subject"], one["reason"]) for one in planned["actions"]] == [
        (one["action"], one["subject"], one["reason"]) for one in done["actions"]
    ]
    assert labels(repository) == [done["set"]]
    assert done["actions"][0]["after"]["bytes"] > 20_000_000
    assert set(statuses(done).values()) == {"ok"}

    again = pgbackrest.backup(run_of(repository))
    assert (again["actions"], again["set"]) == ([], None)
    assert "Nothing is due" in again["plan_summary"]


@pytest.mark.lab
def test_pgbackrest_expires_what_it_may_but_not_while_the_newest_full_backup_is_old(repository: PgBackRest):
    first = labels(repository)[0]
    config = repository.folder / "one.conf"
    text = repository.config.read_text(encoding="utf-8")
    give_file(config, text.replace("retention-full=2", "retention-full=1"), repository.postgres.account)
    # The new one is older than half a second before it has ended.
    given = {"config": str(config), "full_max_age": 0.5}
    result = pgbackrest.backup(run_of(repository, max_age=0.1, pgbackrest=given))
    assert [one["status"] for one in result["actions"]] == ["done", "skipped"]
    assert first in labels(repository)
    forced = pgbackrest.backup(run_of(repository, force=True, pgbackrest={"config": str(config)}))
    assert [one["status"] for one in forced["actions"]] == ["done", "done"]
    assert forced["actions"][0]["after"]["type"] == "incr"
    assert forced["actions"][1]["after"] == {"sets": 2, "removed": 1}
    assert labels(repository)[0] == result["set"]


@pytest.mark.lab
def test_no_time_no_backup(repository: PgBackRest):
    before = labels(repository)
    result = pgbackrest.backup(run_of(repository, max_age=0.1, seconds=0.5))
    assert {one["status"] for one in result["actions"]} == {"deferred"}
    assert labels(repository) == before


@pytest.mark.lab
def test_a_failing_backup_expires_nothing_and_says_why(repository: PgBackRest):
    before = labels(repository)
    config = repository.folder / "broken.conf"
    text = repository.config.read_text(encoding="utf-8")
    give_file(config, text.replace("pg1-path=", "pg1-path=/nowhere"), repository.postgres.account)
    with pytest.raises(OpsError, match="Failed to back up the stanza main: ") as caught:
        pgbackrest.backup(run_of(repository, max_age=0.1, pgbackrest={"config": str(config)}))
    assert [one["status"] for one in caught.value.result["actions"]] == ["failed", "skipped"]
    assert labels(repository) == before


@pytest.mark.lab
def test_wal_that_is_thrown_away_is_noticed(repository: PgBackRest):
    server = repository.postgres
    repository.archive("/bin/true")
    try:
        server.value("SELECT pg_create_restore_point('written')")
        name = server.value("SELECT pg_walfile_name(pg_switch_wal())")
        wait_until(lambda: server.value("SELECT last_archived_wal FROM pg_stat_archiver") == name, "the archiver")
        result = pgbackrest.backup(run_of(repository, check=True))
        assert statuses(result)["wal_archive_age"] == "crit"
        assert "leads elsewhere" in result["checks"][-1]["advice"]
    finally:
        repository.archive()


@pytest.mark.lab
def test_bad_input_is_named_before_anything_happens(repository: PgBackRest):
    before = labels(repository)
    for given, words in (
        ({"program": "/nowhere/pgbackrest"}, "pgbackrest.program"),
        ({"config": "/nowhere/pgbackrest.conf"}, "pgbackrest.config"),
        ({"stanza": "shop"}, "no stanza shop"),
        ({"user": "root"}, "pgbackrest.user"),
        ({"user": "no-such-user"}, "pgbackrest.user"),
    ):
        with pytest.raises(BadInput, match=words):
            pgbackrest.backup(run_of(repository, pgbackrest=given))
    assert labels(repository) == before
