#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: run_metrics
short_description: Give the numbers of a run to Prometheus
version_added: 0.1.0
description:
  - Reads what a run has left in its folder, and says of each target when the last run ended and when one last went
    well, how long it took, its status, actions and checks, rows archived and deleted, bytes given back, seconds braked,
    and when a backup was last proven.
  - All are gauges about the last run of a playbook on a target, with the labels C(playbook) and C(target).
  - With O(textfile_dir) they are written for the textfile collector of node_exporter, one file per playbook and target,
    each whole or not at all. With O(pushgateway) they are pushed, one group per playbook and target.
  - When a run last went well stays known when the next one fails. Nothing is ever deleted; when a target is given up,
    remove its file, or its group on the gateway, or the alerts about its silence will not end.
  - C(extensions/prometheus/day2-alerts.yml) has alerts for them, those for runs that never began included.
  - Runs on the controller. The role P(day2.ops.run_metrics#role) calls it once for all targets.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._run
attributes:
  check_mode:
    description: Writes and pushes nothing.
    support: full
  idempotent:
    description: The same record gives the same numbers. RV(ignore:changed) is always false.
    support: full
options:
  run_dir:
    description:
      - The folders that hold runs, each in a subfolder named by O(run_id); or folders of runs themselves.
    type: list
    elements: path
    required: true
  run_id:
    description: The id of the run. Without it, each entry of O(run_dir) is the folder of a run itself.
    type: str
  fail_on:
    description: The finding that gives a target the status C(findings), as in P(day2.ops.report#module).
    type: str
    choices: [warn, crit, never]
    default: crit
  textfile_dir:
    description: The folder that the textfile collector reads. It must be there.
    type: path
  pushgateway:
    description: A Pushgateway.
    type: dict
    suboptions:
      url:
        description: Its address, up to where C(/metrics) begins.
        type: str
        required: true
      ca_cert:
        description: The file with the CA of its certificate. Default is what the system trusts.
        type: path
      token:
        description: A bearer token. Like a password it is sent over https, or within this host, only.
        type: str
      username:
        description: A user, for basic authentication. Needs O(pushgateway.password).
        type: str
      password:
        description: The user's password.
        type: str
      timeout:
        description: Seconds in which an answer must be there.
        type: float
        default: 5
notes:
  - RV(ignore:changed) is always false. The numbers of a run are no change to what the run looks after.
  - The run of a rehearsal gives no numbers.
requirements:
  - prometheus_client >= 0.14.0
  - requests >= 2.28.0, for a Pushgateway
seealso:
  - module: day2.ops.report
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Let node_exporter find the numbers of a run
  day2.ops.run_metrics:
    run_dir:
      - /var/lib/day2/runs
    run_id: 20261206T020000Z-7c1e
    textfile_dir: /var/lib/prometheus/node-exporter
  delegate_to: localhost
  run_once: true

- name: Push them
  day2.ops.run_metrics:
    run_dir:
      - /var/lib/day2/runs/20261206T020000Z-7c1e
    pushgateway:
      url: https://pushgateway.example.com
      username: day2
      password: "{{ lookup('ansible.builtin.env', 'PUSHGATEWAY_PASSWORD') }}"
  delegate_to: localhost
  run_once: true
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
files:
  description: The files that were written.
  returned: success
  type: list
  elements: str
pushed:
  description: The number of groups that were pushed.
  returned: success
  type: int
summary:
  description: A sentence for what did not work; often none.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._metrics.deliver import metrics_spec, work


def main() -> None:
    run_module(metrics_spec(), work)


if __name__ == "__main__":
    main()
