# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a proof decides without a server: which set is due, what stays out, which roles are made, what differs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Optional

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup import (
    archive,
    compare,
    inert,
    prove,
    verify,
    verify_plan,
)
from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry, Toc
from ansible_collections.day2.ops.plugins.module_utils._backup.catalogue import BackupSet, new_id
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from tests.lab.fixtures import Database

from .rich import RICH

NOW = datetime(2026, 12, 6, 2, 0, tzinfo=timezone.utc)
DAY = 86400.0
SCHEMA = json.loads((Path(__file__).parents[5] / "docs/schemas/verification-1.json").read_text(encoding="utf-8"))


def one(days: float, verified: Optional[bool] = None, ago: float = 1, complete: bool = True) -> BackupSet:
    """A set taken so many days ago, judged so many days ago."""
    taken = NOW - timedelta(days=days)
    verdict = None
    if verified is not None:
        verdict = {"verified": verified, "at": clock.iso(NOW - timedelta(days=ago)), "reason": None}
    return BackupSet(new_id(taken, "abcd"), "shop", taken, 10, complete, taken, (), verdict)


def choose(*sets: BackupSet, wanted: Optional[str] = None, max_age: float = 7 * DAY, force: bool = False) -> Any:
    return verify_plan.choose(sets, NOW, "shop", wanted, max_age, force)


def test_the_newest_set_that_counts_is_proven() -> None:
    chosen, reason = choose(one(3), one(1), one(2))
    assert chosen == one(1) and reason == "no set was ever verified"
    assert choose(one(3), one(1, False), one(2))[0] == one(2)
    assert choose(one(3), one(1, complete=False))[0] == one(3)


def test_a_proof_is_good_for_a_while() -> None:
    young = one(3, True, ago=6.9)
    chosen, reason = choose(young, one(1))
    assert chosen is None and young.id in reason and "max_age" in reason
    assert choose(replace(young, verdict={"verified": True, "at": clock.iso(NOW - timedelta(days=7))}), one(1))[
        0
    ] == one(1)
    assert choose(young, one(1), force=True)[0] == one(1)
    old = one(9, True, ago=8)
    assert choose(old)[0] == old
    # A refuted one since then does not make the proof any older, nor younger.
    assert choose(old, one(1, False))[0] == old
    assert choose(young, one(1, False))[0] is None


def test_a_set_that_is_named() -> None:
    young, new = one(3, True), one(1)
    assert choose(young, new, wanted=new.id)[0] == new
    assert choose(young, new, wanted=young.id)[0] is None
    assert choose(young, new, wanted=young.id, force=True)[0] == young
    refuted = one(2, False)
    assert choose(refuted, wanted=refuted.id)[0] == refuted
    with pytest.raises(BadInput, match="set: there is no set"):
        choose(young, wanted=new.id)
    with pytest.raises(BadInput, match="not the id"):
        choose(young, wanted="latest")
    with pytest.raises(OpsError, match="never completed"):
        choose(one(1, complete=False), wanted=new.id)


def test_nothing_to_prove_is_a_failure() -> None:
    for sets in ((), (one(1, complete=False),), (one(1, False),)):
        with pytest.raises(Refused, match="Failed to verify a backup of shop"):
            choose(*sets)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"jobs": 0}, "jobs"),
        ({"jobs": 100}, "jobs"),
        ({"rto": 0}, "rto"),
        ({"max_age": -1}, "max_age"),
        ({"assertions": [{"name": "a", "query": " "}]}, "assertions"),
        ({"assertions": [{"name": "a", "query": "SELECT 1"}] * 2}, "assertions"),
        ({"verify_on_source": True}, "verify_on_source"),
    ],
)
def test_options_that_cannot_be_meant(given: dict[str, Any], option: str) -> None:
    good = {"jobs": 2, "rto": None, "rpo": None, "max_age": 0, "assertions": [], "verify_on_source": False}
    verify_plan.check_options({**good, "verify_host": None})
    with pytest.raises(BadInput, match=f"^{option}: "):
        verify_plan.check_options({**good, "verify_host": None, **given})


