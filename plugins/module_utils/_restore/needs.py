# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore needs beyond its grants, found before anything is made: rights, roles and extensions."""

from __future__ import annotations

import re
from typing import Any, Callable, Collection, Iterable, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import fetch, inert
from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry, Toc
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, take_census
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.extensions import lacking
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

# Entries in whose text roles are named.
NAMING = ("ACL", "DEFAULT ACL", "POLICY", "USER MAPPING")
# What only a superuser can make.
SUPREME = ("EVENT TRIGGER", "FOREIGN DATA WRAPPER")
# They would take up the source's own stream; nobody wants that twice.
LEFT_OUT = ("SUBSCRIPTION", "SUBSCRIPTION TABLE")
# The schema of stop orders; see the grants.
STOP = "day2"
SHOWN = 20

_SELF = "SELECT rolname AS name, rolsuper AS super, rolcreatedb AS createdb FROM pg_roles WHERE rolname = current_user"
_ROLES = """
SELECT rolname AS name, pg_has_role(oid, 'USAGE') AND pg_has_role(oid, {acting}) AS ours, rolsuper AS super
  FROM pg_roles WHERE rolname = ANY(%s)
"""
_SETTABLE = """
SELECT w.name FROM unnest(%s::text[]) AS w(name) LEFT JOIN pg_settings s ON lower(s.name) = lower(w.name)
 WHERE coalesce(s.context, '') <> 'user' AND NOT {granted}
"""


def is_superuser(session: Session) -> bool:
    return bool(session.rows(_SELF)[0]["super"])


def require_rights(session: Session, roles: Collection[str], what: str) -> None:
    """:class:`Refused`, with the statements to run, when the role may not make databases or act as ``roles``."""
    me = session.rows(_SELF)[0]
    if me["super"]:
        return
    statements = [] if me["createdb"] else [f"ALTER ROLE {quote(me['name'])} CREATEDB;"]
    acting = "'SET'" if session.version >= 160000 else "'MEMBER'"
    lacking = [row for row in session.rows(_ROLES.format(acting=acting), [sorted(roles)]) if not row["ours"]]
    supreme = [row["name"] for row in lacking if row["super"]]
    if supreme:
        raise Refused(
            f"Failed to {what}: the superuser {supreme[0]} owns something of it, and only a superuser can give it "
            "back. Give one as login_user."
        )
    statements += [
        f"GRANT {quote(row['name'])} TO {quote(me['name'])};" for row in lacking if not row["name"].startswith("pg_")
    ]
    if statements:
        raise Refused(
            f"Failed to {what}: the user {me['name']} lacks rights. Let an administrator run: {' '.join(statements)}"
        )


def require_settings(session: Session, names: Collection[str], what: str) -> None:
    """:class:`Refused` when the role may not set, for a database, what the live one has set."""
    me = session.rows(_SELF)[0]
    if me["super"]:
        return
    granted = "has_parameter_privilege(w.name, 'SET')" if session.version >= 150000 else "false"
    lacking = [row["name"] for row in session.rows(_SETTABLE.format(granted=granted), [sorted(names)])]
    if lacking and session.version < 150000:
        raise Refused(f"Failed to {what}: only a superuser may set {', '.join(lacking)}. Give one as login_user.")
    if lacking:
        statements = [f"GRANT SET ON PARAMETER {quote(name)} TO {quote(me['name'])};" for name in lacking]
        raise Refused(
            f"Failed to {what}: the user {me['name']} may not set what the database has set. Let an administrator run: "
            f"{' '.join(statements)}"
        )


def require_tablespace(session: Session, name: str, what: str) -> None:
    """:class:`Refused` when the role may not make a database where the live one is. The default is open to all."""
    if name == "pg_default":
        return
    me = session.rows("SELECT current_user AS name, has_tablespace_privilege(%s, 'CREATE') AS may", [name])[0]
    if not me["may"]:
        raise Refused(
            f"Failed to {what}: the user {me['name']} may not use the tablespace of the database. Let an administrator "
            f"run: GRANT CREATE ON TABLESPACE {quote(name)} TO {quote(me['name'])};"
        )


def contents(store: Store, prefix: str, manifest: fetch.Manifest, identities: Any) -> Toc:
    """What the archive of a set holds, from its beginning: a few mebibytes at most are fetched."""
    fetch.check_sizes(store, prefix, manifest)
    name = fetch.part_of(manifest, fetch.DUMP)
    census = Census()
    for _piece in take_census(fetch.opened(store, prefix, manifest, name, identities), census):
        if census.toc is not None:
            return census.toc
    raise fetch.BrokenSet(f"its part {name} has no contents")


def roles_of(entries: Iterable[Entry]) -> set[str]:
    """The owners of what is restored. Pure."""
    return {entry.owner for entry in entries if entry.owner}


