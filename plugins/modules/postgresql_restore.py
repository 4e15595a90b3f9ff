#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_restore
short_description: Bring a database back from a backup set without destroying what is there
version_added: 0.1.0
description:
  - Restores a set of M(day2.ops.postgresql_backup) into a new database beside the live one and compares it there with
    what was backed up. When that is wanted, the two change names, in one transaction; the former database stays until
    its drop is confirmed, and the change can be rolled back.
  - Nothing is ever restored into the live database, and no database is dropped that this module has not made or set
    aside itself. What it made carries a mark in its comment, as one line of JSON.
  - Owner, grants, settings, limits and comment of the live database are brought over before a swap and compared after
    it; when something differs, the names are changed back.
  - A run that was killed leaves no database closed. The server opens it again by itself, and the next run goes on from
    what it finds.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._brake
  - day2.ops._postgresql
  - day2.ops._run
  - day2.ops._slots
  - day2.ops._store
options:
  state:
    description:
      - V(beside) restores the set into C(<database>_day2_new) and compares it. Nothing else is touched.
      - V(swapped) gives the live database the name C(<database>_day2_old_<time>) and the restored one the name of the
        live one. Both are closed to new sessions for that moment. Needs O(accept_loss_since).
      - V(rolled_back) gives the former database its name back. The restored one becomes
        C(<database>_day2_discarded_<time>).
      - V(confirmed) drops the database that O(confirm) names.
    type: str
    choices: [beside, swapped, rolled_back, confirmed]
    default: beside
  set:
    description:
      - The id of the set, as M(day2.ops.postgresql_backup_info) lists them. Without it the newest complete set that no
        verification has refuted.
      - With V(state=swapped) the set that must stand beside.
    type: str
  verified:
    description: Whether only a set will do that was restored and compared before.
    type: bool
    default: false
  replace:
    description:
      - Whether a complete database that stands beside already is dropped when O(set) is not given and there is a newer
        set. Without it, it is kept.
    type: bool
    default: true
  tables:
    description:
      - With V(state=beside), only these tables, as V(schema.table), into C(<database>_day2_rescue). Their rows, indexes
        and types come back, their foreign keys and triggers do not. A partitioned table comes with its partitions.
    type: list
    elements: str
    default: []
  accept_loss_since:
    description:
      - A time at or before the time of the set. Whatever was written after the set was taken will be missing from the
        live database; this says that somebody knows. Without it the swap is refused, with the value to give.
    type: str
  drain_timeout:
    description: How many seconds sessions have to leave the databases by themselves, once new ones are kept out.
    type: float
    default: 30
  terminate_sessions:
    description: Whether sessions that stay are ended. Otherwise the databases are opened again, and nothing changes.
    type: bool
    default: false
  confirm:
    description: The exact name of the database to drop, with V(state=confirmed).
    type: str
  identity_file:
    description: The file with a secret key that opens the set, as C(age-keygen) wrote it. Needed for encrypted sets.
    type: path
  spool_dir:
    description:
      - A folder on the host of the module with room for the whole content. It allows O(jobs) at a time. What is put
        there is removed again.
      - Without it the set is streamed into the database, one table after the other.
    type: path
  jobs:
    description: How many tables and indexes are restored at a time, with O(spool_dir).
    type: int
    default: 2
  template:
    description:
      - The database from which the new one is made. One that holds extensions which only a superuser may create allows
        a user without that right to restore.
    type: str
    default: template0
  bin_dir:
    description: The folder of C(pg_restore) and C(pg_dump). Without it, those that fit the server are looked for.
    type: path
  rto:
    description: How many seconds restoring beside may take. More is a finding.
    type: float
  rpo:
    description: How many seconds old the set may be when it is restored. More is a finding.
    type: float
  lock_timeout:
    description: How many seconds anybody may wait for a lock because of the restore.
    type: float
    default: 10
  assume_actions:
    description:
      - Actions that an earlier step has planned, so that a rehearsal of V(state=swapped) knows of the database that
        V(state=beside) will make.
    type: list
    elements: dict
    default: []
notes:
  - The user needs C(pg_monitor), C(pg_signal_backend), C(CREATEDB), and membership in the owner of the database and in
    every owner of what is in the set. What is missing is told before anything is made, as the statements to run.
    Extensions that are not trusted, event triggers and foreign-data wrappers take a superuser, or O(template).
  - O(lock_db) must be another database than the one to restore.
  - A swap is refused while the database has logical replication slots, subscriptions or prepared transactions, and
    through a pooler. Subscriptions are not restored.
  - Standbys follow; sessions on them are not drained.
seealso:
  - module: day2.ops.postgresql_backup
  - module: day2.ops.postgresql_backup_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Restore the newest set beside the live database
  day2.ops.postgresql_restore:
    login_host: db1.example.com
    login_user: day2_restore
    login_password: "{{ vault_day2_restore }}"
    login_db: shop
    store: s3://backups/day2
    identity_file: /root/day2-identity.txt
    spool_dir: /var/spool/day2

- name: Let it take the place of the live one
  day2.ops.postgresql_restore:
    login_host: db1.example.com
    login_user: day2_restore
    login_password: "{{ vault_day2_restore }}"
    login_db: shop
    store: s3://backups/day2
    state: swapped
    accept_loss_since: "2026-12-06T02:00:00Z"
    terminate_sessions: true

- name: Bring the database from before back
  day2.ops.postgresql_restore:
    login_host: db1.example.com
    login_user: day2_restore
    login_password: "{{ vault_day2_restore }}"
    login_db: shop
    state: rolled_back

- name: Drop the database from before, for good
  day2.ops.postgresql_restore:
    login_host: db1.example.com
    login_user: day2_restore
    login_password: "{{ vault_day2_restore }}"
    login_db: shop
    state: confirmed
    confirm: shop_day2_old_20261206T031500Z

- name: Rescue one table
  day2.ops.postgresql_restore:
    login_host: db1.example.com
    login_user: day2_restore
    login_password: "{{ vault_day2_restore }}"
    login_db: shop
    store: s3://backups/day2
    identity_file: /root/day2-identity.txt
    tables: [public.orders]
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
  description: One sentence on what is planned; why nothing is due when nothing is.
  returned: always
  type: str
databases:
  description:
    - The names of the databases of this restore, as C(live), C(new), C(rescue), C(old) and C(discarded), the last two
      as lists with the newest first.
  returned: always
  type: dict
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import brake_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import slot_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._restore import restore
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec


def spec() -> ArgumentSpec:
    return postgresql_spec().merge(store_spec(), brake_spec(), slot_spec(), restore.options())


def main() -> None:
    run_module(spec(), restore.restore)


if __name__ == "__main__":
    main()
