#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: alertmanager_info
short_description: Judge the alerts that fire in an Alertmanager
version_added: 0.1.0
description:
  - Counts the alerts that fire, those silenced and inhibited apart, and judges them by their severity.
  - One check C(alertmanager_alerts) for each severity, or for each value of another label (O(by)), beside
    C(alertmanager_reachable), C(alertmanager_cluster), and with O(watchdog) C(alertmanager_watchdog).
  - An Alertmanager that cannot be reached is V(crit), as nobody is called then. A finding is a result, not a failure.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
  - day2.ops._service
options:
  filter:
    description: Matchers, as Alertmanager writes them, such as V(cluster="eu") or V(team=~"shop|pay"). All of them
      must fit. The watchdog is looked for without them.
    type: list
    elements: str
    default: []
  by:
    description: The label whose values become a check each.
    type: str
    default: severity
  severities:
    description: What alerts of a C(severity) mean, as V(ok), V(warn), V(crit) or V(unknown). C(critical) is V(crit),
      C(warning) is V(warn), C(info) and C(none) are V(ok), unless given here. Any other one, and none at all, is
      V(warn).
    type: dict
    default: {}
  watchdog:
    description: The name of an alert that must always fire, a dead man's switch. It shows that alerts arrive, silenced
      or not.
    type: str
  expected_peers:
    description: How many members the cluster should have. Fewer are V(warn), half of them or fewer V(crit).
    type: int
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Judge the alerts of a cluster by severity
  day2.ops.alertmanager_info:
    url: https://alertmanager.example.com
    username: day2
    password: "{{ alertmanager_password }}"
    filter: ['cluster="eu"']
    watchdog: Watchdog
    expected_peers: 3

- name: Let nothing fire for an application while it is changed, page or not
  day2.ops.alertmanager_info:
    url: http://localhost:9093
    by: alertname
    filter: ['app="shop"']
    severities: {page: crit}
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
from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._observability.alerts import options, work
from ansible_collections.day2.ops.plugins.module_utils._observability.service import (
    connection_options,
    http_constraints,
)


def spec() -> ArgumentSpec:
    return ArgumentSpec(connection_options(), **http_constraints()).update(**options())


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
