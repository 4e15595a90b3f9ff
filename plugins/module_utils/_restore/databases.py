# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of a restore: which one is which, read from their names and from marks in their comments.

A mark is the last line of a database's comment, in JSON. It is renamed, dropped and committed together with the
database, so it cannot tell anything else than what is there. A comment that was there before stays above it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import MAX_BYTES

KEY = "day2.ops/restore"
NEW, RESCUE, LIVE, OLD, DISCARDED, CLOSED = "new", "rescue", "live", "old", "discarded", "closed"
SUFFIX = {NEW: "_day2_new", RESCUE: "_day2_rescue", OLD: "_day2_old_", DISCARDED: "_day2_discarded_"}
# How a database is made: until it carries our mark nobody can have connected to it.
UNTOUCHED_LIMIT = 0


@dataclass(frozen=True)
class Mark:
    """``owner`` is day2/<run>, ``of`` the name of the live database, ``taken`` the set's time, ``at`` when it was made.

    ``role`` is new, rescue, live, old, discarded, or closed (a live database that was closed for a swap). ``closed``
    says that we closed it to new sessions; ``tables`` tells what a rescue holds.
    """

    owner: str
    of: str
    role: str
    set: str = ""
    taken: str = ""
    at: str = ""
    complete: bool = True
    closed: bool = False
    tables: str = ""


@dataclass(frozen=True)
class Shape:
    """What a database is given when it is created, and never again. ``provider`` is c, i, b or d."""

    encoding: str
    collate: str
    ctype: str
    provider: str
    locale: Optional[str]
    rules: Optional[str]
    tablespace: str


@dataclass(frozen=True)
class Database:
    """``open`` whether it takes connections, ``comment`` what people wrote above our mark."""

    oid: int
    name: str
    owner: str
    open: bool
    connection_limit: int
    shape: Shape
    comment: str = ""
    mark: Optional[Mark] = None

    @property
    def role(self) -> str:
        return self.mark.role if self.mark else ""

    @property
    def untouched(self) -> bool:
        """Just created by a run that was killed before it could mark it: nobody can have put anything into it."""
        return not (self.mark or self.comment or self.open) and self.connection_limit == UNTOUCHED_LIMIT

    def marked(self, mark: Optional[Mark], **more: Any) -> Database:
        return replace(self, mark=mark, **more)


@dataclass(frozen=True)
class Family:
    """The live database and those that a restore made of it. ``olds`` and ``discarded`` newest first."""

    name: str
    live: Optional[Database] = None
    new: Optional[Database] = None
    rescue: Optional[Database] = None
    olds: tuple[Database, ...] = ()
    discarded: tuple[Database, ...] = ()

    def all(self) -> list[Database]:
        return [one for one in (self.live, self.new, self.rescue, *self.olds, *self.discarded) if one]

    def named(self, name: str) -> Optional[Database]:
        return next((one for one in self.all() if one.name == name), None)


def derived(name: str, role: str, moment: Optional[datetime] = None) -> str:
    """The name of a database beside ``name``, in 63 bytes. A name that must be cut keeps itself apart by a checksum.

    >>> derived("shop", NEW), len(derived("x" * 63, RESCUE))
    ('shop_day2_new', 63)
    """
    suffix = SUFFIX[role] + (f"{moment.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}" if moment else "")
    whole = name.encode()
    room = MAX_BYTES - len(suffix)
    if len(whole) <= room:
        return name + suffix
    check = "_" + hashlib.sha256(whole).hexdigest()[:6]
    return whole[: room - len(check)].decode(errors="ignore") + check + suffix


def split(text: Optional[str]) -> tuple[str, Optional[Mark]]:
    """What people wrote in a comment, and our mark in it. Pure.

    >>> split("the shop")
    ('the shop', None)
    """
    head, _line, last = (text or "").rpartition("\n")
    try:
        found = json.loads(last)
    except ValueError:
        return text or "", None
    fields = found.get(KEY) if isinstance(found, dict) else None
    if not isinstance(fields, dict):
        return text or "", None
    return head, Mark(**{name: fields[name] for name in Mark.__dataclass_fields__ if name in fields})


