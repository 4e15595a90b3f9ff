# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier runs left: the store and the ledger are brought together before anything else is done.

The ledger is the truth about this database. A chunk that it knows and that has no manifest was left by a killed run: it
is closed. One that it does not know and that has no manifest is an orphan: nothing was deleted for it. One with a
manifest that says more than the ledger belongs to another past of this database (a failover that lost commits, a
restore to an earlier time, a clone): somebody has to say which side is right (``adopt``). Archives that the ledger
knows and the store has not are told: they may be elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._retention import chunk, ledger, types
from ansible_collections.day2.ops.plugins.module_utils._retention.chunk import Kept
from ansible_collections.day2.ops.plugins.module_utils._retention.ledger import Sums
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST, Store, to_json

ORPHAN_AGE = timedelta(days=1)
# Whole rows that no run closed may be the only copy of rows that the original of this database deleted, if this is a
# clone of it: its next run, a month later at most, closes them.
WHOLE_ORPHAN_AGE = timedelta(days=40)
DATABASE, STORE = "database", "store"
NONE = Sums()


@dataclass
class Left:
    """What is left of one policy. ``differ``: closed chunks that say more than the ledger, with how many rows that is
    (-1: all of them). ``standing``: closed chunks on which both agree; ``voided`` ones count no more. ``removed``: what
    remains of chunks whose removal was cut short. ``missing``: rows by chunk that the store has not."""

    policy: Policy
    open: list[Kept] = field(default_factory=list)
    orphans: list[Kept] = field(default_factory=list)
    differ: list[tuple[Kept, int]] = field(default_factory=list)
    unmarked: list[Kept] = field(default_factory=list)
    marked: list[Kept] = field(default_factory=list)
    standing: list[Kept] = field(default_factory=list)
    voided: list[Kept] = field(default_factory=list)
    removed: list[Kept] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    closed: int = 0
    swept: int = 0
    adopted: int = 0


def look(store: Store, session: Session, target: str, policy: Policy) -> Left:
    """Compare the store with the ledger. Reads one manifest whole, whatever the number of chunks."""
    kept = chunk.read_all(store, target, policy.name)
    sums = ledger.sums(session, target, policy.name)
    left = sort(policy, kept, sums)
    # What is lost is lost from the end: of the chunks that the ledger knows, only the newest may be known in part.
    newest = next((one for one in reversed(left.standing) if sums[one.prefix].batches), None)
    if newest is not None:
        missing = int(chunk.read(store, newest.prefix, MANIFEST)["deleted"]) - sums[newest.prefix].deleted
        if missing > 0:
            left.standing.remove(newest)
            left.differ.insert(0, (newest, missing))
    return left


def sort(policy: Policy, kept: Sequence[Kept], sums: Mapping[str, Sums]) -> Left:
    """Each chunk by what store and ledger say of it. Pure."""
    left = Left(policy, missing=chunk.missing(kept, sums))
    for one in kept:
        known = sums.get(one.prefix, NONE)
        if known.removed:
            left.removed.append(one)
        elif known.batches:
            if one.void:  # it was given up in a past that is not this database's
                left.marked.append(one)
            if one.closed:
                left.standing.append(one)
            elif one.prefix not in left.missing:
                left.open.append(one)
        elif known.void or one.void:
            if not one.void:
                left.unmarked.append(one)
            left.voided.append(one)
        elif one.closed:
            left.differ.append((one, -1))
        else:
            left.orphans.append(one)
    return left


def refuse(left: Sequence[Left], adopt: str) -> None:
    """:class:`Refused` where store and ledger differ and nobody said which is right."""
    found = [(one.policy, kept) for one in left for kept, _missing in one.differ]
    if not found or adopt in (DATABASE, STORE):
        return
    policy, kept = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise Refused(
        f"Failed to start: {kept.prefix}{more} says that rows of policy {policy.name} were deleted, and the ledger of "
        "this database does not: it is a clone, was restored to an earlier time, or lost commits in a failover. Set "
        "adopt to database if its rows count (the archives are marked void), or to store if the archives do (identical "
        "rows are deleted again)."
    )


def settle(site: Site, left: Left) -> None:
    """Close what is open, take marks along, and sweep old orphans."""
    store = site.chunks
    if left.open:
        site.flush()
    for one in left.open:
        close(site, one)
        left.standing.append(one)
        left.closed += 1
    for one in left.unmarked:
        mark(site, one)
    for one in left.marked:
        store.delete(f"{one.prefix}/{chunk.VOID}")
    for one in left.removed:
        remove(store, one)
    for one in old(left.orphans, clock.now()):
        if not one.whole or _of_this_database(site, one):
            remove(store, one)
            left.swept += 1


def old(orphans: Sequence[Kept], now: datetime) -> list[Kept]:
    """Those that no run can be writing, and none will close any more. Pure."""
    return [
        one
        for one in orphans
        if now - max(one.touched, one.taken) > (WHOLE_ORPHAN_AGE if one.has(chunk.ABOUT) else ORPHAN_AGE)
    ]


def _of_this_database(site: Site, one: Kept) -> bool:
    """As far as it can be told: a physical copy of a server says the same of itself."""
    about, server = chunk.read(site.chunks, one.prefix, chunk.ABOUT), site.server
    return (about["system_identifier"], about["database"]) == (server.system_identifier, server.database)


def close(site: Site, one: Kept) -> None:
    """Put the manifest that the ledger gives."""
    about = chunk.read(site.chunks, one.prefix, chunk.ABOUT)
    chunk.close(site.chunks, one.prefix, about, ledger.batches(site.control, one.prefix))


def mark(site: Site, one: Kept) -> None:
    about: dict[str, Any] = {"void": True, "at": clock.now_iso(), "run": site.run.id}
    site.chunks.put(f"{one.prefix}/{chunk.VOID}", to_json(about))


def remove(store: Store, one: Kept) -> None:
    """The rows go first and a mark last: what is left of a chunk that is half removed is not taken for another one."""
    for key in sorted(one.keys, key=lambda key: (chunk.ROWS not in key, key.endswith(f"/{chunk.VOID}"))):
        store.delete(key)


def check(left: Left) -> Check:
    """What was found and done, for the report."""
    parts = [
        count(left.closed or len(left.open), "chunk") + " of a killed run " + ("closed" if left.closed else "open"),
        count(len(left.orphans), "orphan") + f" ({left.swept} swept)",
    ]
    return types.LEFT(
        left.policy.name, len(left.open) - left.closed + len(left.differ), summary=f"{'; '.join(parts)}.",
        policy=left.policy.name, closed=left.closed, orphans=len(left.orphans), swept=left.swept, adopted=left.adopted,
    )  # fmt: skip
