#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_maintenance
short_description: Vacuum, analyze and rebuild what a measurement says is due
version_added: 0.1.0
description:
  - Measures dead rows, changes since the last analyze, ages of transaction ids, index bloat and invalid indexes, and
    does what these call for, the worst first. What is healthy is not touched; the result says why nothing was due.
  - Each action says by which method it was judged and how sure that is. Tables whose statistics the server has lost are
    counted with C(pgstattuple_approx) where it is installed, else judged by their size per row; so are indexes other
    than b-trees, once O(history) knows their best size. BRIN indexes are not rebuilt.
  - What somebody else takes care of is left to them, and the result says so - a running autovacuum, active jobs of
    C(pg_cron) that this user may see. Danger of wraparound is not.
  - Indexes are rebuilt and dropped C(CONCURRENTLY). What the server cannot rebuild so is told and left alone, unless
    O(allow_exclusive_lock) is set. Nobody else waits longer than O(lock_timeout) for a
    lock of this module; when somebody would, the work is cancelled and left for the next run.
  - Work that would not end before the run's deadline is not begun, and work that still runs then is cancelled on the
    server. The exception is a vacuum against wraparound (O(wraparound_age)), which comes before all other work and may
    end late.
  - A table that somebody keeps locked so that nobody else can even read it is named with who that is, and takes the
    size of its last vacuum; all others are maintained.
  - What an interrupted rebuild leaves behind is removed at once where time allows, else by the next run.
  - A vacuum that removed nothing because of somebody's old snapshot has failed, and the result names the holder.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._brake
  - day2.ops._postgresql
  - day2.ops._run
  - day2.ops._slots
