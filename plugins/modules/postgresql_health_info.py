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
  - Judges connections, transactions, locks, replication, slots, the archive of WAL, subscriptions, ages of transaction
    ids, keys that run out, partitions, checksums, collations, extensions, settings, sizes, autovacuum, statements and
    indexes, on a primary or a standby.
  - Reads catalogs and views only; nothing is read through. What the user may not read becomes V(unknown), with the
    statement that grants it. Sequences are read only where the user has C(SELECT) on them, which C(pg_monitor) does not
    give.
  - Of many findings of one kind the worst five stand by themselves, and it is told how many more there are.
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
      - C(archiver) 300 and 3600 s; C(autovacuum_behind) 2 and 10; C(autovacuum_off) 1; C(blocked_sessions) 5 and 20;
        C(cache_hits) below 0.9; C(checkpoints_requested) 0.5; C(checksum_failures) V(crit) at 1; C(collations) 1;
        C(connections) 0.8 and 0.95; C(dead_rows) 0.2 and 0.5; C(default_partition_rows) 1; C(disk) 0.7 and 0.9;
        C(duplicate_indexes) 1; C(extensions) 1; C(future_partitions) below 604800 s and 0 s; C(idle_in_transaction) 300
        and 3600 s; C(index_bloat) 0.5; C(invalid_indexes) 1; C(key_exhaustion) 0.7 and 0.9; C(long_transaction) 3600
        and 14400 s; C(missing_replicas) V(crit) at 1; C(mxid_age) 0.25 and 0.5; C(parallel_workers) 2;
        C(prepared_transaction) 300 and 3600 s; C(replication_lag) 30 and 300 s; C(replication_lag_bytes) 100 MiB and 1
        GiB; C(sequential_scans) 100; C(settings) 1; C(shared_buffers) below 0.1; C(slot_retained_bytes) 5 and 50 GiB;
        C(slot_state) 600 and 86400 s; C(slow_statements) 1 s; C(subscription_errors) 1; C(unused_indexes) 10 MiB;
        C(work_memory) 1; C(xid_age) 0.25 and 0.5.
    type: dict
    default: {}
  disk_capacity_bytes:
    description: The size of the server's disk, which the server cannot tell. Without it the disk is not judged.
    type: int
  index_min_bytes:
    description: Smaller indexes are not judged for bloat, nor for being used.
    type: int
    default: 10485760
  memory_bytes:
    description:
      - The memory of the server's machine, which the server cannot tell. Without it C(shared_buffers) and
        C(work_memory) are not judged.
    type: int
  cpu_count:
    description:
      - The cores of the server's machine. Without it C(parallel_workers) is not judged.
    type: int
  expected_replicas:
    description:
      - The application_name of each replica that should stream from this server while it is the primary. Without it a
        replica that vanished shows only where its slot is not used any more.
    type: list
    elements: str
    default: []
  query_text:
    description:
      - Whether findings on statements hold their text, without any constant. Without it they hold the query id only.
    type: bool
    default: false
  statements_top:
    description:
      - So many statements, by their total time, are judged by their mean.
    type: int
    default: 10
  probe_timeout:
    description:
      - Seconds that each read may take; one that takes longer becomes V(unknown).
    type: int
    default: 15
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
    memory_bytes: "{{ 64 * 1024 ** 3 }}"
    cpu_count: 16
    expected_replicas: [db2, db3]
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
