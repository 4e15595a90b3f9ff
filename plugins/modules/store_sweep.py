#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: store_sweep
short_description: Remove what killed runs left in the store
version_added: 0.1.0
description:
  - A run that is killed cannot tidy up behind itself. This module removes what stays in the store then.
  - Leases that have expired, or whose process on this host is gone. A lease that is taken up again meanwhile stays.
  - Multipart uploads in a bucket, and temporary files in a folder, that are older than O(older_than_seconds). They cost
    money and are in nobody's listing. Those of a target with a live lease stay, whatever their age.
  - Objects that were written whole are never touched.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._store
  - day2.ops._run
options:
  store:
    description:
      - The store to sweep, as V(s3://bucket/prefix) or V(/absolute/path).
    type: str
    required: true
  target_id:
    description: Sweep only what belongs to this target. Without it, the whole store.
    type: str
  older_than_seconds:
    description: The age in seconds from which an unfinished upload or file counts as left behind.
    type: int
    default: 86400
notes:
  - "Minimum IAM grants on the bucket: C(s3:ListBucket), C(s3:ListBucketMultipartUploads); on its objects:
    C(s3:GetObject), C(s3:DeleteObject), C(s3:AbortMultipartUpload). Whoever writes to the store also needs
    C(s3:PutObject)."
  - In check mode only the listing and reading grants are used.
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Remove what killed runs left in the store
  day2.ops.store_sweep:
    store: s3://my-bucket/day2
    region: eu-central-1

- name: Remove what killed runs of one target left, uploads from two hours on
  day2.ops.store_sweep:
    store: /var/lib/day2
    target_id: orders-db
    older_than_seconds: 7200
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

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, run_module
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._store import sweep
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store, store_spec


def spec() -> ArgumentSpec:
    shared = store_spec()
    shared.argument_spec["store"]["required"] = True
    return shared.update(target_id={"type": "str"}, older_than_seconds={"type": "int", "default": 86400})


def work(run: Run) -> Result:
    target, older_than = run.params["target_id"] or None, run.params["older_than_seconds"]
    if older_than < 0:
        raise BadInput("older_than_seconds: an age cannot be negative; give seconds, for example 86400.")
    store = open_store(run.params, read_only=run.check_mode, deadline=run.deadline)
    found = sweep.find(store, target, clock.now())
    steps = sweep.plan(found, older_than)
    actions = [step.action for step in steps]
    settle(run, actions)
    if run.check_mode or not any(action["status"] == "planned" for action in actions):
        return {"checks": [sweep.check(found, steps)], "actions": actions}
    try:
        sweep.act(store, steps, run)
    except OpsError as error:
        error.result.setdefault("actions", actions)
        raise
    left = sweep.find(store, target, clock.now())
    return {"checks": [sweep.check(left, sweep.plan(left, older_than))], "actions": actions}


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
