# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the options of window decisions, for the module and the lookup alike."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  windows:
    description:
      - The maintenance windows, as dictionaries. Each belongs to one environment and lists the risk classes it is for.
      - C(name), C(environment) and C(risk) (a list of V(maintain) and V(disrupt)) are always needed.
      - A repeated window has C(rrule) (a rule of RFC 5545 that names days), C(start) (a time of day) and C(duration)
        (for example V(4h)); C(first_day) where the rule counts (C(INTERVAL), C(COUNT)) or does not say its day itself.
      - A single window has C(start) and C(end). An environment that needs none has C(always=true).
      - C(timezone) is V(UTC) unless given. Start and duration are wall clock there, also when the clocks change.
      - C(notice) (for example V(7d)) is how long before the opening a notice is due.
      - Windows that touch or overlap are one window.
    type: list
    elements: dict
    default: []
  freezes:
    description:
      - Times in which nothing that maintains or disrupts may happen, whatever the windows say, as dictionaries.
      - C(name), C(start), C(end) and C(reason) are needed; C(environment) and C(risk) narrow a freeze down.
      - A date without a time is the whole day, so as C(end) it is included. C(timezone) is V(UTC) unless given.
    type: list
    elements: dict
    default: []
  environment_name:
    description: The environment to which the target belongs. Needed as soon as there are windows.
    type: str
  override_reason:
    description:
      - Why work may be done outside its windows, or in a freeze. A text that is not empty is the permission.
      - It is recorded, and shown in every report of the run.
    type: str
  override_duration:
    description: How many seconds from now O(override_reason) gives at least.
    type: int
    default: 7200
  close_reserve:
    description:
      - How many seconds before the window's end work must be over, so that what the run opened can be closed inside it.
    type: int
    default: 300
  at:
    description: The time to decide for, as ISO 8601 with a zone. Without it, the present.
    type: str
requirements:
  - python-dateutil
"""
