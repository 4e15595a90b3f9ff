# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns that a binary archive would not bring back: those whose bytes hold numbers (oids) that a dump and restore of
the database change, and those without a binary form."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Obstacle, Policy, Relation

# Arrays and composite types write the oids of what they hold, and names like regclass are nothing but one. The oids of
# the server's own types, below 16384, are the same everywhere.
_UNFIT = """
WITH RECURSIVE inside(number, name, type, told) AS (
    SELECT attnum, attname, atttypid, false FROM pg_attribute
     WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    UNION
    SELECT i.number, i.name, x.type, x.told FROM inside i JOIN pg_type t ON t.oid = i.type
     CROSS JOIN LATERAL (
           SELECT t.typbasetype AS type, i.told WHERE t.typbasetype <> 0
           UNION ALL SELECT t.typelem, true WHERE t.typelem <> 0 AND t.typlen = -1
           UNION ALL SELECT a.atttypid, true FROM pg_attribute a
                      WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL SELECT CASE t.oid WHEN r.rngtypid THEN r.rngsubtype ELSE r.rngtypid END, false
                       FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)) AS x)
SELECT i.name, bool_or(t.typsend = 0 OR t.typreceive = 0) AS formless
  FROM inside i JOIN pg_type t ON t.oid = i.type
 WHERE t.typsend = 0 OR t.typreceive = 0 OR (i.told AND t.oid >= 16384)
    OR (t.typnamespace = 'pg_catalog'::regnamespace AND t.typname LIKE 'reg%%')
 GROUP BY i.number, i.name ORDER BY i.number
"""


def unfit(session: Session, policy: Policy, relation: Relation) -> list[Obstacle]:
    """One obstacle for each such column of a policy with ``archive_format: binary``."""
    if policy.archive_format != "binary":
        return []
    found = []
    for row in session.rows(_UNFIT, [relation.oid]):
        column = f"column {quote(row['name'])} of {spell(relation.schema, relation.name)}"
        why = "has no binary form" if row["formless"] else "is written in numbers that only this database knows"
        kind = relation.column(row["name"]).type
        found.append(Obstacle("", f"{column} is of type {kind}, which {why}; set archive_format to text."))
    return found
