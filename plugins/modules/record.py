#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: record
short_description: Put findings of other collections into the run record
version_added: 0.1.0
description:
  - The modules of this collection are recorded by themselves. This one brings in what foreign modules found or did, so
    that it stands in the report beside the rest.
  - It also opens the record of a target, which the role P(day2.ops.run#role) does at the start of a run.
  - Without O(run) or the variable C(ops_run_dir) nothing is written, and the result is returned all the same.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
options:
  checks:
    description: What was found.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description: The kind of check, the same at each run.
        type: str
        required: true
      subject:
        description: What was looked at.
        type: str
        required: true
      status:
        description: The verdict. Without it, it follows from O(checks[].value) and the thresholds.
        type: str
        choices: [ok, warn, crit, unknown]
      value:
        description: The measured value. Without one, and without O(checks[].status), the status is V(unknown).
        type: float
      unit:
        description: The unit of the value.
        type: str
        choices: ['', bytes, seconds, ratio, count]
        default: ''
      warn:
        description: The value at which the status becomes V(warn).
        type: float
      crit:
        description: The value at which the status becomes V(crit).
        type: float
      bad:
        description: On which side of the thresholds trouble lies.
        type: str
        choices: [above, below]
      summary:
        description: One sentence for people.
        type: str
        required: true
      advice:
        description: What to do about it.
        type: str
        default: ''
  actions:
    description: What was done.
    type: list
    elements: dict
    default: []
    suboptions:
      action:
        description: The kind of action.
        type: str
        required: true
      subject:
        description: What it was done to.
        type: str
        required: true
      risk:
        description: The risk class.
        type: str
        choices: [observe, protect, maintain, disrupt]
        default: maintain
      status:
        description: How it ended.
        type: str
        choices: [planned, done, skipped, deferred, failed]
        default: done
      reason:
        description: Why it was due, or why it was left.
        type: str
        required: true
  failure:
    description:
      - What failed in a task that does not record itself, as one sentence. The target then counts as failed.
    type: str
  header:
    description:
      - What the record of this target begins with. Given by the role P(day2.ops.run#role).
    type: dict
    suboptions:
      run_dir:
        description: The folder that holds the records of runs, on the controller.
        type: path
      playbook:
        description: The playbook's name.
        type: str
        default: ''
      policy_prefixes:
        description: The prefixes of the variables that decide, for the policy hash.
        type: list
        elements: str
        default: []
      window:
        description: The maintenance window that is open, if any.
        type: dict
      deadline:
        description: When work must be over.
        type: str
      override_reason:
        description: Why the run works outside its window.
        type: str
      hosts_expected:
        description: The inventory names of all targets of the run.
        type: list
        elements: str
        default: []
      not_included:
        description: Steps that belong to the work but are not part of this run.
        type: list
        elements: dict
        default: []
        suboptions:
          step:
            description: The step.
            type: str
            required: true
          why:
            description: Why it is not included.
            type: str
            required: true
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Keep the result of a foreign module in the record
  day2.ops.record:
    checks:
      - check: queue_depth
        subject: orders
        value: 12
        unit: count
        warn: 50
        crit: 500
        bad: above
        summary: 12 messages wait in the queue orders.
    actions:
      - action: purge_cdn
        subject: www.example.com
        reason: The release changed static files.
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
run:
  description: The id and the folder of the run, when it is recorded.
  returned: when the run is recorded
  type: dict
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.foreign import foreign_actions, foreign_checks
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, run_module
from ansible_collections.day2.ops.plugins.module_utils._core.records import ACTION_STATUSES, CHECK_STATUSES, RISKS


def spec() -> ArgumentSpec:
    number, text = {"type": "float"}, {"type": "str", "required": True}
    check = {
        "check": text,
        "subject": text,
        "status": {"type": "str", "choices": list(CHECK_STATUSES)},
        "value": number,
        "unit": {"type": "str", "choices": ["", "bytes", "seconds", "ratio", "count"], "default": ""},
        "warn": number,
        "crit": number,
        "bad": {"type": "str", "choices": ["above", "below"]},
        "summary": text,
        "advice": {"type": "str", "default": ""},
    }
    action = {
        "action": text,
        "subject": text,
        "risk": {"type": "str", "choices": list(RISKS), "default": "maintain"},
        "status": {"type": "str", "choices": list(ACTION_STATUSES), "default": "done"},
        "reason": text,
    }
    header = {
        "run_dir": {"type": "path"},
        "playbook": {"type": "str", "default": ""},
        "policy_prefixes": {"type": "list", "elements": "str", "default": []},
        "window": {"type": "dict"},
        "deadline": {"type": "str"},
        "override_reason": {"type": "str"},
        "hosts_expected": {"type": "list", "elements": "str", "default": []},
        "not_included": {"type": "list", "elements": "dict", "default": [], "options": {"step": text, "why": text}},
    }
    return ArgumentSpec(
        {
            "checks": {"type": "list", "elements": "dict", "default": [], "options": check},
            "actions": {"type": "list", "elements": "dict", "default": [], "options": action},
            "failure": {"type": "str"},
            "header": {"type": "dict", "options": header},
        }
    )


def work(run: Run) -> Result:
    # changed=false: the foreign task that did the work has reported its change itself.
    found = {"checks": foreign_checks(run.params["checks"]), "actions": foreign_actions(run.params["actions"])}
    about = {"id": run.id, "folder": run.about["folder"]} if run.about.get("folder") else None
    failure = run.params["failure"]
    error = {"kind": "failed", "message": failure} if failure else None
    return {**found, "changed": False, "error": error, "run": about}


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
