#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: redis_health_info
short_description: Judge the health of a Redis or Valkey server
version_added: 0.1.0
description:
  - Judges memory, fragmentation, hit rate, evictions, keys that never expire and big ones, connections, waiting and
    rejected clients, latency, forks, replication and persistence.
  - Most of it comes from one C(INFO). Only commands that read can be sent, and no key's value is ever read.
  - Where keys are looked at, that is done in small steps with pauses. Like any client's look it makes a primary drop
    what has expired, and it counts as a hit in the server's statistics.
  - Rates are those since the server's start. The nodes of a cluster are targets of their own.
  - A server that cannot be reached is a finding (C(redis_ready), V(crit)), not a failure.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
  - day2.ops._redis
notes:
  - "The user needs C(+info); with O(sample_keys) also C(+select), C(+scan), C(+ttl) and C(~*), with O(big_key_bytes)
    C(+memory|usage), with O(slowlog) C(+slowlog|len). For example C(ACL SETUSER day2 on >password +info)."
options:
  thresholds:
    description:
      - At which values findings become V(warn) and V(crit). A dictionary of kinds, each with C(warn) and C(crit); what
        is left out has its default, null turns a threshold off.
      - C(memory) (0.8 and 0.95) is the share of C(maxmemory). It is not judged where a full server just evicts.
      - C(fragmentation) (1.5 and 3.0) is the memory of the process in proportion to that of its data.
      - C(hit_rate) (0.8 and 0.5) is the share of lookups that found their key.
      - C(keys_without_ttl) (0.5 and 0.9) is the share of keys that never expire. C(crit) counts under a C(volatile)
        policy only, where such keys can fill the memory and cannot be evicted.
      - C(evictions) (0.05 and 0.25) is the number of evicted keys in proportion to lookups.
      - C(connections) (0.8 and 0.95) is the share of C(maxclients).
      - C(lag) (30 and 120) is the seconds since primary and replica last heard of each other.
      - C(save_age) (null and null) is the seconds since the last snapshot.
      - C(blocked_clients) (null and null) is how many clients wait for data.
      - C(rejected_connections) (0.001 and 0.05) is the share of connections that were turned away.
      - C(fork) (0.5 and 2.0) is the seconds that the last fork took.
      - C(latency) (0.05 and 0.5) is the seconds of the slowest of a few small questions, network included.
      - C(slow_commands) (1 and null) is the length of the slow log.
      - C(big_keys) (1 and null) is how many keys have O(big_key_bytes) or more.
    type: dict
    default: {}
  expected_replicas:
    description: How many replicas a primary should have. Fewer are V(crit).
    type: int
  sample_keys:
    description:
      - How many keys of each database to look at, to say which prefixes (the part of a name before its first colon) are
        written without a time to live. V(0) looks at none.
      - The prefixes stand in the report, so leave it at V(0) where names of keys hold what nobody should read.
    type: int
    default: 0
  sample_seconds:
    description: How many seconds the sample of one database may take.
    type: int
    default: 2
  big_key_bytes:
    description: Among the keys that O(sample_keys) looks at, count those that take so many bytes or more. Needs it.
    type: int
  key_names:
    description: Whether the largest of these keys are named. Their names stand in the report then.
    type: bool
    default: false
  slowlog:
    description: Whether to count the commands in the server's slow log.
    type: bool
    default: false
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Judge the cache
  day2.ops.redis_health_info:
    login_host: cache.example.com
    login_user: day2
    login_password: "{{ cache_password }}"

- name: Judge a queue, which is small, never expires anything, and must have a replica
  day2.ops.redis_health_info:
    login_host: queue.example.com
    login_user: day2
    login_password: "{{ queue_password }}"
    expected_replicas: 1
    thresholds:
      memory: {warn: 0.5, crit: 0.8}
      keys_without_ttl: {warn: null, crit: null}
      save_age: {warn: 7200, crit: 86400}

- name: Find out which keys are written without a time to live, and which are big
  day2.ops.redis_health_info:
    sample_keys: 1000000
    sample_seconds: 60
    big_key_bytes: 1048576
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
from ansible_collections.day2.ops.plugins.module_utils._redis.health import health_spec, work


def main() -> None:
    run_module(health_spec(), work)


if __name__ == "__main__":
    main()
