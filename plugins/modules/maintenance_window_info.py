#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_window_info
short_description: Say whether a maintenance window is open, until when, and when the next one opens
version_added: 0.1.0
description:
  - Decides for one environment and one risk class, from windows, freezes and an override, at the present time.
    Schedulers start missed jobs late, so a change asks here, in the play, before it begins.
  - V(observe) and V(protect) (backups, archive copies) are always open. Freezes beat windows; O(override_reason) beats
    both.
  - A closed window is a result, not a failure. A mistake in a definition is a failure, named with its element.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
  - day2.ops._window
options:
  risk:
    description:
      - The risk class of the work. V(maintain) is online vacuum, reindex and batched deletes; V(disrupt) is swaps,
        restarts and releases.
    type: str
    choices: [observe, protect, maintain, disrupt]
    default: maintain
seealso:
  - plugin: day2.ops.maintenance_window
    plugin_type: lookup
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Ask whether maintenance may begin
  day2.ops.maintenance_window_info:
    environment_name: production
    windows:
      - name: monthly maintenance
        environment: production
        risk: [maintain]
        rrule: FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1
        start: "02:00"
        duration: 2h
        notice: 7d
    freezes:
      - name: year end
        start: "2026-12-20"
        end: "2027-01-03"
        reason: the busiest weeks of the year
  register: window

- name: Stop here when it may not
  ansible.builtin.assert:
    that: window.open
    fail_msg: "{{ window.reason }}"

- name: Check a policy for the night of a release
  day2.ops.maintenance_window_info:
    environment_name: staging
    windows:
      - name: release 42
        environment: staging
        risk: [disrupt]
        start: "2026-12-10T22:00"
        end: "2026-12-11T02:00"
        timezone: Europe/Berlin
    risk: disrupt
    at: "2026-12-10T21:30:00Z"
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
open:
  description: Whether work of this class may begin now.
  returned: success
  type: bool
reason:
  description: Why, as one sentence.
  returned: success
  type: str
  sample: The window production monthly maintenance is open for maintain in production until 2026-12-07T04:00:00Z.
environment:
  description: The environment that was asked for.
  returned: success
  type: str
risk:
  description: The risk class that was asked for.
  returned: success
  type: str
window:
  description:
    - The window that is open now, with C(name), C(environment), C(risk), C(opens) and C(closes); null when none is.
    - An end that never comes is null. A freeze that follows is the end of a window.
  returned: success
  type: dict
deadline:
  description:
    - When the work must be over, as UTC ISO 8601. Null when it may not begin, or when time is unlimited.
  returned: success
  type: str
  sample: "2026-12-07T03:55:00Z"
longest:
  description:
    - How many seconds of work the longest of these windows has room for, that of an override included, without what is
      kept for closing. Null when there is no window, and when one never closes.
  returned: success
  type: int
  sample: 13500
next:
  description:
    - The next window, with C(name), C(opens), C(closes) and C(announce_by) (when its notice is due, null without one).
    - Null when none opens within 400 days.
  returned: success
  type: dict
override_reason:
  description: The reason given, null without one.
  returned: success
  type: str
frozen_by:
  description: The name of the freeze that is on, null without one.
  returned: success
  type: str
"""

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, run_module
from ansible_collections.day2.ops.plugins.module_utils._core.records import RISKS
from ansible_collections.day2.ops.plugins.module_utils._window import options
from ansible_collections.day2.ops.plugins.module_utils._window.checks import window_check


def spec() -> ArgumentSpec:
    return options.spec().update(risk={"type": "str", "choices": list(RISKS), "default": "maintain"})


def work(run: Run) -> Result:
    now = options.moment(run.params)
    decision = options.decision(run.params, run.params["risk"], now)
    return {"checks": [window_check(decision, now)], "actions": [], **decision}


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
