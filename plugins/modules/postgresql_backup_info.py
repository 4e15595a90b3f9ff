#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_backup_info
short_description: The backup sets of a target, how old they are, and which of them were proven
version_added: 0.1.0
description:
  - Lists the complete sets of the target in the store and says whether the newest one is fresh enough, and whether one
    has been restored and compared recently enough. The database is not touched.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
  - day2.ops._store
options:
  max_age:
    description: The newest set is a warning from this age on, in seconds, and critical from twice this age on.
    type: float
    default: 86400
  max_verified_age:
    description: The same for the time since a set was last restored and compared.
    type: float
    default: 2678400
notes:
  - Needs C(s3:GetObject) and C(s3:ListBucket) on C(v1/backups/*) and C(v1/verifications/*) below the prefix, where the
    store is a bucket.
seealso:
  - module: day2.ops.postgresql_backup
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Look at the sets
  day2.ops.postgresql_backup_info:
    store: s3://ops-store/day2
    max_age: 14400
  register: catalogue

- name: Go on only with a fresh set
  ansible.builtin.assert:
    that: catalogue.checks | selectattr('status', 'eq', 'crit') | length == 0
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
sets:
  description: The complete sets, newest first.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The id, which begins with the time of its snapshot.
      type: str
    taken:
      description: The time of its snapshot, in UTC.
      type: str
    bytes:
      description: Its size in the store.
      type: int
    verified:
      description: Whether it was restored and compared and found whole; null when nobody tried.
      type: bool
    verified_at:
      description: When that was, in UTC; null for a set that was not verified.
      type: str
"""

from ansible_collections.day2.ops.plugins.module_utils._backup import info
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec


def spec() -> ArgumentSpec:
    return store_spec().merge(info.options())


def main() -> None:
    run_module(spec(), info.look)


if __name__ == "__main__":
    main()
