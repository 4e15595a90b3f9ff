#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_retention
short_description: Archive and delete the rows that policies let go
version_added: 0.1.0
description:
  - Copies the rows that are due into the store, waits until each copy is safe there, and only then deletes exactly the
    row versions that were copied, in short transactions. Rows that somebody changed or locked meanwhile stay and are
    listed.
  - No transaction is open while bytes travel, and nobody waits for the work longer than O(lock_timeout).
  - Each transaction that deletes writes a row into table C(day2.retention_ledger) of the same database, which says what
    is gone and where its copy is. A run that was killed, or that lost the server's answer, is understood from it.
  - Rows that other rows reference stay as long as those are there, where the foreign key does not let them go along.
    Tables that reference others go first, and within a table the rows that reference others.
  - A policy that has never run on a target, or that was changed, is refused without an approved plan.
  - M(day2.ops.postgresql_retention_restore) puts archived rows back.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._brake
  - day2.ops._postgresql
  - day2.ops._run
  - day2.ops._slots
  - day2.ops._store
options:
  policies:
    description: The rules, each for one table.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name of its own, up to 41 of a-z, 0-9, C(_) and C(-). Archives are kept under it.
        type: str
        required: true
      table:
        description: The table, as V(table) or V(schema.table), in double quotes if need be.
        type: str
        required: true
      column:
        description:
          - With O(policies[].older_than) the time of a row. With O(policies[].keep_last) what says which rows of a
            group are the last; ties are decided by the key.
        type: str
      older_than:
        description:
          - How old rows are when they go, such as V(12h), V(90d), V(6w), V(3mo) or V(1y). From days on it is counted
            from the beginning of the server's day in UTC.
        type: str
      keep_last:
        description: How many rows of each group stay.
        type: int
      per:
        description: The columns that make up a group.
        type: list
        elements: str
        default: []
      where:
        description: An SQL condition that rows have to meet as well, with the table as C(t).
        type: str
      protect:
        description: An SQL query of keys, or of groups, whose rows stay.
        type: str
      legal_hold:
        description: An SQL condition; rows for which it is true stay and are counted.
        type: str
      archive:
        description:
          - V(age) encrypts to O(recipients), V(plain) is readable by everybody who reaches the store, and V(none),
            which needs O(policies[].erase), keeps no copy. There is no default.
        type: str
      erase:
        description: Delete without a copy.
        type: bool
        default: false
      archive_delete_after:
        description:
          - How long archives stand before they are removed, as in O(policies[].older_than). A new value needs an
            approved plan, as any change of a policy does.
        type: str
      archive_format:
        description:
          - How C(COPY) writes the rows into archives. V(text) is readable by people and by any server, also of another
            major version or brand.
          - V(binary) keeps values byte for byte. It takes more time for each row, and its archives are smaller only for
            rows that are mostly floating-point numbers or C(bytea), else larger. Columns that would not come back into
            another database are refused, such as C(regclass) and arrays of types that somebody created.
        type: str
        choices: [text, binary]
        default: text
      min_age:
        description: A cut-off younger than this is refused unless accepted.
        type: str
        default: 7d
      max_fraction:
        description: A larger share of the table than this is refused unless accepted.
        type: float
        default: 0.2
      max_rows:
        description: More rows than this are refused unless accepted.
        type: int
      partitions:
        description:
          - Whether partitions whose rows are all due are detached without a lock that holds up others, archived and
            dropped as a whole. The user has to own the table then, and nothing else, such as a view, may depend on such
            a partition.
          - Triggers and subscribers do not hear of a dropped partition. Where O(policies[].accept) says that they are
            to, its rows are deleted instead.
        type: bool
        default: false
      accept:
        description:
          - What is accepted by name, of C(unindexed_reference), C(cascade), C(set_null), C(triggers), C(rules),
            C(row_security), C(protect_row_security), C(publication), C(naive_timestamp), C(min_age), C(max_fraction)
            and C(max_rows).
        type: list
        elements: str
        default: []
  recipients:
    description: Public keys of age, V(age1...) or SSH keys. Any one of their owners can restore.
    type: list
    elements: str
    default: []
  adopt:
    description:
      - Which side is right where the store has archives whose deletion the ledger does not know, because the database
        is a clone, was restored to an earlier time or lost commits in a failover. Without it such a run is refused.
      - V(database) leaves the rows that are in the database again where they are, and marks the archives as void.
      - V(store) deletes those rows again that are the same as the archived ones and still due, in batches. Others stay.
        Nothing else of such a policy is done in that run. The user needs C(TEMPORARY) on the database for it.
    type: str
    choices: [database, store]
  identity_file:
    description: The file with a secret key, as C(age-keygen) wrote it, for O(adopt=store) with encrypted archives.
    type: path
  batch_rows:
    description: How many rows one transaction deletes at most.
    type: int
    default: 10000
  batch_seconds:
    description: How many seconds one transaction should take at most. Batches grow and shrink by it.
    type: float
    default: 0.1
  chunk_bytes:
    description: How many bytes of rows go into one archive at most, from 16 MiB to 256 MiB.
    type: int
    default: 67108864
  lock_timeout:
    description: How many seconds anybody waits for a lock because of the work, and it for a lock of others.
    type: float
    default: 2
  history:
    description:
      - What earlier runs have left in the store, as the lookup P(day2.ops.run_history#lookup) returns it. It brings how
        fast rows went here, so that predicted seconds are those of this server.
    type: dict
    default: {}
requirements:
  - zstandard
  - pyrage, for encryption
notes:
  - The user needs C(pg_monitor), C(SELECT) and C(DELETE) on the tables, and C(SELECT) and C(INSERT) on the ledger,
    which the SQL in C(docs/grants/postgresql.md) makes. A missing grant is found before anything is touched.
  - With C(SELECT) on the tables that reference those of the policies as well, it is known which rows are referenced.
    Without it the server refuses to delete such rows; they stay together with up to 500 neighbours, and the rest of the
    work is deferred with the name of the table.
  - Row-level security must not hide rows that O(policies[].where), O(policies[].protect) or O(policies[].legal_hold)
    read, which is found before anything is touched; what functions read is not seen. Where the server's policies show
    the user all of these rows, C(protect_row_security) in O(policies[].accept) says so.
  - Needs C(s3:PutObject), C(s3:GetObject), C(s3:ListBucket), C(s3:AbortMultipartUpload) and, for removals,
    C(s3:DeleteObject) on C(v1/archives/*) below the prefix, where the store is a bucket.
seealso:
  - module: day2.ops.postgresql_retention_restore
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Let audit events go after 90 days, and keep the last ten versions of each workflow
  day2.ops.postgresql_retention:
    login_host: db1.example.com
    login_user: day2_retention
    login_password: "{{ vault_day2_retention }}"
    login_db: shop
    store: s3://ops-store/day2
    recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
    policies:
      - name: audit
        table: audit_events
        column: created_at
        older_than: 90d
        archive: age
      - name: versions
        table: workflow_versions
        column: created_at
        keep_last: 10
        per: [workflow_id]
        archive: age
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
  sample: "120 000 of about 700 000 rows are due in 1 table."
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import brake_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import slot_spec
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._retention import retention
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec


def spec() -> ArgumentSpec:
    return postgresql_spec().merge(store_spec(), brake_spec(), slot_spec(), retention.options())


def main() -> None:
    run_module(spec(), retention.retain)


if __name__ == "__main__":
    main()
