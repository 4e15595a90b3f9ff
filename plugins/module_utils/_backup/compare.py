# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what was restored what was backed up? Each question is a check; a critical one refutes the set."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Collection, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import inert, types
from ansible_collections.day2.ops.plugins.module_utils._backup.archive import VALUES, Entry, Toc
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.trouble import SqlError
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, listed

Manifest = Mapping[str, Any]
# Counting a large table takes its time; the deadline bounds it.
LONG_SECONDS = 86400.0

_MEMBERS = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_depend d
  JOIN pg_class c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE d.deptype = 'e' AND c.relkind IN ('r', 'p')
"""
_EXTENSIONS = "SELECT extname AS name, extversion AS version FROM pg_extension"
_COLLATIONS = """
SELECT n.nspname || '.' || c.collname AS name, pg_collation_actual_version(c.oid) AS version
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE n.nspname || '.' || c.collname = ANY(%s) AND c.collencoding IN (-1, (SELECT encoding FROM pg_database
       WHERE datname = current_database()))
"""
_DATABASE_COLLATION = """
SELECT pg_database_collation_actual_version(oid) AS version FROM pg_database WHERE datname = current_database()
"""
_SETVAL = re.compile(r"setval\('(?:[^']|'')*', (-?\d+), (true|false)\)")


def rows(run: Run, session: Session, subject: str, manifest: Manifest, toc: Toc, out: Collection[int]) -> Check:
    """The rows of every table, counted, against the manifest."""
    names = {spell(entry.namespace, entry.tag): entry for entry in toc.tables() if entry.dump_id not in out}
    tables = [table for table in manifest["tables"] if table["name"] in names]
    # An extension makes rows of its own in these; the dump holds what was added to them.
    members = {spell(row["schema"], row["name"]) for row in session.rows(_MEMBERS)}
    differing, total = [], 0
    for done, table in enumerate(tables):
        entry = names[table["name"]]
        run.live.progress(f"counting the rows of {table['name']}", done / len(tables))
        statement = compose("SELECT count(*) AS rows FROM ONLY {table}", table=(entry.namespace, entry.tag))
        try:
            found = int(session.rows(statement, timeout=LONG_SECONDS)[0]["rows"])
        except SqlError as error:
            if error.sqlstate != "42P01":
                raise
            differing.append(f"{table['name']} is not there")
            continue
        total += found
        if found != table["rows"] and not (table["name"] in members and found >= table["rows"]):
            differing.append(f"{table['name']} has {amount(found)} of {amount(table['rows'])}")
    text = f"All {count(total, 'row')} of {count(len(tables), 'table')} came back."
    if differing:
        text = f"{count(len(differing), 'table')} did not come back with the rows that were backed up: "
        text += f"{listed(differing)}."
    return types.ROWS(
        subject, len(differing), crit=1, summary=text, advice="Take another backup now.",
        tables=len(tables), rows=total, differing=listed(differing),
    )  # fmt: skip


def structure(
    subject: str,
    wanted: Toc,
    found: Toc,
    out: Mapping[int, Entry],
    *,
    owners: bool,
    comparable: bool,
    binding: bool = True,
) -> Check:
    """Definitions, owners and grants, against a dump of what was restored. Pure.

    ``comparable``: both dumps were made by the same pg_dump; others may word the same definition differently.
    ``binding``: both servers are of the same version; others may define the same things in other ways.
    """
    differing, missing = differences(wanted, found, out, owners=owners, texts=comparable)
    objects = len(_objects(wanted, out, owners))
    scope = "definition, owner and grants" if owners else "definition; owners and grants were not restored there"
    text = f"{count(objects, 'object')} came back with their {scope}."
    if not comparable:
        text = f"{count(objects, 'object')} came back; pg_dump is another one here, so their texts were not compared."
    if differing:
        text = f"{count(len(differing), 'object')} did not come back as they were: {listed(differing)}."
    told = not differing or (binding and (missing or comparable))
    return types.STRUCTURE(
        subject, len(differing), crit=1, status=None if told else "warn",
        summary=text, advice="Restore the set by hand and compare; take another backup now.",
        objects=objects, differing=listed(differing), left_out=len(out), owners=owners, comparable=comparable,
    )  # fmt: skip


def differences(
    wanted: Toc, found: Toc, out: Mapping[int, Entry], *, owners: bool, texts: bool = True
) -> tuple[list[str], bool]:
    """What differs, named, and whether something is missing altogether. Pure."""
    there, here = _objects(wanted, out, owners), _objects(found, inert.left_out(found), owners)
    differing, missing = [], False
    for key in sorted(there.keys() | here.keys()):
        name = f"{key[0].lower()} {key[1]}.{key[2]}" if key[1] else f"{key[0].lower()} {key[2]}"
        if key not in here:
            differing.append(f"{name} is missing")
            missing = True
        elif key not in there:
            if not _public(key):
                differing.append(f"{name} is new")
        elif sorted(one[0] for one in there[key]) != sorted(one[0] for one in here[key]):
            differing.append(f"the owner of {name}")
        elif texts and there[key] != here[key]:
            differing.append(name)
    return differing, missing


Key = tuple[str, str, str]


def _objects(toc: Toc, out: Mapping[int, Entry], owners: bool) -> dict[Key, Counter[tuple[str, str]]]:
    """The owners and definitions of what an archive defines, by kind and name."""
    found: dict[Key, Counter[tuple[str, str]]] = {}
    for entry in toc.entries:
        key = (entry.desc, entry.namespace, entry.tag)
        if entry.dump_id in out or _no_definition(entry) or (not owners and _granted(entry)):
            continue
        owner = entry.owner if owners and entry.desc != "ACL" and not _public(key) else ""
        found.setdefault(key, Counter())[owner, _normal(entry)] += 1
    return found


def _no_definition(entry: Entry) -> bool:
    """Data; and what pg_restore leaves to whoever makes the database."""
    return entry.desc in (
        *VALUES,
        *inert.WHOLE_DATABASE,
        "MATERIALIZED VIEW DATA",
        "ENCODING",
        "STDSTRINGS",
        "SEARCHPATH",
    ) or (entry.desc in inert.ATTACHED and entry.tag.startswith(("DATABASE ", "LARGE OBJECT")))


def _granted(entry: Entry) -> bool:
    """What only owners and superusers may set."""
    return entry.desc in ("ACL", "DEFAULT ACL", "SECURITY LABEL") or (
        entry.desc == "COMMENT" and entry.tag.startswith(("EXTENSION ", "SCHEMA public"))
    )


def _public(key: Key) -> bool:
    """The schema that every database is born with; its owner is that of the server."""
    return key[2] in ("public", "SCHEMA public") and key[0] in ("SCHEMA", *inert.ATTACHED)


def _normal(entry: Entry) -> str:
    """Grants are a set."""
    if entry.desc in ("ACL", "DEFAULT ACL"):
        return "\n".join(sorted(entry.definition.splitlines()))
    return entry.definition


def extensions(session: Session, subject: str, manifest: Manifest) -> Check:
    found = {row["name"]: row["version"] for row in session.rows(_EXTENSIONS)}
    wanted = {one["name"]: one["version"] for one in manifest["extensions"] if one["name"] not in inert.SCHEDULERS}
    missing = [name for name in sorted(wanted) if name not in found]
    other = [
        f"{name} {found[name]} for {wanted[name]}"
        for name in sorted(wanted)
        if found.get(name, wanted[name]) != wanted[name]
    ]
    text = f"{count(len(wanted), 'extension')} came back in the same version."
    if other:
        text = f"{count(len(other), 'extension')} came back in another version: {listed(other)}."
    if missing:
        text = f"{count(len(missing), 'extension')} did not come back: {listed(missing)}."
    status = "crit" if missing else "warn" if other else "ok"
    return types.EXTENSIONS(
        subject, len(missing) + len(other), status=status, summary=text,
        advice="Install the same versions where backups are restored.",
        extensions=len(wanted), differing=listed(missing + other),
    )  # fmt: skip


def collations(session: Session, subject: str, manifest: Manifest, locale_differs: Optional[str]) -> Check:
    """Another version of a collation may order text differently; indexes are rebuilt by a restore, so it only warns."""
    wanted = {one["name"]: one["version"] for one in manifest["collations"]}
    found = {row["name"]: row["version"] for row in session.rows(_COLLATIONS, [list(wanted)])}
    other = [
        f"{name} {found.get(name)} for {wanted[name]}" for name in sorted(wanted) if found.get(name) != wanted[name]
    ]
    default = manifest["database_settings"].get("collation_version")
    if locale_differs:
        other.insert(0, locale_differs)
    elif default and session.version >= 150000:
        here = session.rows(_DATABASE_COLLATION)[0]["version"]
        if here != default:
            other.insert(0, f"the database's own {here} for {default}")
    text = "The collations are of the same version." if wanted or default else "No collation has a version."
    if other:
        text = f"Text may be ordered differently here: {listed(other)}."
    return types.COLLATIONS(
        subject, len(other), warn=1, summary=text,
        advice="Verify on a host with the operating system of the database server.",
        collations=len(wanted) + bool(default), differing=listed(other),
    )  # fmt: skip


def sequences(session: Session, subject: str, toc: Toc, out: Collection[int]) -> Check:
    """The values that were set, against those that the sequences have."""
    entries = [entry for entry in toc.entries if entry.desc == "SEQUENCE SET" and entry.dump_id not in out]
    differing = []
    for entry in entries:
        match = _SETVAL.search(entry.definition)
        if match is None:
            raise OpsError(f"Failed to read the value of sequence {spell(entry.namespace, entry.tag)} in the archive.")
        statement = compose(
            "SELECT last_value AS value, is_called AS called FROM {name}", name=(entry.namespace, entry.tag)
        )
        row = session.rows(statement)[0]
        if (row["value"], row["called"]) != (int(match.group(1)), match.group(2) == "true"):
            differing.append(f"{spell(entry.namespace, entry.tag)} is at {row['value']}, not at {match.group(1)}")
    text = f"{count(len(entries), 'sequence')} came back with the value that was backed up."
    if differing:
        text = f"{count(len(differing), 'sequence')} came back with another value: {listed(differing)}."
    return types.SEQUENCES(
        subject, len(differing), crit=1, summary=text, advice="Take another backup now.",
        sequences=len(entries), differing=listed(differing),
    )  # fmt: skip


def large_objects(session: Session, subject: str, manifest: Manifest) -> Check:
    found = int(session.rows("SELECT count(*) AS count FROM pg_largeobject_metadata")[0]["count"])
    wanted = int(manifest["large_objects"])
    same = found == wanted
    text = f"{count(wanted, 'large object')} came back." if same else f"{amount(found)} of {amount(wanted)} came back."
    status = "ok" if same else "crit"
    return types.LARGE_OBJECTS(
        subject, found, status=status, summary=text, advice="Take another backup now.", expected=wanted
    )


def assertions(session: Session, subject: str, asked: Sequence[Mapping[str, str]]) -> Check:
    """The queries that someone wrote to know their data again. Raises :class:`OpsError` for one that cannot run."""
    failing = []
    for one in asked:
        session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            said = session.rows(one["query"], timeout=LONG_SECONDS)
        except SqlError as error:
            raise OpsError(f"Failed to ask assertion {one['name']}: {error}. Correct its query.") from error
        session.rows("ROLLBACK")
        if len(said) != 1 or len(said[0]) != 1:
            failing.append(f"{one['name']} (it returned {count(len(said), 'row')}, not one value)")
        elif next(iter(said[0].values())) is not True:
            failing.append(str(one["name"]))
    text = f"{count(len(asked), 'assertion')} answered with true."
    if failing:
        text = f"{count(len(failing), 'assertion')} of {len(asked)} answered with something else: {listed(failing)}."
    return types.ASSERTIONS(
        subject, len(failing), crit=1, summary=text, advice="See what the data should be; take another backup.",
        assertions=len(asked), failing=listed(failing),
    )  # fmt: skip
