# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: which sets of a target are in the store, which of them were proven, and which may go.

A set is complete once its manifest is there. Whether it was verified is an object of its own, because sets may be
locked against changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Iterable, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import manifest as manifests
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, StoreError
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    MANIFEST,
    Entry,
    SetInfo,
    Store,
    from_json,
    keepers,
    to_json,
)
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name

BACKUPS = "v1/backups/"
VERIFICATIONS = "v1/verifications/"
VERIFICATION_SCHEMA = "day2.ops/verification/1"
_ID = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{4}")


@dataclass(frozen=True)
class BackupSet:
    """``taken`` is the time of its snapshot, ``size`` in bytes; ``verdict`` what the last verification said, if any."""

    id: str
    target: str
    taken: datetime
    size: int
    complete: bool
    touched: datetime
    keys: tuple[str, ...] = field(repr=False)
    verdict: Optional[dict[str, Any]] = None

    @property
    def prefix(self) -> str:
        return f"{BACKUPS}{self.target}/{self.id}"

    @property
    def verified(self) -> Optional[bool]:
        """True when it was restored and compared, False when that failed, None when nobody tried."""
        return None if self.verdict is None else bool(self.verdict["verified"])

    @property
    def verified_at(self) -> Optional[datetime]:
        return clock.parse(self.verdict["at"]) if self.verdict and self.verified else None

    @property
    def counts(self) -> bool:
        """Whether it may be relied on: complete, and not refuted."""
        return self.complete and self.verified is not False

    def age(self, now: datetime) -> float:
        return (now - self.taken).total_seconds()


def new_id(taken: datetime, salt: str) -> str:
    """``20261206T020000Z-1a2b``: the time of the snapshot, and four hex digits."""
    return f"{taken.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}-{salt[:4]}"


def taken_of(id_: str) -> datetime:
    match = _ID.fullmatch(id_)
    if match is None:
        raise BadInput(f"set: {id_!r} is not the id of a set; write it like 20261206T020000Z-1a2b.")
    return datetime.strptime(match.group(1), "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def read(store: Store, target: str) -> list[BackupSet]:
    """The complete sets of ``target``, oldest first."""
    return [each for each in read_all(store, target) if each.complete]


def read_all(store: Store, target: str) -> list[BackupSet]:
    """All sets of ``target``, also those that were never completed; oldest first."""
    place = f"{BACKUPS}{target_name(target)}/"
    found: dict[str, list[Entry]] = {}
    for entry in store.list(place):
        id_, _slash, name = entry.key[len(place) :].partition("/")
        if name and _ID.fullmatch(id_):
            found.setdefault(id_, []).append(entry)
    verdicts = _verdicts(store, target)
    return [_set(target, id_, entries, verdicts.get(id_)) for id_, entries in sorted(found.items())]


def _set(target: str, id_: str, entries: list[Entry], verdict: Optional[dict[str, Any]]) -> BackupSet:
    return BackupSet(
        id=id_,
        target=target,
        taken=taken_of(id_),
        size=sum(entry.size for entry in entries),
        complete=any(entry.key.endswith(f"/{MANIFEST}") for entry in entries),
        touched=max(entry.modified for entry in entries),
        keys=tuple(entry.key for entry in entries),
        verdict=verdict,
    )


def choose(sets: Iterable[BackupSet], id_: Optional[str], *, verified: bool = False) -> BackupSet:
    """The set with that id, or the newest that may be relied on; :class:`BadInput` without one."""
    sets = list(sets)
    if id_:
        taken_of(id_)
        for each in sets:
            if each.id == id_:
                return each
        raise BadInput(f"set: there is no complete set {id_}; day2.ops.postgresql_backup_info lists those there are.")
    fitting = [each for each in sets if each.counts and (each.verified or not verified)]
    if not fitting:
        which = "verified set" if verified else "complete set"
        raise BadInput(f"store: there is no {which} of this target; take one with day2.ops.postgresql_backup first.")
    return max(fitting, key=lambda each: each.taken)


def manifest_of(store: Store, chosen: BackupSet) -> dict[str, Any]:
    return manifests.read(store, chosen.prefix)


def newest(sets: Iterable[BackupSet]) -> Optional[BackupSet]:
    """The newest set that may be relied on."""
    return max((each for each in sets if each.counts), key=lambda each: each.taken, default=None)


def kept(
    sets: Iterable[BackupSet], now: datetime, *, daily: int, weekly: int, monthly: int, all_within: float
) -> dict[str, str]:
    """Ids of the sets that stay, each with the reason. Refuted sets are kept only while they are young. Pure."""
    sets = list(sets)
    reasons = keepers(
        [SetInfo(each.id, each.taken, bool(each.verified)) for each in sets if each.counts],
        daily=daily,
        weekly=weekly,
        monthly=monthly,
    )
    for each in sets:
        if each.age(now) < all_within:
            reasons.setdefault(each.id, "young")
    return reasons


def _verdicts(store: Store, target: str) -> dict[str, dict[str, Any]]:
    place = f"{VERIFICATIONS}{target}/"
    found = {}
    for entry in store.list(place):
        verdict = from_json(store.get(entry.key).data, f"{store.location}/{entry.key}")
        if verdict.get("schema") != VERIFICATION_SCHEMA:
            raise StoreError(f"Failed to read {store.location}/{entry.key}: this version does not understand it.")
        found[entry.key[len(place) :].rpartition(".json")[0]] = verdict
    return found


def put_verdict(store: Store, chosen: BackupSet, verdict: dict[str, Any]) -> None:
    """Keep what a verification found: ``verified``, ``at``, ``reason`` and what was measured."""
    whole = {**verdict, "schema": VERIFICATION_SCHEMA, "id": chosen.id, "target": chosen.target}
    store.put(f"{VERIFICATIONS}{chosen.target}/{chosen.id}.json", to_json(whole))
