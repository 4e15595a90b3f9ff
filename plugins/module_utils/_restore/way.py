# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the states of a restore share: who reads and acts, the databases there are, and what the statistics say."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import manifest as manifests
from ansible_collections.day2.ops.plugins.module_utils._backup.catalogue import BACKUPS
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._restore import facts
from ansible_collections.day2.ops.plugins.module_utils._restore import needs as restore_needs
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import Database, Family, read_family
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

_TABLES = """
SELECT s.schemaname AS schema, s.relname AS name, s.n_live_tup AS live, c.reltuples AS known,
       s.n_tup_ins AS inserted, s.n_tup_upd AS updated, s.n_tup_del AS deleted
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
"""


@dataclass
class Way:
    """``control`` reads and ``worker`` acts, both on lock_db. ``planned`` is the family that the plan was made for.

    ``extra`` is what planning found out and acting needs.
    """

    run: Run
    server: preflight.Server
    control: Session
    locks: Locks
    family: Family
    superuser: bool
    guard: Optional[Guard] = None
    worker: Optional[Session] = None
    planned: Optional[Family] = None
    checks: list[Check] = field(default_factory=list)
    extra: Any = None

    @property
    def acting(self) -> Session:
        if self.worker is None:
            raise AssertionError("Contract violation: an act without a session that may")
        return self.worker

    def refresh(self, *, final: bool = False) -> Family:
        self.family = read_family(self.control, self.run.params["login_db"], final=final)
        return self.family


def require_rights(way: Way, wanted: facts.Facts, roles: set[str], what: str) -> None:
    """All that it takes to make a database what the live one is, found before anything is made."""
    restore_needs.require_rights(way.control, facts.acting_roles(wanted) | roles, what)
    restore_needs.require_settings(way.control, [name for role, name in wanted.settings if not role], what)


@dataclass(frozen=True)
class Counters:
    """By table: the rows there are now (an estimate), and (inserted, updated, deleted) since the statistics began."""

    rows: dict[str, int]
    changes: dict[str, tuple[int, int, int]]


def counters(run: Run, database: Optional[Database]) -> Optional[Counters]:
    """What the server's statistics say of a database; None for one that takes no connections."""
    if database is None or not database.open:
        return None
    rows: dict[str, int] = {}
    changes: dict[str, tuple[int, int, int]] = {}
    with contextlib.closing(connect(run, "estimate", database=database.name)) as session:
        for row in session.rows(_TABLES):
            name = spell(row["schema"], row["name"])
            # After a crash the counters are gone, and the last ANALYZE or VACUUM is what is left.
            rows[name] = int(row["live"] or max(row["known"], 0))
            changes[name] = (int(row["inserted"]), int(row["updated"]), int(row["deleted"]))
    return Counters(rows, changes)


def rows_of_set(run: Run, id_: str) -> Optional[dict[str, int]]:
    """The rows of each table in a set, from its manifest; None where the store or the set cannot be read: what stands
    restored already must be of use without them."""
    if not run.params["store"]:
        return None
    try:
        store = open_store(run.params, read_only=True, deadline=run.deadline)
        found = manifests.read(store, f"{BACKUPS}{run.target}/{id_}")
    except BadInput:
        raise
    except StoreError:
        return None
    return {table["name"]: int(table["rows"]) for table in found["tables"]}
