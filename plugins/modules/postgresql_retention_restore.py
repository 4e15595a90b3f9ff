#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_retention_restore
short_description: Put archived rows back into their table
version_added: 0.1.0
description:
  - Puts back the rows that M(day2.ops.postgresql_retention) deleted, from their archives in the store. Only those come
    back of which the ledger of the database says that they are gone; rows that stayed are not taken from an archive.
  - Each chunk is one transaction, which writes a row into the ledger too. A second run therefore restores nothing.
  - Generated columns are made anew; identity columns get their old values.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._postgresql
  - day2.ops._run
  - day2.ops._store
options:
  policy:
    description: The name of the policy that let the rows go.
    type: str
    required: true
  chunks:
    description: Which chunks, as C(<time>-<salt>/<number>). Without it, all that have rows to give back.
    type: list
    elements: str
    default: []
  into:
    description:
      - Another table to put the rows into, with the same columns. The ledger does not know of that, and a second run
        would restore them again.
    type: str
  existing:
    description: Whether rows whose key is in the table already make the restore fail, or are left as they are.
    type: str
    choices: [fail, skip]
    default: fail
  identity_file:
    description: The file with a secret key that opens encrypted archives, as C(age-keygen) wrote it.
    type: path
  lock_timeout:
    description: How many seconds the restore waits for a lock.
    type: float
    default: 10
requirements:
  - zstandard
  - pyrage, for encrypted archives
notes:
  - The user needs C(pg_monitor), C(SELECT) and C(INSERT) on the table, C(TEMPORARY) on the database, and C(SELECT) and
    C(INSERT) on the ledger.
  - Needs C(s3:GetObject) and C(s3:ListBucket) on C(v1/archives/*) below the prefix, where the store is a bucket.
seealso:
  - module: day2.ops.postgresql_retention
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Put all archived audit events back
  day2.ops.postgresql_retention_restore:
    login_host: db1.example.com
    login_user: day2_retention
    login_password: "{{ vault_day2_retention }}"
    login_db: shop
    store: s3://ops-store/day2
    policy: audit
    identity_file: /etc/day2/archive.key
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
plan_summary:
  description: One sentence on what is to be put back.
  returned: always
  type: str
  sample: "120 000 rows of 3 chunks of policy audit are to be put back."
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._retention import restore
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec


def spec() -> ArgumentSpec:
    return postgresql_spec().merge(store_spec(), restore.options())


def main() -> None:
    run_module(spec(), restore.restore)


if __name__ == "__main__":
    main()
