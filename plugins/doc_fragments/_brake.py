# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the load at which a module that puts load on a server holds back."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  brake:
    description:
      - Load at which nothing new is begun. At twice the given sessions, lag, seconds and retained WAL, running work is
        cancelled. The result says for how long and by what an action was held back.
      - Work in batches slows down from half of a limit on, and so does vacuum from one table to the next. Rebuilds,
        dumps and restores are not begun, or are cancelled.
      - What cannot be read holds work back as well. A missing grant is told before anything begins.
    type: dict
    suboptions:
      blocked_sessions:
        description: So many sessions wait for locks. V(0) switches it off, here as in the other limits.
        type: int
        default: 20
      replica_lag:
        description: A replica or subscriber is so many seconds behind, or has not moved for as long.
        type: float
        default: 60
      replica_lag_bytes:
        description: A replica or subscriber is so many bytes behind.
        type: int
        default: 1073741824
      replica_gone:
        description: A replica or subscriber that was there when the work began is gone for so many seconds.
        type: float
        default: 15
      slot_retained_bytes:
        description: A replication slot keeps so many bytes of WAL. Not looked at unless given.
        type: int
      latency:
        description: >-
          A small query, once a second on a connection of its own, takes so many seconds. The middle one of three
          counts. Not looked at unless given.
        type: float
      latency_query:
        description: The query whose time is taken, instead of one of ours that reads a single row of the catalogue.
        type: str
      disk_free_bytes:
        description: >-
          At least so much of the disk must be free, which the server cannot tell: give one of
          O(brake.disk_capacity_bytes), O(brake.disk_available_bytes) and O(brake.disk_free_query). Work that runs is
          cancelled at this limit, too.
        type: int
      disk_capacity_bytes:
        description: The size of the server's disk. What its databases and its WAL do not take is free.
        type: int
      disk_available_bytes:
        description: >-
          What is free on the server's disk now, as C(size_available) in the facts of that host. What databases and
          WAL take from here on is subtracted.
        type: int
      disk_free_query:
        description: >-
          A query to O(brake.prometheus) that comes to one number, the free bytes of the server's disk, such as
          C(min(node_filesystem_avail_bytes{instance="db1:9100",mountpoint="/var/lib/postgresql"})).
        type: str
      prometheus:
        description: The Prometheus that answers O(brake.disk_free_query), or what speaks its API.
        type: dict
        suboptions:
          url:
            description: Its address, up to where C(/api/v1) begins.
            type: str
            required: true
          ca_cert:
            description: The file with the CA of its certificate. Default is what the system trusts.
            type: path
          token:
            description: A bearer token. Like a password it is sent over https, or within this host, only.
            type: str
          username:
            description: A user, for basic authentication. Needs O(brake.prometheus.password).
            type: str
          password:
            description: The user's password.
            type: str
          timeout:
            description: Seconds in which an answer must be there.
            type: float
            default: 5
      wait:
        description: How many seconds to wait for the load to pass before an action is left for the next run.
        type: float
        default: 60
      required:
        description: >-
          Whether waiting sessions, replicas and stop orders that cannot be read hold work back. What another option
          asks for always does.
        type: bool
        default: true
"""
