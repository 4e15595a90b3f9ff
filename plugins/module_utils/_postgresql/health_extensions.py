# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of the extensions: those that a package has brought in another version than the database still has."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, listed

# ``update``: whether its files hold a way from the one version to the other.
_OTHER = """
SELECT e.name, e.installed_version AS here, e.default_version AS brought,
       EXISTS (SELECT FROM pg_extension_update_paths(e.name)
                WHERE source = e.installed_version AND target = e.default_version AND path IS NOT NULL) AS update
  FROM pg_available_extensions e WHERE e.installed_version <> e.default_version ORDER BY e.name
"""
_STANDBY = "SELECT pg_is_in_recovery() AS standby"


def extensions(session: Session, run: Run, limits: Limits) -> list[Check]:
    """Not on a standby: the versions in its database are those of the primary, whose files may be others."""
    if session.rows(_STANDBY)[0]["standby"]:
        return []
    return judge_extensions(session.rows(_OTHER), run.params["login_db"], limits)


def judge_extensions(rows: Sequence[Row], database: str, limits: Limits) -> list[Check]:
    limit = limits["extensions"]
    if not rows:
        text = "The extensions are of the versions that the server's packages brought."
        return [types.EXTENSIONS(database, 0, **limit, summary=text)]
    told = [f"{row['name']} is {row['here']}, its package brought {row['brought']}" for row in rows]
    updates = [f"ALTER EXTENSION {quote(row['name'])} UPDATE;" for row in rows if row["update"]]
    stuck = [row["name"] for row in rows if not row["update"]]
    advice = []
    if updates:
        advice.append(f"Restart the server if it preloads them, then let their owner run: {' '.join(updates)}")
    if stuck:
        advice.append(f"No update leads there for {listed(stuck)}: install the package of the version that is there.")
    text = f"{count(len(rows), 'extension')} of this database and the server's packages differ: {listed(told)}."
    names = ", ".join(row["name"] for row in rows)
    return [types.EXTENSIONS(database, len(rows), **limit, summary=text, advice=" ".join(advice), extensions=names)]
