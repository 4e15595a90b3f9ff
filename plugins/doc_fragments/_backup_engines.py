# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: backups of a whole server, made by pgBackRest or by whatever the estate has."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  pgbackrest:
    description: How to call pgBackRest on this host, and how old its backups may become.
    type: dict
    suboptions:
      program:
        description: The program.
        type: str
        default: pgbackrest
      config:
        description: Its configuration. Without it, pgBackRest's own default.
        type: path
      stanza:
        description: The stanza of the server.
        type: str
        required: true
      repo:
        description: The number of the repository.
        type: int
        default: 1
      user:
        description: The user to run it as, where the module is root. Root itself is refused.
        type: str
      full_max_age:
        description: A full backup is due when the newest one is older than so many seconds.
        type: float
        default: 604800
      diff_max_age:
        description:
          - A differential backup is due when the newest one, or full one, is older than so many seconds.
          - Without it there are none. An incremental backup is due by O(max_age).
        type: float
      max_wal_age:
        description: WAL that is not in the archive may be no older than so many seconds.
        type: float
        default: 900
  external:
    description: What makes the backups, and where that can be seen.
    type: dict
    suboptions:
      source:
        description: V(rds) asks AWS, V(pgbackrest) and V(barman) ask these programs on this host.
        type: str
        choices: [barman, pgbackrest, rds]
        required: true
      instance:
        description: The RDS instance.
        type: str
      cluster:
        description: The RDS cluster, for Aurora and clusters of several zones.
        type: str
      server:
        description: The server's name in Barman.
        type: str
      program:
        description: The program, where it is not on the path.
        type: str
      config:
        description: Its configuration. Without it, the program's own default.
        type: path
      stanza:
        description: The stanza of pgBackRest.
        type: str
      repo:
        description: The number of pgBackRest's repository.
        type: int
        default: 1
      user:
        description: The user to run the program as, where the module is root.
        type: str
      region:
        description: The AWS region.
        type: str
      endpoint_url:
        description: The URL of the RDS service, where it is not AWS's own.
        type: str
      access_key:
        description: The AWS access key. Without it, what boto3 finds.
        type: str
      secret_key:
        description: The secret key that belongs to it.
        type: str
      session_token:
        description: The session token of temporary credentials.
        type: str
      profile:
        description: A profile of the AWS configuration.
        type: str
      aws_ca_bundle:
        description: A PEM file with the certificate authorities that vouch for the endpoint.
        type: path
      full_max_age:
        description: The newest full backup, or snapshot, may be no older than so many seconds.
        type: float
        default: 604800
      max_wal_age:
        description: WAL that is not saved may be no older than so many seconds.
        type: float
        default: 900
"""
