#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_preflight_info
short_description: Say whether a PostgreSQL server is ready for work, before anything is touched
version_added: 0.1.0
description:
  - Looks whether the server can be reached, is a primary of a supported version, is not hidden behind a pooler in
    transaction mode, and whether the user holds every grant that the work needs.
  - Looks whether another run works on the same database, and whether a stop is ordered in C(day2.stop).
  - Fails with one sentence when the work would be refused. For missing grants that sentence holds the statements to
    run.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._postgresql
  - day2.ops._run
options:
  purposes:
    description: For which work.
    type: list
    elements: str
    choices: [maintenance]
    default: [maintenance]
  schemas:
    description: Only tables in these schemas. Without it, all schemas but those of the server itself.
    type: list
    elements: str
    default: []
  tables:
    description:
      - Only these tables, written as V(table) or V(schema.table); names that need it in double quotes. Case is kept.
      - A partitioned table stands for all its partitions. Tables of extensions are left alone unless named here.
    type: list
    elements: str
    default: []
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Look before the window opens
  day2.ops.postgresql_preflight_info:
    login_host: db1.example.com
    login_user: day2_maintenance
    login_password: "{{ vault_day2_maintenance }}"
    login_db: shop
"""

RETURN = r"""
checks:
  description: What was found, one entry per subject.
  returned: always
  type: list
  elements: dict
actions:
  description: What was planned, done or left, each with its reason, and what was measured before and after.
  returned: always
  type: list
  elements: dict
error:
  description: What went wrong, as C(kind) and C(message); null when nothing did.
  returned: always
  type: dict
server:
  description:
    - The server that answered, as C(version), C(database), C(system_identifier) and C(timeline).
  returned: success
  type: dict
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql.maintenance import PURPOSES, look, scope_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec


def spec() -> ArgumentSpec:
    names = list(PURPOSES)
    purposes = {"type": "list", "elements": "str", "choices": names, "default": ["maintenance"]}
    return postgresql_spec().merge(scope_spec()).update(purposes=purposes)


def main() -> None:
    run_module(spec(), look)


if __name__ == "__main__":
    main()
