# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a set must not come to life in a drill, and which roles it needs. Pure.

A restored database is a copy of one that talks to others: subscriptions, foreign servers, scheduled jobs. The drill
leaves out whatever could reach one of them.
"""

from __future__ import annotations

import re
from typing import Callable, Iterator

from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry, Toc

LEFT_OUT = ("SUBSCRIPTION", "SUBSCRIPTION TABLE", "USER MAPPING", "EVENT TRIGGER")
# Harmless, but somebody else's business on a server that is not ours alone, and some of them for superusers only.
NOT_ELSEWHERE = ("PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA")
# They begin to work by themselves, and only in the database that the server's settings name.
SCHEDULERS = {"pg_cron": "cron"}
# Through these, code in the database reaches other places.
REACHING = (
    "dblink", "file_fdw", "http", "mysql_fdw", "ogr_fdw", "oracle_fdw", "pg_net", "plperlu", "plpython3u", "plsh",
    "pltclu", "postgres_fdw", "tds_fdw",
)  # fmt: skip
ATTACHED = ("ACL", "COMMENT", "SECURITY LABEL")
# pg_restore leaves these out unless it is to create the database itself.
WHOLE_DATABASE = ("DATABASE", "DATABASE PROPERTIES")

# Statements of pg_dumpall that make roles; the rest (tablespaces, settings) is of no use to a drill.
_ROLES = re.compile(r"\s*(?:CREATE ROLE|ALTER ROLE .* WITH|GRANT .* TO)\s", re.IGNORECASE | re.DOTALL)
_PASSWORD = re.compile(r"\sPASSWORD\s+(?:E?'(?:[^'\\]|''|\\.)*'|NULL)", re.IGNORECASE)
_GRANTOR = re.compile(r"""\s+GRANTED BY (?:"(?:[^"]|"")+"|[^\s";]+)""", re.IGNORECASE)
_TOKEN = re.compile(r"""--[^\n]*|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|[^-'";eE]+|.""", re.DOTALL)


def left_out(toc: Toc, *, own: bool = True) -> dict[int, Entry]:
    """The entries that stay out of a drill, by dump id. ``own``: on a server that is made for it."""
    found = {
        entry.dump_id: entry
        for entry in toc.entries
        if _is_left_out(entry) or (not own and entry.desc in NOT_ELSEWHERE)
    }
    # Filling it would ask another server.
    far = _reaching(toc)
    for entry in toc.entries:
        if entry.desc == "MATERIALIZED VIEW DATA" and far.intersection(entry.dependencies):
            found[entry.dump_id] = entry
    for entry in toc.entries:
        if entry.desc in ATTACHED and any(number in found for number in entry.dependencies):
            found[entry.dump_id] = entry
    return found


def _is_left_out(entry: Entry) -> bool:
    if entry.desc in LEFT_OUT:
        return True
    if entry.desc == "EXTENSION":
        return entry.tag in SCHEDULERS
    return entry.namespace in SCHEDULERS.values()


def _reaching(toc: Toc) -> set[int]:
    """Dump ids of relations that read, at whatever remove, from foreign tables or through what reaches elsewhere."""
    known = {entry.dump_id: entry for entry in toc.entries}
    far = {
        number
        for number, entry in known.items()
        if entry.desc in ("FOREIGN TABLE", "SERVER") or (entry.desc == "EXTENSION" and entry.tag in REACHING)
    }
    # Reading a partitioned table reads its foreign partitions.
    above = [number for number in far if known[number].desc == "FOREIGN TABLE"]
    while above:
        for number in known[above.pop()].dependencies:
            if number in known and known[number].desc == "TABLE" and number not in far:
                far.add(number)
                above.append(number)
    while True:
        more = {
            number
            for number, entry in known.items()
            if number not in far
            and entry.desc in ("VIEW", "MATERIALIZED VIEW", "FUNCTION")
            and far.intersection(entry.dependencies)
        }
        if not more:
            return far
        far |= more


def keep(toc: Toc, *, own: bool = True) -> Callable[[Entry], bool]:
    """Which entries a drill restores."""
    out = left_out(toc, own=own)
    return lambda entry: entry.dump_id not in out


def could_reach_out(toc: Toc) -> list[str]:
    """What in the archive is able to reach other places, if something in it tries."""
    return sorted(
        {
            f"{'foreign ' * (entry.desc == 'SERVER')}{entry.desc.lower()} {entry.tag}"
            for entry in toc.entries
            if entry.desc == "SERVER" or (entry.desc == "EXTENSION" and entry.tag in REACHING)
        }
    )


def statements(sql: str) -> Iterator[str]:
    """The statements of a script that pg_dumpall wrote, without psql's own commands and comments.

    >>> list(statements("-- x;\\nCREATE ROLE a;\\nALTER ROLE a WITH PASSWORD E'x;\\\\\\\\';"))
    ['CREATE ROLE a', "ALTER ROLE a WITH PASSWORD E'x;\\\\\\\\'"]
    """
    plain = "".join(line for line in sql.splitlines(keepends=True) if not line.startswith("\\"))
    words: list[str] = []
    for match in _TOKEN.finditer(plain):
        text = match.group()
        if text == ";":
            if "".join(words).strip():
                yield "".join(words).strip()
            words = []
        elif not text.startswith("--"):
            words.append(text)


def roles(sql: str) -> list[str]:
    """The statements that make the roles of a cluster, without their passwords: nobody shall log in as one of them.

    Who granted a membership is left out: that role may not be able to on another server.
    """
    found = [text for text in statements(sql) if _ROLES.match(text)]
    return [_GRANTOR.sub("", text) if text.startswith("GRANT") else _PASSWORD.sub("", text) for text in found]
