#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_backup_verify
short_description: Prove a backup set by restoring it elsewhere
version_added: 0.1.0
description:
  - Fetches a set that M(day2.ops.postgresql_backup) took, restores it into a database that nobody else gets into, and
    compares rows of every table, definitions, owners, grants, extensions, sequences and large objects with what was
    backed up. Then it asks what O(assertions) ask. What was made for it is gone afterwards.
  - Without O(verify_host) it starts a server of the right version by itself, which listens on a socket for this module
    only, and as root on Linux has no network. The source is not touched.
  - Subscriptions, user mappings, event triggers, the jobs of pg_cron, and materialized views that read from other
    servers are left out, so that the restored database reaches nobody.
  - The verdict is kept in the store. A set that is truncated, changed, empty, or not what its manifest says is refuted,
    fails the module, and does not count any more. What else goes wrong, such as a full disk or a store that does not
    answer, fails the module and says nothing about the set.
  - Measures how long the way back takes (RTO) and how old the data is then (RPO).
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._brake
  - day2.ops._run
  - day2.ops._store
options:
  set:
    description: The id of a set. Without it, the newest one that may be relied on.
    type: str
  identity_file:
    description:
      - The file with the secret key, from age-keygen or an SSH key. Without it an encrypted set is skipped, which is
        C(unknown), never good.
    type: path
  max_age:
    description: A verification is due when the last one that succeeded is older than so many seconds.
    type: float
    default: 604800
  force:
    description: Verify whatever the age of the last verification.
    type: bool
    default: false
  bin_dir:
    description:
      - The folder with PostgreSQL's programs, those of the server (initdb, postgres) included unless O(verify_host) is
        given. Without it, where distributions keep those of the set's version.
    type: path
  scratch_dir:
    description:
      - A folder with room for the set, uncompressed, and for the restored database. Without it the system's folder for
        temporary files. When the module runs as root, O(scratch_user) must be able to reach it.
    type: path
  scratch_user:
    description:
      - The system user that runs the server when the module runs as root. Without it V(postgres), else V(nobody).
    type: str
  jobs:
    description: How many tables are restored at a time.
    type: int
    default: 2
  verify_host:
    description:
      - Another server on which to restore, in a database of its own that is dropped afterwards, or a day later by the
        next run if this one is killed. Owners and grants are not restored there.
      - The user needs C(CREATEDB).
    type: dict
    suboptions:
      login_host:
        description: The host of the server. Without it, the socket in O(verify_host.login_unix_socket) or libpq's own.
        type: str
        default: ''
      login_port:
        description: The port of the server.
        type: int
        default: 5432
        aliases: [port]
      login_unix_socket:
        description: The folder with the server's socket.
        type: str
        default: ''
      login_user:
        description: The user.
        type: str
        default: postgres
      login_password:
        description: The password of the user.
        type: str
        default: ''
      login_db:
        description: A database from which to make another.
        type: str
        default: postgres
        aliases: [db]
      ssl_mode:
        description: How far the connection is protected; V(verify-full) unless it is local.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      ca_cert:
        description: The file with the authorities that may have signed the server's certificate.
        type: path
        aliases: [ssl_rootcert]
      ssl_cert:
        description: The file with the client's certificate.
        type: path
      ssl_key:
        description: The file with the client's private key.
        type: path
      connect_timeout:
        description: How many seconds connecting may take, for each address of the host.
        type: int
        default: 10
  verify_on_source:
    description:
      - Whether O(verify_host) may be the server that the set comes from. Only for databases below 10 GiB, with three
        times as much disk free (O(brake.disk_capacity_bytes)), and only while O(brake) lets it.
    type: bool
    default: false
  assertions:
    description: Questions that only the right data answers with true.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the question is about.
        type: str
        required: true
      query:
        description: A query that returns one row with one value, true. It can only read.
        type: str
        required: true
  assume_actions:
    description:
      - Actions that an earlier step has planned. A backup that is going to be taken counts as the newest set, so that a
        rehearsal shows what the run will do. Only in check mode.
    type: list
    elements: dict
    default: []
  rto:
    description: Seconds that the way back may take. More is a finding.
    type: float
  rpo:
    description: Seconds that the restored data may be old. More is a finding.
    type: float
requirements:
  - the server programs of the set's version, unless O(verify_host) is given
  - psycopg2 >= 2.9 (the package psycopg2-binary)
  - zstandard
  - pyrage, for encrypted sets
notes:
  - Needs C(s3:GetObject) and C(s3:ListBucket), and C(s3:PutObject) on C(v1/verifications/*) below the prefix, where the
    store is a bucket.
seealso:
  - module: day2.ops.postgresql_backup
  - module: day2.ops.postgresql_backup_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Prove the newest set once a week, on a server made for it
  day2.ops.postgresql_backup_verify:
    store: s3://ops-store/day2
    identity_file: /etc/day2/backup.key
    scratch_dir: /var/tmp
    rto: 3600
    rpo: 86400
    assertions:
      - name: there are orders of the last two days
        query: SELECT max(created_at) > now() - interval '2 days' FROM orders

- name: Prove one set on another server
  day2.ops.postgresql_backup_verify:
    store: s3://ops-store/day2
    identity_file: /etc/day2/backup.key
    set: 20261206T020000Z-1a2b
    verify_host:
      login_host: staging-db.example.com
      login_user: day2_verify
      login_password: "{{ vault_day2_verify }}"
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
  sample: "Nothing is due: set 20261206T020000Z-1a2b was verified 2.1 h ago (max_age 168.0 h)."
set:
  description: The id of the set; null when none was due.
  returned: always
  type: str
  sample: 20261206T020000Z-1a2b
verified:
  description: The verdict; null when there is none.
  returned: always
  type: bool
remarks:
  description: What pg_restore complained about although it does not matter.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.day2.ops.plugins.module_utils._backup import verify
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import brake_spec
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec


def spec() -> ArgumentSpec:
    return store_spec().merge(brake_spec(), verify.options())


def main() -> None:
    run_module(spec(), verify.verify)


if __name__ == "__main__":
    main()
