# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted concurrent rebuild leaves on a table: found by comparison, dropped at once if time allows."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, Watch, compose
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import is_leftover

DROP_SECONDS = 10.0
_INVALID = """
SELECT n.nspname AS schema, c.relname AS name, c.oid::bigint AS oid
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indrelid = %s AND NOT i.indisvalid
"""


class Leftovers:
    """The invalid indexes of table ``oid`` that were not there when this was made."""

    def __init__(self, control: Session, oid: int) -> None:
        self._control = control
        self._oid = oid
        self._before = {row["oid"] for row in control.rows(_INVALID, [oid])}

    def found(self, *, final: bool = False) -> list[tuple[str, str]]:
        rows = self._control.rows(_INVALID, [self._oid], final=final)
        return [
            (row["schema"], row["name"])
            for row in rows
            if row["oid"] not in self._before and is_leftover(row["name"])
        ]  # fmt: skip

    def drop(self, worker: Session, names: list[tuple[str, str]], watch: Watch) -> list[tuple[str, str]]:
        """Drop them, briefly, and for as long as ``watch`` lets it; what is still there then."""
        for schema, name in names:
            try:
                statement = compose("DROP INDEX CONCURRENTLY IF EXISTS {index}", index=(schema, name))
                worker.run(statement, timeout=DROP_SECONDS, settings={"lock_timeout": "0"}, watch=watch)
            except OpsError:
                break
        return self.found(final=True)
