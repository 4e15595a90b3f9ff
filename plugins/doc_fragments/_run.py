# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: what every module shares."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  run:
    description:
      - What the surrounding run tells the module.
      - The action plugin of the collection fills in what a task leaves out, so there is rarely a reason to set it.
    type: dict
    default: {}
    suboptions:
      id:
        description: The run's id. It is part of C(application_name), so that the server's own views tell who works.
        type: str
      target:
        description: The stable name of the target in stores and reports.
        type: str
      host:
        description: The target's name in the inventory.
        type: str
      step:
        description: The step of the bracket in which the task runs; V(plan) for the rehearsal.
        type: str
      playbook:
        description: The playbook's name.
        type: str
      deadline:
        description:
          - When work must be over, as UTC ISO 8601, for example V(2026-12-06T05:55:00Z).
          - Work that would not fit is not begun; work that is running then is cancelled. Without it time is unlimited.
        type: str
      folder:
        description: The folder of the run's record on the controller.
        type: path
      live:
        description: The folder through which controller and module know of each other.
        type: path
      controller_pid:
        description: The process id of the controller on its own host.
        type: int
      plan:
        description:
          - The approved plan of the task, as the action plugin reads it from the folder C(ops_plan_in).
          - Only what it lists as planned is done. Without it, all that is due.
        type: dict
        suboptions:
          name:
            description: The name of the plan's file, without its folder and ending.
            type: str
          id:
            description: The hash of the plan's file; none when nothing of this task was approved.
            type: str
          planned:
            description: When the plan was made, as UTC ISO 8601.
            type: str
          actions:
            description: What the plan lists, with what was predicted.
            type: list
            elements: dict
            default: []
"""