def test_a_critical_check_refutes() -> None:
    good = compare.types.ROWS("shop", 0, crit=1, summary="All is there.")
    prove.judge([good])
    with pytest.raises(prove.Refuted, match=r"^table a has 3 of 4$"):
        prove.judge([good, compare.types.ROWS("shop", 1, crit=1, summary="Table a has 3 of 4.")])


def test_verdicts_keep_to_their_schema() -> None:
    run = Run({"run": {"id": "r1", "target": "shop"}}, False, Deadline(None), Liveness())
    about = {"schema": "day2.ops/verification/1", "id": new_id(NOW, "abcd"), "target": "shop"}
    measured = {"server": "18.1", "restore_seconds": 3.1, "data_age_seconds": 7, "tables": 2, "rows": 3}
    found = prove.Found(verified=True, checks=[compare.types.ROWS("shop", 0, crit=1, summary="x")])
    jsonschema.validate({**about, **verify._verdict(run, found, None, measured)}, SCHEMA)
    found.verified = False
    jsonschema.validate({**about, **verify._verdict(run, found, "it is empty", {})}, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**about, **verify._verdict(run, found, None, {})}, SCHEMA)


# -- what stays out


def entry(number: int, desc: str, tag: str, *dependencies: int, namespace: str = "public", **more: Any) -> Entry:
    known = {"has_data": False, "table_oid": "0", "oid": "0", "section": 2, "definition": "", "copy": "", "owner": "o"}
    return Entry(
        dump_id=number, desc=desc, tag=tag, namespace=namespace, dependencies=dependencies, at=0, **{**known, **more}
    )


def toc(*entries: Entry) -> Toc:
    return Toc((1, 16, 0), "shop", "18", "18", entries, 4, 8, 0)


def test_what_could_reach_others_stays_out() -> None:
    contents = toc(
        entry(1, "SUBSCRIPTION", "feed", namespace=""),
        entry(2, "COMMENT", "SUBSCRIPTION feed", 1, namespace=""),
        entry(3, "SERVER", "far", namespace=""),
        entry(4, "USER MAPPING", "USER MAPPING u SERVER far", 3, namespace=""),
        entry(5, "TABLE", "parted"),
        entry(6, "FOREIGN TABLE", "there", 3, 5),
        entry(7, "VIEW", "seen", 6),
        entry(8, "MATERIALIZED VIEW", "copied", 7),
        entry(9, "MATERIALIZED VIEW DATA", "copied", 8),
        entry(10, "MATERIALIZED VIEW", "of_parts", 5),
        entry(11, "MATERIALIZED VIEW DATA", "of_parts", 10),
        entry(12, "TABLE", "here"),
        entry(13, "MATERIALIZED VIEW", "own", 12),
        entry(14, "MATERIALIZED VIEW DATA", "own", 13),
        entry(15, "EVENT TRIGGER", "watched", namespace=""),
        entry(16, "EXTENSION", "pg_cron", namespace=""),
        entry(17, "TABLE DATA", "job", namespace="cron"),
        entry(18, "PUBLICATION", "all", namespace=""),
    )
    assert sorted(inert.left_out(contents)) == [1, 2, 4, 9, 11, 15, 16, 17]
    assert sorted(inert.left_out(contents, own=False)) == [1, 2, 4, 9, 11, 15, 16, 17, 18]
    assert inert.could_reach_out(contents) == ["foreign server far"]
    assert [one.dump_id for one in contents.entries if inert.keep(contents)(one)] == [3, 5, 6, 7, 8, 10, 12, 13, 14, 18]


