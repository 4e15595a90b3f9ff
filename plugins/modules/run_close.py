#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: run_close
short_description: Close the window for a target of a run
version_added: 0.1.0
description:
  - Gives back the lease that M(day2.ops.run_open) took. A lease that is not this run's is left alone.
  - Leaves to the next run what this one has learnt from its own record, in C(v1/history/<target_id>.json) of the store,
    when the run is recorded and has a store; never in check mode. The schema is in C(docs/schemas/history-1.json).
  - What it cannot give back, because the run was killed or the store does not answer, expires by itself.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._run
  - day2.ops._store
options:
  lease:
    description: The RV(day2.ops.run_open#module:lease) that was taken. Empty means that there is nothing to give back.
    type: dict
    default: {}
  learnt:
    description:
      - What is not in the record and worth knowing next time, as RV(day2.ops.postgresql_maintenance#module:learnt)
        is.
    type: dict
    default: {}
notes:
  - Needs C(s3:GetObject) and C(s3:DeleteObject) on C(v1/leases/*), and C(s3:GetObject) and C(s3:PutObject) on
    C(v1/history/*) below the prefix, where the store is a bucket.
seealso:
  - module: day2.ops.run_open
  - plugin: day2.ops.run_history
    plugin_type: lookup
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Give the lease back
  day2.ops.run_close:
    store: s3://ops-store/day2
    lease: "{{ opened.lease | default({}, true) }}"
    learnt: "{{ maintained.learnt | default({}) }}"
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

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, run_module
from ansible_collections.day2.ops.plugins.module_utils._run.claim import close_target
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec


def spec() -> ArgumentSpec:
    given = {"type": "dict", "default": {}}
    return ArgumentSpec({"lease": given, "learnt": given}).merge(store_spec())


def work(run: Run) -> Result:
    return close_target(run)


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