options:
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
  operations:
    description: What may be done.
    type: list
    elements: str
    choices: [vacuum, analyze, reindex, drop_index]
    default: [vacuum, analyze, reindex, drop_index]
  vacuum_min_dead_rows:
    description: A table with fewer dead rows is not vacuumed for them.
    type: int
    default: 10000
  vacuum_dead_ratio:
    description: The share of dead rows from which on a table is vacuumed.
    type: float
    default: 0.1
  freeze_age:
    description: A table whose oldest transaction id is this far back is vacuumed with C(FREEZE).
    type: int
    default: 150000000
  freeze_mxid_age:
    description: A table whose oldest multixact is this far back is vacuumed with C(FREEZE).
    type: int
    default: 300000000
  wraparound_age:
    description:
      - From this age on, of transaction ids or multixacts, a vacuum goes before everything else, and may end after the
        deadline once it was begun.
    type: int
    default: 1200000000
  vacuum_truncate:
    description: Whether vacuum may cut off the empty end of a table, which locks out readers for a moment.
    type: bool
    default: false
  allow_exclusive_lock:
    description:
      - Whether indexes that cannot be rebuilt C(CONCURRENTLY) are rebuilt by a plain C(REINDEX INDEX) - those of
        exclusion constraints, and all of PostgreSQL 14.0 to 14.3. Nobody can write to the table meanwhile, and new
        queries of it wait; such an action has the risk class C(disrupt).
      - O(lock_timeout) holds all the same. The lock is tried a few times, and a rebuild behind which somebody has
        waited that long is cancelled; it leaves nothing behind.
    type: bool
    default: false
  analyze_min_rows:
    description: A table with fewer changed rows is not analysed for them.
    type: int
    default: 1000
  analyze_ratio:
    description: The share of changed rows from which on a table is analysed. One that never was always is.
    type: float
    default: 0.1
  index_bloat_ratio:
    description: The share of an index that a rebuild would give back, from which on it is rebuilt.
    type: float
    default: 0.3
  index_min_bytes:
    description: Smaller indexes are not rebuilt for bloat.
    type: int
    default: 10485760
  index_probe_bytes:
    description:
      - How many bytes of indexes, in all, may be read through to measure bloat with C(pgstattuple), where that
        extension is installed. Those that look worst from the catalogs are read first; the rest is judged by estimate.
    type: int
    default: 1073741824
  thresholds:
    description:
      - Thresholds of their own for a schema or a table, which win over those for all; those of a table win over those
        of its schema. What is set for a partitioned table holds for its partitions.
    type: list
    elements: dict
    default: []
    suboptions:
      schema:
        description: All tables of this schema.
        type: str
      table:
        description: This table, written as V(table) or V(schema.table); names that need it in double quotes.
        type: str
      vacuum_min_dead_rows:
        description: As O(vacuum_min_dead_rows).
        type: int
      vacuum_dead_ratio:
        description: As O(vacuum_dead_ratio).
        type: float
      freeze_age:
        description: As O(freeze_age).
        type: int
      freeze_mxid_age:
        description: As O(freeze_mxid_age).
        type: int
      wraparound_age:
        description: As O(wraparound_age).
        type: int
      vacuum_truncate:
        description: As O(vacuum_truncate).
        type: bool
      analyze_min_rows:
        description: As O(analyze_min_rows).
        type: int
      analyze_ratio:
        description: As O(analyze_ratio).
        type: float
      index_bloat_ratio:
        description: As O(index_bloat_ratio).
        type: float
      index_min_bytes:
        description: As O(index_min_bytes).
        type: int
  scope:
    description:
      - What is worked on. With V(all) everything that the other options select is vacuumed, analysed and rebuilt, also
        where no measurement calls for it; then each run finds work.
    type: str
    choices: [due, all]
    default: due
  max_window:
    description:
      - How many seconds the longest window lasts, not only the one that is open. What would need more is left alone,
        and a critical check names the choices; a vacuum against wraparound is not. Without it, nothing counts as too
        large. RV(day2.ops.maintenance_window_info#module:longest) knows it.
    type: float
  jobs:
    description:
      - Over how many connections to work. Each takes the next table, the longest first; no two work on one table.
    type: int
    default: 1
  vacuum_cost_limit:
    description:
      - The I/O that vacuum and analyze may spend before they pause, as the server's setting of that name, for all
        connections together - each gets its share. Without it, the server's own. It has no effect while the delay is 0.
    type: int
  vacuum_cost_delay:
    description: How many milliseconds they pause then. Without it, the server's own, which is 0 unless set otherwise.
    type: float
  cleanup_reserve:
    description: How many seconds before the deadline a rebuild ends, so that what it leaves can still be removed.
    type: float
    default: 15
  holders:
    description:
      - What becomes of work that an old transaction, a replication slot or a standby makes useless, or would keep
        waiting. A check names who it is in each case.
      - With V(skip) it is left for the next run. With V(wait) it waits up to O(holders_wait). With V(report) it is done
        all the same; a vacuum that could remove nothing has failed.
      - The same holds for a table that somebody keeps locked. A vacuum that brings a table's age down is done all the
        same where somebody lets it do less than it could, and a check names who.
      - Dropping what an interrupted rebuild left behind waits for anybody up to O(max_transaction_age) with V(skip), up
        to O(holders_wait) with V(wait), and until the deadline with V(report).
    type: str
    choices: [skip, wait, report]
    default: skip
  holders_wait:
    description: How many seconds to wait for each of them, whatever he keeps from being done.
    type: float
    default: 600
  max_transaction_age:
    description:
      - A rebuild waits for all transactions that are open when it begins. One that is older than this many seconds
        counts as a holder (O(holders)).
    type: float
    default: 60
  lock_timeout:
    description: How many seconds anybody may wait for a lock because of this module, and it for a lock of others.
    type: float
    default: 2
  throughput:
    description:
      - Bytes per second that earlier runs have learnt, as RV(throughput) returns them. They make predictions better.
    type: dict
    default: {}
    suboptions:
      vacuum:
        description: Of vacuum.
        type: float
      analyze:
        description: Of analyze.
        type: float
      reindex:
        description: Of rebuilds.
        type: float
  history:
    description:
      - What earlier runs have left in the store, as the lookup P(day2.ops.run_history#lookup) returns it. It brings
        learnt throughput, what was left and how often in a row, raised thresholds, and the best sizes known.
        O(throughput) wins.
    type: dict
    default: {}
  assume_actions:
    description:
      - Actions that an earlier step has planned. Rows that they will delete (C(predicted.rows_deleted), the subject
        being the table) count as dead, so that a rehearsal shows what the run will do.
    type: list
    elements: dict
    default: []
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Maintain the database, in the window
  day2.ops.postgresql_maintenance:
    login_host: db1.example.com
    login_user: day2_maintenance
    login_password: "{{ vault_day2_maintenance }}"
    login_db: shop

- name: Show what one schema would need
  day2.ops.postgresql_maintenance:
    login_host: db1.example.com
    login_user: day2_maintenance
    login_password: "{{ vault_day2_maintenance }}"
    login_db: shop
    schemas: [billing]
    index_bloat_ratio: 0.4
  check_mode: true
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
  description: One sentence on what was measured and what follows; why nothing is due when nothing is.
  returned: always
  type: str
  sample: "7 tables, 15 indexes measured; nothing is due: most dead rows 0.3 % (public.orders)."
throughput:
  description: Bytes per second of each kind of work, as learnt on this server; give it to the next run.
  returned: always
  type: dict
  sample: {analyze: 50000000, reindex: 81000000, vacuum: 133000000}
learnt:
  description: What M(day2.ops.run_close) keeps for the next run beside the actions - C(bytes_per_row) of large objects.
  returned: always
  type: dict
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql import maintenance
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import brake_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import slot_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec


def spec() -> ArgumentSpec:
    return postgresql_spec().merge(
        maintenance.scope_spec(),
        maintenance.policy_spec(),
        brake_spec(),
        slot_spec(),
    )


def main() -> None:
    run_module(spec(), maintenance.maintain)


if __name__ == "__main__":
    main()
