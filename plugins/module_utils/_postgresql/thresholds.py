# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thresholds for a schema or a table; the most exact one wins, option by option. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql import names
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Override, Policy, Table

RATIOS = ("vacuum_dead_ratio", "analyze_ratio", "index_bloat_ratio")
OPTIONS = (
    "vacuum_min_dead_rows", "vacuum_dead_ratio", "freeze_age", "freeze_mxid_age", "wraparound_age", "vacuum_truncate",
    "analyze_min_rows", "analyze_ratio", "index_bloat_ratio", "index_min_bytes",
)  # fmt: skip


def overrides_of(entries: Sequence[Mapping[str, Any]]) -> tuple[Override, ...]:
    """Option ``thresholds``; :class:`BadInput` for an entry that cannot be meant."""
    found: dict[tuple[str, str], Override] = {}
    for entry in entries:
        schema, table = entry.get("schema") or "", ""
        if entry.get("table"):
            *parts, table = names.parse(entry["table"], "thresholds")
            schema = parts[0] if parts else ""
        whose = entry.get("table") or schema
        values = {name: entry[name] for name in OPTIONS if entry.get(name) is not None}
        if not values:
            raise BadInput(f"thresholds: the entry for {whose} sets nothing; give it one of {', '.join(OPTIONS)}.")
        if (schema, table) in found:
            raise BadInput(f"thresholds: there are two entries for {whose}; write one.")
        check_values(values, f" (thresholds, {whose})")
        found[schema, table] = Override(schema, table, values)
    return tuple(found.values())


def check_values(values: Mapping[str, Any], where: str = "") -> None:
    """:class:`BadInput` for ratios that are none and for negative numbers."""
    for name, value in values.items():
        if name in RATIOS and not 0 < value <= 1:
            raise BadInput(f"{name}: {value} is not a ratio{where}; give a number above 0 and up to 1, such as 0.1.")
        if isinstance(value, (int, float)) and value < 0:
            raise BadInput(f"{name}: {value} is negative{where}; give 0 or more.")


def policy_for(policy: Policy, table: Table, root: Optional[Table] = None) -> Policy:
    """The policy of one table. What is set for a partitioned table holds for its partitions (``root``) too."""
    if not policy.overrides:
        return policy
    ranked = [(_rank(one, table, root), one.values) for one in policy.overrides]
    values: dict[str, Any] = {}
    for _rank_of, one in sorted((pair for pair in ranked if pair[0]), key=lambda pair: pair[0]):
        values.update(one)
    return replace(policy, **values) if values else policy


def policies_of(policy: Policy, tables: Sequence[Table]) -> dict[int, Policy]:
    """The policies of all tables, by oid."""
    by_oid = {table.oid: table for table in tables}
    return {table.oid: policy_for(policy, table, by_oid.get(table.root or 0)) for table in tables}


def _rank(one: Override, table: Table, root: Optional[Table]) -> int:
    """How exactly an entry names the table; 0 when it does not."""
    if not one.table:
        return int(one.schema == table.schema)
    for step, who in ((4, table), (2, root)):
        if who is not None and one.table == who.name and one.schema in ("", who.schema):
            return step + bool(one.schema)
    return 0


def smallest_index(policy: Policy) -> int:
    """Bytes: no table's policy looks at smaller indexes."""
    own = [int(one.values["index_min_bytes"]) for one in policy.overrides if "index_min_bytes" in one.values]
    return min([policy.index_min_bytes, *own])
