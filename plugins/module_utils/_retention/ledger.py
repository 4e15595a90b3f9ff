# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: a table in the target database that says what was deleted and where its copy is. It is the truth.

Rows are written by the transactions that delete, so one is there exactly when the other happened. The table comes from
the role's SQL (``grants.LEDGER_SQL``), never from a module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Policy

DELETE, DROP, ERASE, RESTORE, ACCEPT, VOID = "delete", "drop_partition", "erase", "restore", "accept", "void"
# Kinds whose rows say that rows of a chunk are gone from the database.
GONE = (DELETE, DROP)

_SUMS = """
SELECT chunk, count(*) FILTER (WHERE kind = ANY(%(gone)s)) AS batches,
       coalesce(sum(deleted) FILTER (WHERE kind = ANY(%(gone)s)), 0)::bigint AS deleted,
       coalesce(sum(cardinality(stayed)) FILTER (WHERE kind = ANY(%(gone)s)), 0)::bigint AS stayed,
       bool_or(kind = 'restore') AS restored, bool_or(kind = 'void') AS void
  FROM day2.retention_ledger WHERE target = %(target)s AND policy = %(policy)s AND chunk IS NOT NULL GROUP BY chunk
"""
_BATCHES = """
SELECT kind, first_row, last_row, first_key, last_key, deleted, stayed, sha256
  FROM day2.retention_ledger WHERE chunk = %s AND kind = ANY(%s) ORDER BY first_row
"""
_THERE = """
SELECT deleted, cardinality(stayed) AS stayed FROM day2.retention_ledger
 WHERE chunk = %s AND kind = %s AND first_row = %s
"""
_FIELDS = (
    "run", "target", "policy", "policy_hash", "relation", "kind", "chunk", "object", "version", "sha256",
    "first_row", "last_row", "first_key", "last_key", "deleted", "stayed", "stayed_keys",
)  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """What the ledger says of one chunk: deleted and stayed rows, transactions, whether it was restored or given up."""

    batches: int = 0
    deleted: int = 0
    stayed: int = 0
    restored: bool = False
    void: bool = False

    @property
    def removed(self) -> bool:
        """Its rows are gone from the database, and its archive was given up: it has stood for long enough."""
        return self.void and self.batches > 0


@dataclass(frozen=True)
class Batch:
    """Rows ``first`` to ``last`` of a chunk (ordinals, from 1): all but ``stayed`` are gone from the database.

    ``sha256``: that of the object with their copies, where the ledger tells it.
    """

    kind: str
    first: int
    last: int
    deleted: int
    stayed: tuple[int, ...] = ()
    first_key: str = ""
    last_key: str = ""
    sha256: str = ""

    def told(self) -> dict[str, Any]:
        """As a manifest holds it."""
        about = {"kind": self.kind, "first_row": self.first, "last_row": self.last, "deleted": self.deleted}
        return {**about, "stayed": list(self.stayed), "first_key": self.first_key, "last_key": self.last_key}


def batch_of(told: Mapping[str, Any]) -> Batch:
    """The opposite of :meth:`Batch.told`."""
    return Batch(
        str(told["kind"]), int(told["first_row"]), int(told["last_row"]), int(told["deleted"]),
        tuple(int(one) for one in told["stayed"]), str(told["first_key"]), str(told["last_key"]),
    )  # fmt: skip


def sums(session: Session, target: str, policy: str) -> dict[str, Sums]:
    """By chunk, for one policy."""
    rows = session.rows(_SUMS, {"target": target, "policy": policy, "gone": list(GONE)})
    return {row.pop("chunk"): Sums(**row) for row in rows}


def batches(session: Session, chunk: str) -> list[Batch]:
    """What of one chunk is gone, in order."""
    return [
        Batch(
            row["kind"], row["first_row"], row["last_row"], row["deleted"],
            tuple(row["stayed"]), row["first_key"] or "", row["last_key"] or "", row["sha256"] or "",
        )
        for row in session.rows(_BATCHES, [chunk, list(GONE)])
    ]  # fmt: skip


def there(session: Session, chunk: str, kind: str, first: int) -> Optional[tuple[int, int]]:
    """(deleted, stayed) of one batch, or None where the ledger does not know it."""
    rows = session.rows(_THERE, [chunk, kind, first])
    return (int(rows[0]["deleted"]), int(rows[0]["stayed"])) if rows else None


def note(run: Run, policy: Policy, relation: str, kind: str, **more: Any) -> dict[str, Any]:
    """What rows of the ledger have in common, for :func:`insert`. ``relation`` is spelled."""
    about = {"run": run.id, "target": run.target, "policy": policy.name, "policy_hash": policy.hash}
    return {**about, "relation": relation, "kind": kind, **more}


def insert(values: Mapping[str, Any]) -> Any:
    """The statement that writes one row; a value is data or, for what a statement finds out, Composable SQL."""
    from psycopg2 import sql

    unknown = values.keys() - set(_FIELDS)
    if unknown:
        raise AssertionError(f"Contract violation: the ledger has no {', '.join(sorted(unknown))}")
    given = [value if isinstance(value, sql.Composable) else sql.Literal(value) for value in values.values()]
    return sql.SQL("INSERT INTO day2.retention_ledger ({}) SELECT {}").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(given)
    )
