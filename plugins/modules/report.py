#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: report
short_description: Turn the record of a run into a page, Markdown and a result
version_added: 0.1.0
description:
  - Reads what a run has left in its folder and says what it came to, in C(report.html), C(report.md), C(result.json),
    and with every check and action in C(report.json). The schemas of both are in C(docs/schemas).
  - The page is one file that needs nothing else, on a phone, a desk or paper. It holds no script and fetches nothing.
  - A target that was to take part and left no result counts as failed. What a killed run left is readable too.
  - Of each check the last reading of the run counts; the first is shown beside it where they differ.
  - The status is the worst of all targets, from V(ok) over V(deferred), V(findings), V(refused) and V(stopped) to
    V(failed). From V(findings) on, the role P(day2.ops.report#role) makes the run exit with 2.
  - With a store, the report says what changed since the last run of the same playbook on each target, and how
    measurements moved over the last runs. What it needs for that is in C(v1/history/<target_id>.json), which this
    module updates. Without a store there is nothing to compare with, and the report says so.
  - The health of the whole counts targets, or services where the host variable C(ops_service) names them. A unit is
    healthy when its worst check is ok or warn. From 95 percent on the whole is V(healthy), from 80 percent on
    V(degraded), else V(unhealthy); with a critical check it is never V(healthy).
  - With a store, the record of each target is kept there as well, as C(v1/runs/<target_id>/<time>-<run_id>.jsonl), and
    the page, with an index of all runs in C(v1/runs/index.html).
  - Nothing is written to the store in check mode. A store that fails does not take the report away; RV(summary) says
    so.
  - Runs on the controller. The role calls it once for all targets.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._run
  - day2.ops._store
attributes:
  check_mode:
    description: The report is written in check mode too. A run's own folder is all that a rehearsal changes.
    support: full
  idempotent:
    description: The same record gives the same C(result.json). RV(ignore:changed) is always false.
    support: full
options:
  run_dir:
    description:
      - The folders that hold runs, each in a subfolder named by O(run_id); or folders of runs themselves.
      - Several are joined, as with the slices of an AWX job.
    type: list
    elements: path
    required: true
  run_id:
    description: The id of the run. Without it, each entry of O(run_dir) is the folder of a run itself.
    type: str
  dest:
    description: The folder into which the files are written. Without it, the first folder of the run.
    type: path
  formats:
    description:
      - The files to write. V(json) is C(result.json), the outcome in a few numbers; V(full) is C(report.json).
    type: list
    elements: str
    choices: [html, markdown, json, full]
    default: [html, markdown, json, full]
  fail_on:
    description:
      - The finding that gives a target the status V(findings). With V(warn), a check that could not be measured does
        so too.
    type: str
    choices: [warn, crit, never]
    default: crit
  timezone:
    description: The time zone for times in the page and in Markdown, by its IANA name. Records are in UTC.
    type: str
    default: UTC
notes:
  - RV(ignore:changed) is always false. The report belongs to the run and is no change to anything the run looks after.
  - Needs C(s3:PutObject) on C(v1/runs/*), C(s3:GetObject) on C(v1/runs/index.json), and C(s3:GetObject) and
    C(s3:PutObject) on C(v1/history/*) below the prefix, where the store is a bucket.
  - Charts are drawn with the Python library pygal. Without it the page has tables in their place, and says so.
requirements:
  - jinja2, which ansible-core brings along
  - pygal, for charts (optional)
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Make the report of a run
  day2.ops.report:
    run_dir:
      - /var/lib/day2/runs
    run_id: 20261206T020000Z-7c1e
  delegate_to: localhost
  run_once: true

- name: Join the slices of an AWX job into one report
  day2.ops.report:
    run_dir:
      - /srv/slices/1
      - /srv/slices/2
    run_id: "4711"
    dest: /srv/reports/4711
    timezone: Europe/Berlin
    fail_on: warn
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
result:
  description:
    - What the run came to, in less than 10 kB, whatever the number of targets. The whole is in C(result.json).
  returned: success
  type: dict
  contains:
    status:
      description: The worst status of all targets.
      type: str
      sample: deferred
    headline:
      description: The verdict and the numbers, as sentences.
      type: str
      sample: Some of the work was left for the next run. 3 targets, 14 actions done, 2 deferred; 1.9 GiB reclaimed.
    run_id:
      description: The id of the run.
      type: str
    playbook:
      description: The playbook's name.
      type: str
    check_mode:
      description: Whether the run was a rehearsal.
      type: bool
    counts:
      description: The number of C(checks) and C(actions) by status.
      type: dict
    health:
      description: The C(status) of the whole, C(healthy) and C(total) units; null when no check was made.
      type: dict
    changes:
      description: How many checks are C(worse), C(better), C(new) or C(vanished) since the last run; null without one.
      type: dict
    targets:
      description: The status of each target by inventory name, worst first, as far as there is room.
      type: dict
    targets_left_out:
      description: The number of targets for which there was no room.
      type: int
    links:
      description: The path of each file by format.
      type: dict
folder:
  description: The first folder of the run's record, beside which others leave what the report should say.
  returned: success
  type: str
verdicts:
  description: For each target, by inventory name, its C(status), whether it C(failed) the run, and C(why).
  returned: success
  type: dict
summary:
  description: The report in a few plain lines.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._report.report import report_spec, work


def main() -> None:
    run_module(report_spec(), work)


if __name__ == "__main__":
    main()
