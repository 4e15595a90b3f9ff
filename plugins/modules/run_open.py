#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: run_open
short_description: Open the window for a target of a run, or say why not
version_added: 0.1.0
description:
  - Decides whether the run may start work on the target now. The rehearsal in the run record must have found something
    due, no stop may be set in the store, the maintenance window must be open, fewer targets than O(max_failed) may have
    failed in this run, and no other run may hold the target.
  - If so, it takes the lease of the target in the store. A lease expires after ten minutes unless it is renewed, which
    the collection's action plugin does while the run works. A lease whose process is gone, on the same host, is taken
    over at once.
  - Made for the role P(day2.ops.run#role); it needs the record of a run.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._run
  - day2.ops._store
  - day2.ops._window
options:
  risk:
    description: The risk class of the work.
    type: str
    choices: [observe, protect, maintain, disrupt]
    default: maintain
  max_failed:
    description: After this many failed targets in this run, no further one is begun.
    type: int
    default: 1
  lease:
    description:
      - Whether to claim the target in the store. Without it, the locks in the database alone keep runs apart.
    type: bool
    default: false
notes:
  - Needs C(s3:GetObject), C(s3:PutObject) and C(s3:DeleteObject) on C(v1/leases/*), and C(s3:GetObject) on C(v1/stop/*)
    below the store's prefix, where the store is a bucket.
seealso:
  - module: day2.ops.run_close
  - module: day2.ops.maintenance_window_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Open the window for this target, if anything is due
  day2.ops.run_open:
    environment_name: production
    windows:
      - name: monthly
        environment: production
        risk: [maintain, disrupt]
        rrule: FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1
        start: "02:00"
        duration: 4h
    store: s3://ops-store/day2
    lease: true
  register: opened
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
due:
  description: Whether there is work for this target.
  returned: success
  type: bool
planned:
  description: The number of actions that the rehearsal would carry out.
  returned: success
  type: int
deferred:
  description: The number of actions that the rehearsal leaves to another run.
  returned: success
  type: int
deadline:
  description: When work must be over, as UTC ISO 8601; null without a limit.
  returned: success
  type: str
lease:
  description: The claim, as the action plugin needs it to renew it; null when none was taken.
  returned: success
  type: dict
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, run_module
from ansible_collections.day2.ops.plugins.module_utils._core.records import RISKS
from ansible_collections.day2.ops.plugins.module_utils._run.claim import open_target
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec
from ansible_collections.day2.ops.plugins.module_utils._window import options as window


def spec() -> ArgumentSpec:
    own = {
        "risk": {"type": "str", "choices": list(RISKS), "default": "maintain"},
        "max_failed": {"type": "int", "default": 1},
        "lease": {"type": "bool", "default": False},
    }
    return ArgumentSpec(own, required_if=[("lease", True, ("store",))]).merge(store_spec(), window.spec())


def work(run: Run) -> Result:
    return open_target(run)


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
