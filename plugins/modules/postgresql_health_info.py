#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_health_info
short_description: Judge the health of a PostgreSQL server and database
version_added: 0.1.0
description:
  - Judges connections, transactions, locks, replication, ages of transaction ids, settings, sizes, dead rows and
    indexes, on a primary or a standby.
  - Reads catalogs and views only; nothing is read through. What the user may not read becomes V(unknown), with the
    statement that grants it.
  - A server that cannot be reached is a finding (C(postgresql_reachable), V(crit)), not a failure.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._postgresql
  - day2.ops._run
options:
  thresholds:
    description:
      - At which values findings become V(warn) and V(crit), as a dictionary of C(warn) and C(crit) per check. What is
        left out has its default, null turns a threshold off. Seconds, bytes and counts are whole numbers, ratios are
        of 1.
      - C(blocked_sessions) 5 and 20; C(cache_hits) below 0.9; C(connections) 0.8 and 0.95; C(dead_rows) 0.2 and 0.5;
        C(disk) 0.7 and 0.9; C(idle_in_transaction) 300 and 3600 s; C(index_bloat) 0.5; C(invalid_indexes) 1;
        C(long_transaction) 3600 and 14400 s; C(mxid_age) and C(xid_age) 0.25 and 0.5; C(prepared_transaction) 300 and
        3600 s; C(replication_lag) 30 and 300 s; C(replication_lag_bytes) 100 MiB and 1 GiB; C(settings) 1;
        C(slot_retained_bytes) 5 and 50 GiB.
    type: dict
    default: {}
  disk_capacity_bytes:
    description: The size of the server's disk, which the server cannot tell. Without it the disk is not judged.
    type: int
  index_min_bytes:
    description: Smaller indexes are not judged for bloat.
    type: int
    default: 10485760
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Judge the database
  day2.ops.postgresql_health_info:
    login_host: db1.example.com
    login_user: day2_health
    login_password: "{{ vault_day2_health }}"
    login_db: shop
    disk_capacity_bytes: "{{ 200 * 1024 ** 3 }}"
    thresholds:
      connections: {warn: 0.7}
      cache_hits: {warn: null}
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
"""

from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql.health import health, health_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec


def main() -> None:
    run_module(postgresql_spec().merge(health_spec()), health)


if __name__ == "__main__":
    main()
