# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of what is stored: blocks whose checksum is wrong, and collations whose order has changed."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import collations, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health_findings import Finding, bounded
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, duration

# The row without a name counts what belongs to no database.
_CHECKSUMS = """
SELECT datname AS database, current_setting('data_checksums') = 'on' AS enabled,
       coalesce(checksum_failures, 0) AS failures,
       extract(epoch FROM now() - checksum_last_failure)::float8 AS ago
  FROM pg_stat_database WHERE datid = 0 OR datname IS NOT NULL ORDER BY 1 NULLS FIRST
"""


def checksums(session: Session, run: Run, limits: Limits) -> list[Check]:
    return judge_checksums(session.rows(_CHECKSUMS), limits)


def judge_checksums(rows: Sequence[Row], limits: Limits) -> list[Check]:
    limit = limits["checksum_failures"]
    if not any(row["enabled"] for row in rows):
        text = "Data checksums are off: nobody would notice a damaged block. pg_checksums --enable, in a window."
        return [types.CHECKSUMS("server", None, **limit, status="ok", summary=text)]
    fine = "No block had a wrong checksum since the statistics were reset."
    return bounded(types.CHECKSUMS, limit, "server", [_failures(row) for row in rows], fine, "databases")


def _failures(row: Row) -> Finding:
    shared = row["database"] is None
    where = "the shared catalogs" if shared else f"database {quote(row['database'])}"
    last = "" if row["ago"] is None else f", the last one {duration(row['ago'])} ago"
    text = f"{count(row['failures'], 'block')} of {where} had a wrong checksum{last}."
    advice = (
        "The disk or its driver damages data. Find the blocks with pg_amcheck --heapallindexed, restore what they hold "
        "from a verified backup, move off the disk; nothing old is to be removed before that."
    )
    subject = "shared catalogs" if shared else row["database"]
    return Finding(subject, row["failures"], text, advice, evidence={"seconds_since": row["ago"]})


def orders(session: Session, run: Run, limits: Limits) -> list[Check]:
    """The collations that indexes are built by, against those of the operating system."""
    database, limit = run.params["login_db"], limits["collations"]
    found = collations.collations(session, database)
    if not found:
        text = "The operating system sorts as it did when the indexes were built."
        return [types.COLLATIONS(database, 0, **limit, summary=text)]
    one = found[0]
    told = one["evidence"]["collations"]
    return [
        types.COLLATIONS(database, one["value"], **limit, summary=one["summary"], advice=one["advice"], collations=told)
    ]
