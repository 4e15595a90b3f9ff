# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find: collations whose order the operating system has changed, so that indexes on text may be in the wrong one."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count

# What has no version, or is not known here, cannot have changed.
_CHANGED = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.collname) AS name, c.collversion AS made,
       pg_collation_actual_version(c.oid) AS now
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE c.collversion <> pg_collation_actual_version(c.oid)
   AND EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid)
"""
_DATABASE = """
SELECT 'the default of the database' AS name, datcollversion AS made, pg_database_collation_actual_version(oid) AS now
  FROM pg_database
 WHERE datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)
"""
SINCE = 150000
SHOWN = 10


def collations(session: Session, database: str) -> list[Check]:
    """One check when an order has changed since indexes were built by it; else none."""
    rows = session.rows(_CHANGED)
    if session.version >= SINCE:
        rows = [*session.rows(_DATABASE), *rows]
    if not rows:
        return []
    told = "; ".join(f"{row['name']} was {row['made']}, is {row['now']}" for row in rows[:SHOWN])
    return [
        types.COLLATIONS(
            database, len(rows), warn=1, collations=told,
            summary=f"The operating system sorts {count(len(rows), 'collation')} in another order now: {told}.",
            advice="Check the indexes on text with amcheck, rebuild those, then run ALTER DATABASE or ALTER COLLATION "
            "... REFRESH [COLLATION] VERSION. Unique indexes may hold duplicates.",
        )
    ]  # fmt: skip