def roles_named(entries: Iterable[Entry], names: Collection[str]) -> set[str]:
    """Those of ``names`` that stand in grants, policies and the like. Pure."""
    texts = [entry.definition for entry in entries if entry.desc in NAMING]
    found = set()
    for name in names:
        pattern = re.compile(rf'(?<![\w"$]){re.escape(quote(name))}(?![\w"$])')
        if any(pattern.search(text) for text in texts):
            found.add(name)
    return found


def require_roles(
    run: Run,
    session: Session,
    store: Store,
    prefix: str,
    manifest: fetch.Manifest,
    identities: Any,
    entries: Sequence[Entry],
) -> None:
    """:class:`Refused`, with the statements, when roles that the set names are not on the server."""
    made = inert.roles(fetch.read_globals(run, store, prefix, manifest, identities))
    known = {name: [text for text in made if is_about(text, name)] for name in map(created, made) if name}
    owners = roles_of(entries)
    wanted = owners | roles_named(entries, known.keys() - owners)
    there = {
        row["name"]
        for row in session.rows("SELECT rolname AS name FROM pg_roles WHERE rolname = ANY(%s)", [sorted(wanted)])
    }
    missing = sorted(wanted - there)
    if not missing:
        return
    statements = [f"{text};" for name in missing for text in known.get(name) or [f"CREATE ROLE {quote(name)}"]]
    raise Refused(
        f"Failed to restore the set: the server lacks roles that own or may use what is in it: {', '.join(missing)}. "
        f"Let an administrator run: {' '.join(statements[:SHOWN])}"
    )


_CREATED = re.compile(r'\s*CREATE ROLE ("(?:[^"]|"")+"|\S+)\s*$')


def created(text: str) -> str:
    """The role that a statement of pg_dumpall creates, or nothing. Pure.

    >>> created('CREATE ROLE "Odd ""one"'), created("ALTER ROLE a WITH LOGIN")
    ('Odd "one', '')
    """
    match = _CREATED.match(text)
    if match is None:
        return ""
    name = match.group(1)
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def is_about(text: str, name: str) -> bool:
    """Whether the statement makes or alters the role; memberships are told with the rest of the set's roles. Pure."""
    spelled = re.escape(quote(name))
    return re.match(rf"\s*(?:CREATE ROLE|ALTER ROLE) {spelled}(?:\s|$)", text) is not None


def require_extensions(session: Session, entries: Iterable[Entry], there: Collection[str], superuser: bool) -> None:
    """:class:`Refused` when something of the set cannot be made here. ``there``: extensions that the template has."""
    entries = list(entries)
    lacks = lacking(session, _wanted(entries, there))
    if lacks.missing:
        raise Refused(
            "Failed to restore the set: it needs extensions that are not installed on the server: "
            f"{', '.join(lacks.missing)}. Install their packages there."
        )
    if superuser:
        return
    if lacks.superuser:
        names = ", ".join(lacks.superuser)
        raise Refused(
            f"Failed to restore the set: only a superuser may make the extensions {names}. Give one as login_user, or "
            "have a database made that holds them and give it as template."
        )
    above = sorted({f"{entry.desc.lower()} {entry.tag}" for entry in entries if entry.desc in SUPREME})
    if above:
        raise Refused(
            f"Failed to restore the set: only a superuser may make {', '.join(above[:SHOWN])}. Give one as login_user."
        )


def barred(session: Session, entries: Iterable[Entry], there: Collection[str]) -> set[str]:
    """Extensions that whoever is no superuser cannot make."""
    lacks = lacking(session, _wanted(entries, there))
    return {*lacks.missing, *lacks.superuser}


def _wanted(entries: Iterable[Entry], there: Collection[str]) -> set[str]:
    return {entry.tag for entry in entries if entry.desc == "EXTENSION"} - set(there)


def spelled(entry: Entry) -> str:
    return spell(entry.namespace, entry.tag)


def keep(toc: Toc, foreign: Collection[str] = ()) -> tuple[Callable[[Entry], bool], dict[int, Entry]]:
    """Which entries are restored beside, and those left out, by dump id. ``foreign``: owners that we cannot act as;
    the schema for stop orders, which an administrator made, then stays behind. Pure."""
    out = {entry.dump_id: entry for entry in toc.entries if entry.desc in LEFT_OUT}
    made = [entry for entry in toc.entries if STOP in (entry.namespace, entry.tag if entry.desc == "SCHEMA" else "")]
    if {entry.owner for entry in made} & set(foreign):
        out.update({entry.dump_id: entry for entry in made})
    for entry in toc.entries:
        if entry.desc in inert.ATTACHED and any(number in out for number in entry.dependencies):
            out[entry.dump_id] = entry
    return (lambda entry: entry.dump_id not in out), out


def foreign_owners(session: Session, toc: Toc) -> set[str]:
    """Owners of what is in the archive that the role cannot act as."""
    acting = "'SET'" if session.version >= 160000 else "'MEMBER'"
    rows = session.rows(_ROLES.format(acting=acting), [sorted(roles_of(toc.entries))])
    return {row["name"] for row in rows if not row["ours"]}
