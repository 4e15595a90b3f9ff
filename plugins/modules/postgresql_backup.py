#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_backup
short_description: Take a backup set of a database when the newest one is too old
version_added: 0.1.0
description:
  - Streams a dump of one database into the store, compressed once and encrypted to public keys, with no copy on this
    host. The set is complete when its manifest is there, which is written last; what is not complete is never used.
  - The manifest holds the rows of every table as they passed in the dump, and whatever else a restore is compared with.
    See M(day2.ops.postgresql_backup_verify).
  - Sets that no day, week or month needs are removed. The newest set and the newest verified one always stay, and
    nothing is removed while the newest one is older than O(max_age).
  - Roles, their settings and tablespaces are part of the set. Passwords of roles only when the set is encrypted and the
    user may read C(pg_authid).
  - The source may be a standby.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._backup_engines
  - day2.ops._brake
  - day2.ops._postgresql
  - day2.ops._run
  - day2.ops._slots
  - day2.ops._store
options:
  engine:
    description:
      - V(pg_dump) takes a set of one database. V(pgbackrest) lets pgBackRest back up the whole server, for which the
        module runs where pgBackRest does. V(external) takes nothing and tells how fresh the backups are that somebody
        else takes.
    type: str
    choices: [pg_dump, pgbackrest, external]
    default: pg_dump
  backup_encryption:
    description:
      - V(age) encrypts to the public keys in O(recipients), so that the host that backs up cannot read what it wrote.
      - V(none) is for stores that are protected otherwise. There is no default.
    type: str
    choices: [age, none]
  recipients:
    description: Public keys of age, V(age1...) or SSH keys. Any one of their owners can restore.
    type: list
    elements: str
    default: []
  max_age:
    description: A set is due when the newest one is older than so many seconds.
    type: float
    default: 86400
  force:
    description: Take a set whatever the age of the newest one.
    type: bool
    default: false
  max_logical_bytes:
    description: A database with more content than this is refused; its dump would take too long to take and to restore.
    type: int
    default: 214748364800
  max_snapshot_age:
    description:
      - A dump that would take more seconds than this is refused, and one that does is cancelled. Vacuum cannot remove
        rows that die meanwhile, anywhere in the database.
    type: float
    default: 3600
  keep_daily:
    description: The newest set of so many days stays, by preference a verified one. Days without a set do not count.
    type: int
    default: 30
  keep_weekly:
    description: The same for weeks.
    type: int
    default: 8
  keep_monthly:
    description: The same for months.
    type: int
    default: 12
  keep_all_within:
    description: Sets younger than so many seconds stay.
    type: float
    default: 172800
  bin_dir:
    description:
      - The folder with pg_dump and pg_dumpall, of the server's version or newer. Without it, where distributions keep
        those of the server's version.
    type: path
  lock_timeout:
    description:
      - How many seconds the dump waits for a table's lock, and anybody for a lock that the dump holds. Then the dump is
        cancelled and left for the next run.
    type: float
    default: 10
requirements:
  - pg_dump and pg_dumpall of the server's version or newer
  - zstandard
  - pyrage, for encryption
  - pgBackRest, for that O(engine)
notes:
  - The user needs C(pg_monitor) and C(pg_read_all_data), C(BYPASSRLS) where row security is used, and C(SELECT) on
    large objects.
  - Needs C(s3:PutObject), C(s3:GetObject), C(s3:ListBucket), C(s3:AbortMultipartUpload) and, for removals,
    C(s3:DeleteObject) and C(s3:GetObjectRetention) on C(v1/backups/*) below the prefix, where the store is a bucket.
seealso:
  - module: day2.ops.postgresql_backup_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Take a set when the newest one is older than four hours
  day2.ops.postgresql_backup:
    login_host: db1.example.com
    login_user: day2_backup
    login_password: "{{ vault_day2_backup }}"
    login_db: shop
    store: s3://ops-store/day2
    max_age: 14400
    backup_encryption: age
    recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p

- name: Let pgBackRest take what is due, and see that no more than 15 minutes could be lost
  day2.ops.postgresql_backup:
    login_user: day2_backup
    login_password: "{{ vault_day2_backup }}"
    engine: pgbackrest
    pgbackrest:
      stanza: shop
      max_wal_age: 900

- name: See how fresh the backups of RDS are
  day2.ops.postgresql_backup:
    engine: external
    external:
      source: rds
      instance: shop-prod
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
  description: One sentence on what is due and why; why nothing is due when nothing is.
  returned: always
  type: str
  sample: "Nothing is due: the newest set is 2.1 h old (threshold 24.0 h)."
set:
  description: The id of the set that was taken; null when none was.
  returned: always
  type: str
  sample: 20261206T020000Z-1a2b
"""

from ansible_collections.day2.ops.plugins.module_utils._backup import backup
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, run_module
from ansible_collections.day2.ops.plugins.module_utils._physical import external, pgbackrest
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import brake_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import slot_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec

ENGINES = {"pg_dump": backup.backup, "pgbackrest": pgbackrest.backup, "external": external.prove}


def spec() -> ArgumentSpec:
    engines = ArgumentSpec(
        {"engine": {"type": "str", "choices": list(ENGINES), "default": "pg_dump"}},
        required_if=[("engine", "pgbackrest", ["pgbackrest"]), ("engine", "external", ["external"])],
    )
    return postgresql_spec().merge(
        store_spec(), brake_spec(), slot_spec(), backup.options(), pgbackrest.options(), external.options(), engines
    )


def work(run: Run) -> Result:
    return ENGINES[run.params["engine"]](run)


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
