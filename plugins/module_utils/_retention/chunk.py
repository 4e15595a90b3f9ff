# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chunks in the store: their names, what they say of themselves, and when one counts.

Below ``v1/archives/<target>/<policy>/<time>-<salt>/<number>/`` lie the rows (``rows.copy.zst``, with ``.age`` when
encrypted), ``about.json``, written before the first row is deleted, and ``manifest.json``, written when its last batch
is: about, with what the ledger says. ``void.json`` beside it: the rows are in the database again, it counts no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._retention import types
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Batch, Sums
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Column, Relation
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    MANIFEST,
    Entry,
    Store,
    from_json,
    to_json,
)
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name

ARCHIVES = "v1/archives/"
SCHEMA = "day2.ops/archive/1"
ABOUT, VOID, ROWS = "about.json", "void.json", "rows.copy.zst"
_PLACE = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{4}/\d{5}")


@dataclass(frozen=True)
class Kept:
    """A chunk as the store lists it. ``taken`` is when its run began to read, ``touched`` when it was last written."""

    prefix: str
    taken: datetime
    touched: datetime
    size: int
    keys: tuple[str, ...] = field(repr=False)

    def has(self, name: str) -> bool:
        return f"{self.prefix}/{name}" in self.keys

    @property
    def closed(self) -> bool:
        return self.has(MANIFEST)

    @property
    def void(self) -> bool:
        return self.has(VOID)

    @property
    def whole(self) -> bool:
        """Whether its rows can be read: they are there, and what they are."""
        return self.has(ABOUT) and (self.has(rows_name(False)) or self.has(rows_name(True)))


def folder(target: str, policy: str) -> str:
    return f"{ARCHIVES}{target_name(target)}/{policy}/"


def run_folder(target: str, policy: str, taken: datetime, salt: str) -> str:
    """Where one pass over a policy puts its chunks."""
    return f"{folder(target, policy)}{taken.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}-{salt[:4]}"


def rows_name(encrypted: bool) -> str:
    return f"{ROWS}.age" if encrypted else ROWS


def read_all(store: Store, target: str, policy: str) -> list[Kept]:
    """The chunks of a policy, closed or not, oldest first."""
    place = folder(target, policy)
    found: dict[str, list[Entry]] = {}
    for entry in store.list(place):
        prefix, _slash, _name = entry.key.rpartition("/")
        if _PLACE.fullmatch(prefix[len(place) :]):
            found.setdefault(prefix, []).append(entry)
    return [_kept(prefix, prefix[len(place) :], entries) for prefix, entries in sorted(found.items())]


def missing(kept: Sequence[Kept], sums: Mapping[str, Sums]) -> dict[str, int]:
    """Chunks that the store should have and does not, or not whole, with the rows that are archived in them. Pure."""
    whole = {one.prefix for one in kept if one.whole}
    wanted = ((prefix, one) for prefix, one in sums.items() if one.batches and not (one.restored or one.removed))
    return {prefix: one.deleted for prefix, one in wanted if prefix not in whole}


def missing_check(policy: str, found: Mapping[str, int], store: Store) -> Check:
    """For the report: archives of which only the ledger knows."""
    rows = sum(found.values())
    text = f"{count(rows, 'row')} of {count(len(found), 'chunk')} archived by policy {policy} "
    text += f"{'is' if rows == 1 else 'are'} not in {store.location}, first of all {min(found)}."
    advice = "See that store is the one that the archives were written to; else bring its objects back from a copy."
    return types.MISSING(
        policy, rows, crit=1, summary=text, advice=advice, policy=policy, chunks=len(found), store=store.location
    )


def _kept(prefix: str, place: str, entries: Sequence[Entry]) -> Kept:
    taken = datetime.strptime(place.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    size = sum(entry.size for entry in entries)
    return Kept(prefix, taken, max(one.modified for one in entries), size, tuple(one.key for one in entries))


def about(
    relation: Relation,
    *,
    run: str,
    target: str,
    policy: str,
    policy_hash: str,
    cutoff: Optional[datetime],
    database: str,
    system_identifier: Optional[str],
    settings: Mapping[str, str],
    heads: Sequence[str],
    encryption: str,
) -> dict[str, Any]:
    """What all chunks of one pass say of themselves: the table as it was, and how its rows were written. ``heads``: the
    columns that a binary COPY repeats as text, after each row's version."""
    return {
        "schema": SCHEMA,
        "run": run,
        "target": target,
        "policy": policy,
        "policy_hash": policy_hash,
        "cutoff": clock.iso(cutoff) if cutoff else None,
        "table": spell(relation.schema, relation.name),
        "columns": [{"name": one.name, "type": one.type} for one in relation.copied],
        "key": list(relation.key),
        "format": "binary" if heads else "text",
        "heads": list(heads),
        "ddl": ddl(relation),
        "settings": dict(settings),
        "database": database,
        "system_identifier": system_identifier,
        "encryption": encryption,
    }


def ddl(relation: Relation) -> str:
    """The table as a statement for people who have nothing but the archive. It is not executed by us."""
    lines = [f"    {_column(one)}" for one in relation.columns]
    if relation.key:
        lines.append(f"    PRIMARY KEY ({', '.join(map(quote, relation.key))})")
    return f"CREATE TABLE {spell(relation.schema, relation.name)} (\n" + ",\n".join(lines) + "\n);"


def _column(one: Column) -> str:
    text = f"{quote(one.name)} {one.type}"
    text += f" COLLATE {one.collation}" if one.collation else ""
    text += " NOT NULL" if one.not_null else ""
    if one.identity:
        return f"{text} GENERATED {'ALWAYS' if one.identity == 'a' else 'BY DEFAULT'} AS IDENTITY"
    if one.generated:
        return f"{text} {one.default}"
    return f"{text} DEFAULT {one.default}" if one.default else text


def manifest(about: Mapping[str, Any], found: Sequence[Batch], closed: str) -> dict[str, Any]:
    """The last word on a chunk: about, and what the ledger says is gone from the database. Beside encrypted rows it has
    no keys in clear text."""
    if about.get("encryption") == "age":
        found = [replace(one, first_key="", last_key="") for one in found]
    return {
        **about,
        "closed": closed,
        "deleted": sum(one.deleted for one in found),
        "stayed": sum(len(one.stayed) for one in found),
        "batches": [one.told() for one in found],
    }


def close(store: Store, prefix: str, about: Mapping[str, Any], found: Sequence[Batch]) -> dict[str, Any]:
    """Put the manifest, which makes the chunk count."""
    whole = manifest(about, found, clock.now_iso())
    store.put(f"{prefix}/{MANIFEST}", to_json(whole))
    return whole


def read(store: Store, prefix: str, name: str) -> dict[str, Any]:
    """``about.json`` or ``manifest.json`` of a chunk; :class:`StoreError` for one that this version cannot read."""
    key = f"{prefix}/{name}"
    told = from_json(b"".join(store.stream(key)), f"{store.location}/{key}")
    if told.get("schema") != SCHEMA:
        raise StoreError(f"Failed to read {store.location}/{key}: a later version wrote it; use that version.")
    return told