def comment_of(database: Database) -> Optional[str]:
    """The comment with the mark; None for none at all. The opposite of :func:`split`."""
    if database.mark is None:
        return database.comment or None
    mark = json.dumps({KEY: {name: value for name, value in asdict(database.mark).items() if value not in ("", False)}})
    # False is told for what is usually true.
    if not database.mark.complete:
        mark = mark[:-2] + ', "complete": false}}'
    return f"{database.comment}\n{mark}" if database.comment else mark


def statement(template: str, texts: Optional[Mapping[str, Union[str, int, None]]] = None, /, **names: str) -> Any:
    """SQL with names and texts in it, both quoted by the driver."""
    from psycopg2 import sql

    quoted = {key: sql.Identifier(name) for key, name in names.items()}
    literals = {key: sql.Literal(text) for key, text in (texts or {}).items()}
    return sql.SQL(template).format(**quoted, **literals)


def together(statements: list[Any]) -> Any:
    """One message to the server, and so one transaction."""
    from psycopg2 import sql

    return sql.SQL(";\n").join(statements)


def marking(database: Database) -> Any:
    return statement("COMMENT ON DATABASE {name} IS {text}", {"text": comment_of(database)}, name=database.name)


_DATABASES = """
SELECT d.oid::bigint AS oid, d.datname AS name, pg_get_userbyid(d.datdba) AS owner, d.datallowconn AS open,
       d.datconnlimit AS connection_limit, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate,
       d.datctype AS ctype, {provider} AS provider, {locale} AS locale, {rules} AS rules, t.spcname AS tablespace,
       shobj_description(d.oid, 'pg_database') AS comment
  FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
 WHERE d.datname = ANY(%s) OR shobj_description(d.oid, 'pg_database') LIKE %s
"""


def read_family(session: Session, name: str, *, final: bool = False) -> Family:
    """The databases of a restore, as the server has them now."""
    query = _DATABASES.format(
        provider="d.datlocprovider::text" if session.version >= 150000 else "'c'",
        locale="d.datlocale"
        if session.version >= 170000
        else "d.daticulocale"
        if session.version >= 150000
        else "NULL::text",
        rules="d.daticurules" if session.version >= 160000 else "NULL::text",
    )
    wanted = [name, derived(name, NEW), derived(name, RESCUE)]
    rows = session.rows(query, [wanted, f'%"{KEY}"%'], final=final)
    return family(name, [_database(row) for row in rows])


def _database(row: Mapping[str, Any]) -> Database:
    comment, mark = split(row["comment"])
    return Database(
        oid=row["oid"],
        name=row["name"],
        owner=row["owner"],
        open=row["open"],
        connection_limit=row["connection_limit"],
        shape=Shape(**{field: row[field] for field in Shape.__dataclass_fields__}),
        comment=comment,
        mark=mark,
    )


def family(name: str, found: list[Database]) -> Family:
    """Who is who. Pure: a database counts by its mark, and where there is none by its name."""
    mine = [one for one in found if one.mark is None or one.mark.of == name]

    def one(role: str) -> Optional[Database]:
        here = derived(name, role)
        marked = [each for each in mine if each.role == role]
        return next(iter(marked or [each for each in mine if each.name == here and each.mark is None]), None)

    def all_of(role: str) -> tuple[Database, ...]:
        there = [each for each in mine if each.role == role]
        return tuple(sorted(there, key=lambda each: each.mark.at if each.mark else "", reverse=True))

    live = next((each for each in found if each.name == name), None)
    return Family(name, live, one(NEW), one(RESCUE), all_of(OLD), all_of(DISCARDED))
