# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which extensions a server cannot give, or gives to superusers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable

from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session

_LACKING = """
SELECT w.name, v.version IS NULL AS missing
  FROM unnest(%s::text[]) AS w(name) LEFT JOIN pg_available_extensions a ON a.name = w.name
  LEFT JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
 WHERE v.version IS NULL OR (v.superuser AND NOT v.trusted)
 ORDER BY w.name
"""


@dataclass(frozen=True)
class Lacking:
    """``missing``: not installed. ``superuser``: installed, and only a superuser may make them."""

    missing: list[str]
    superuser: list[str]


def lacking(session: Session, names: Iterable[str]) -> Lacking:
    rows = session.rows(_LACKING, [sorted(names)])
    return Lacking([row["name"] for row in rows if row["missing"]], [row["name"] for row in rows if not row["missing"]])