GLOBALS = """\
--
-- Roles; all
--
\\restrict x
CREATE ROLE "a;b";
ALTER ROLE "a;b" WITH SUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x''; DROP ROLE y;--' VALID UNTIL 'infinity';
CREATE ROLE app;
ALTER ROLE app WITH NOLOGIN PASSWORD NULL;
ALTER ROLE app SET search_path TO 'x', 'y; z';
CREATE TABLESPACE fast OWNER app LOCATION '/fast';
GRANT "a;b" TO app WITH INHERIT TRUE GRANTED BY "po""st";
GRANT app TO other WITH ADMIN OPTION GRANTED BY postgres;
"""


def test_roles_come_without_their_passwords() -> None:
    assert inert.roles(GLOBALS) == [
        'CREATE ROLE "a;b"',
        """ALTER ROLE "a;b" WITH SUPERUSER LOGIN VALID UNTIL 'infinity'""",
        "CREATE ROLE app",
        "ALTER ROLE app WITH NOLOGIN",
        'GRANT "a;b" TO app WITH INHERIT TRUE',
        "GRANT app TO other WITH ADMIN OPTION",
    ]


# -- what differs


def contents_of(database: Database) -> Toc:
    """The structure of a database, as its own pg_dump sees it."""
    from .sets import _output

    whole = io.BytesIO(b"".join(_output(database.postgres, database.name, "pg_dump", "-Fc", "-Z0", "--schema-only")))
    return archive.read_toc(whole.read)


CHANGES = (
    ("DROP INDEX orders_lower_idx", "index public.orders_lower_idx is missing"),
    ("ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE", "constraint public.orders orders_pkey is missing"),
    ("DROP TRIGGER noted ON orders", "trigger public.orders noted is missing"),
    ("ALTER FUNCTION add(int, int) IMMUTABLE", "function public.add"),
    ("ALTER TABLE tags OWNER TO orchestrator", "the owner of table public.tags"),
    ("REVOKE SELECT ON orders FROM day2_observe", "acl public.TABLE orders"),
    ("GRANT USAGE ON SCHEMA public TO PUBLIC", "acl SCHEMA public"),
    ("DROP POLICY own ON orders", "policy public.orders own is missing"),
    ("ALTER TABLE tags ADD COLUMN more int", "table public.tags"),
    ("CREATE TABLE extra ()", "table public.extra is new"),
    ("COMMENT ON TABLE orders IS NULL", "comment public.TABLE orders is missing"),
    ("ALTER DEFAULT PRIVILEGES FOR ROLE orchestrator GRANT ALL ON SEQUENCES TO day2_observe", "default acl"),
)  # fmt: skip


@pytest.fixture
def rich(database: Database) -> Iterator[Database]:
    database.execute(RICH)
    yield database


@pytest.mark.lab
def test_every_difference_is_named(rich: Database) -> None:
    before = contents_of(rich)
    assert compare.differences(before, before, {}, owners=True) == ([], False)
    for statement, words in CHANGES:
        was = contents_of(rich)
        rich.execute(statement)
        differing, missing = compare.differences(was, contents_of(rich), {}, owners=True)
        assert any(text.startswith(words) for text in differing), (statement, differing)
        assert missing is any("is missing" in text for text in differing)
    # Where owners and grants are not restored, they do not differ.
    rich.execute("ALTER TABLE tags OWNER TO postgres; GRANT ALL ON orders TO PUBLIC")
    after = contents_of(rich)
    rich.execute("ALTER TABLE tags OWNER TO orchestrator; REVOKE ALL ON orders FROM PUBLIC")
    assert compare.differences(after, contents_of(rich), {}, owners=False) == ([], False)
    # Another pg_dump may say it in other words.
    last = contents_of(rich)

    def status(was: Toc, **given: bool) -> str:
        return str(compare.structure("shop", was, last, {}, owners=True, **given)["status"])

    assert status(before, comparable=False) == "crit"
    assert status(before, comparable=False, binding=False) == "warn"
    assert status(after, comparable=True) == "crit"
    other = replace(last, entries=tuple(replace(one, definition=one.definition + " ") for one in last.entries))
    assert status(other, comparable=True) == "crit"
    assert status(other, comparable=False) == "ok"
    assert status(last, comparable=True) == "ok"
