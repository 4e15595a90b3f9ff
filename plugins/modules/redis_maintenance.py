#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: redis_maintenance
short_description: Reclaim the memory of expired keys of a Redis or Valkey server
version_added: 0.1.0
description:
  - Makes the server drop keys that have expired and still take memory, and give back memory that its allocator holds
    and does not use (C(MEMORY PURGE)), where a measurement says that there is something to gain.
  - No key is deleted or changed by this module. Each is looked at once, in small steps with pauses, and the server
    drops what it finds expired, as it does for every client. The connection can send no command that writes.
  - The plan rests on what the server says of itself (C(expired_stale_perc) and the allocator's numbers of C(INFO)). In
    check mode no key is looked at. When the work begins, the first keys confirm the plan, or it is left.
  - Where it looks at keys it also reports those that never expire and big ones, by prefix.
  - A replica drops nothing by itself, so there only the allocator's memory is given back. The nodes of a cluster are
    targets of their own.
  - Each look at a key counts as a hit in the server's statistics. Memory of fragmented pages comes back by
    C(activedefrag) only.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._redis
  - day2.ops._run
notes:
  - "The user needs C(ACL SETUSER day2 +info +ping +select +scan +ttl +memory|usage +memory|purge ~*)."
  - Dropping a large collection holds everybody up unless C(lazyfree-lazy-expire) is set on the server.
options:
  scope:
    description:
      - With V(all) the keys of every database in which some can expire are looked at, also where no measurement calls
        for it; then each run finds work.
    type: str
    choices: [due, all]
    default: due
  expired_ratio:
    description: The share of expired keys, among those with a time to live, from which on they are reclaimed.
    type: float
    default: 0.1
  expired_min_keys:
    description: Fewer expired keys than this in a database are not reclaimed.
    type: int
    default: 10000
  memory_ratio:
    description: From this share of C(maxmemory) on, expired keys are reclaimed whatever their share is.
    type: float
    default: 0.8
  purge_ratio:
    description: What the allocator holds without using it, in proportion to the data, from which on it is given back.
    type: float
    default: 0.1
  purge_min_bytes:
    description: Fewer bytes than this are not given back.
    type: int
    default: 67108864
  latency:
    description: How many seconds one step through the keys may take. Steps get smaller and pauses longer to keep to it.
    type: float
    default: 0.01
  big_key_bytes:
    description: Keys that take so many bytes or more are counted. With V(0) sizes are not looked at.
    type: int
    default: 1048576
  key_names:
    description: Whether the largest of these keys are named. Their names stand in the report then.
    type: bool
    default: false
  thresholds:
    description:
      - At which values findings become V(warn) and V(crit), as in M(day2.ops.redis_health_info). Kinds that are judged
        here are C(memory), C(fragmentation), C(keys_without_ttl) and C(big_keys).
    type: dict
    default: {}
  brake:
    description: Load at which the work waits. The result says for how long and by what it was held back.
    type: dict
    suboptions:
      latency:
        description: A C(PING) takes so many seconds. Of three the middle one counts. V(0) is off, here as below.
        type: float
        default: 0.1
      replica_lag:
        description: A replica was not heard of for so many seconds.
        type: float
        default: 30
      replica_lag_bytes:
        description: A replica is so many bytes behind.
        type: int
        default: 67108864
      fork:
        description: Whether to wait while a snapshot or a rewrite of the append-only file is under way.
        type: bool
        default: true
      wait:
        description: How many seconds to wait for the load to pass before the rest is left for the next run.
        type: float
        default: 60
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Reclaim what has expired
  day2.ops.redis_maintenance:
    login_host: cache.example.com
    login_user: day2
    login_password: "{{ cache_password }}"

- name: Show what that would be, for a cache in which little may be left lying
  day2.ops.redis_maintenance:
    login_host: cache.example.com
    login_user: day2
    login_password: "{{ cache_password }}"
    expired_ratio: 0.02
    brake: {latency: 0.02}
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
  sample: "40000 keys in 1 databases measured, 20000 with a time to live; due: redis_reclaim_expired db0."
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._redis import maintenance
from ansible_collections.day2.ops.plugins.module_utils._redis.brake import brake_spec
from ansible_collections.day2.ops.plugins.module_utils._redis.connect import connection_spec


def spec() -> ArgumentSpec:
    return connection_spec().merge(maintenance.policy_spec(), brake_spec())


def main() -> None:
    run_module(spec(), maintenance.maintain)


if __name__ == "__main__":
    main()
