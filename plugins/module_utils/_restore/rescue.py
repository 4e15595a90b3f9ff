# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single tables out of a set: which entries of the archive they need. Pure."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry, Toc
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import parse, spell

# What belongs to a table, but for what ties it to tables that are not rescued: foreign keys, triggers, rules, policies.
BELONGING = ("DEFAULT", "CONSTRAINT", "CHECK CONSTRAINT", "INDEX", "STATISTICS", "SEQUENCE", "TABLE ATTACH")
# These come along with all that they are about.
ATTACHED = ("ACL", "COMMENT", "INDEX ATTACH", "SEQUENCE OWNED BY", "SEQUENCE SET")
ROWS = "TABLE DATA"


def tables_of(toc: Toc, wanted: Sequence[str]) -> dict[int, Entry]:
    """The tables that are named, and the partitions of those that have any, by dump id.

    A name without a schema must be that of one table only. Raises :class:`BadInput`.
    """
    tables = [entry for entry in toc.entries if entry.desc == "TABLE"]
    found: dict[int, Entry] = {}
    for text in wanted:
        parts = parse(text, "tables")
        fitting = [one for one in tables if one.tag == parts[-1] and (len(parts) == 1 or one.namespace == parts[0])]
        if not fitting:
            raise BadInput(f"tables: the set has no table {text}; write schema.table, in double quotes if need be.")
        if len(fitting) > 1:
            several = " or ".join(sorted(spell(one.namespace, one.tag) for one in fitting))
            raise BadInput(f"tables: {text} could be {several}; write it with its schema.")
        found[fitting[0].dump_id] = fitting[0]
    return _with_partitions(toc, found, {one.dump_id: one for one in tables})


def _with_partitions(toc: Toc, found: dict[int, Entry], tables: dict[int, Entry]) -> dict[int, Entry]:
    attached = [entry for entry in toc.entries if entry.desc == "TABLE ATTACH"]
    while True:
        more = {}
        for entry in attached:
            ties = [number for number in entry.dependencies if number in tables]
            if any(number in found for number in ties):
                child = next((number for number in ties if _is(tables[number], entry)), None)
                if child is not None and child not in found:
                    more[child] = tables[child]
        if not more:
            return found
        found = {**found, **more}


def _is(table: Entry, attach: Entry) -> bool:
    return (table.namespace, table.tag) == (attach.namespace, attach.tag)


def entries_for(toc: Toc, tables: dict[int, Entry]) -> set[int]:
    """Dump ids of what is restored: the tables, their rows and indexes, and the types, functions and schemas they need.

    Other tables come along only where a definition needs theirs, and then without rows.
    """
    known = {entry.dump_id: entry for entry in toc.entries}
    chosen: set[int] = set()

    def add(number: int) -> None:
        waiting = [number]
        while waiting:
            one = waiting.pop()
            if one in chosen or one not in known or known[one].desc == ROWS:
                continue
            chosen.add(one)
            waiting += known[one].dependencies

    for number in tables:
        add(number)
    for entry in toc.entries:
        ties = {number for number in entry.dependencies if number in known and known[number].desc == "TABLE"}
        if entry.desc in BELONGING and ties and ties <= tables.keys():
            add(entry.dump_id)
        elif entry.desc == ROWS and ties & tables.keys():
            chosen.add(entry.dump_id)
    spaces = {known[number].namespace for number in chosen}
    chosen |= {entry.dump_id for entry in toc.entries if entry.desc == "SCHEMA" and entry.tag in spaces}
    # A column may be of a type that an extension brings, which the archive does not tell.
    chosen |= {entry.dump_id for entry in toc.entries if entry.desc == "EXTENSION"}
    for entry in toc.entries:
        if entry.desc in ATTACHED and entry.dependencies and all(number in chosen for number in entry.dependencies):
            chosen.add(entry.dump_id)
    return chosen
