#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: prometheus_info
short_description: Judge what Prometheus queries come to
version_added: 0.1.0
description:
  - Asks queries of a Prometheus, or of what speaks its API, and judges each by thresholds of its own.
  - Each query becomes a check C(prometheus_query); with O(queries[].subject_label) one for each series.
  - What comes to no number is V(unknown), with the reason, and so is a server that gives no answer. An answer that is
    partial, as Thanos gives where a store is down, is never V(ok). A finding is a result, not a failure.
  - A query that the server cannot understand is a failure, after all others have been asked.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
  - day2.ops._service
options:
  queries:
    description: The queries to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the report calls it.
        type: str
        required: true
      query:
        description: The query, in PromQL. It stands in the evidence.
        type: str
        required: true
      unit:
        description: The unit of the value.
        type: str
        choices: ['', bytes, seconds, ratio, count]
        default: ''
      warn:
        description: The value from which on it is a warning.
        type: float
      crit:
        description: The value from which on it is critical. Without O(queries[].warn) and this one, the value is
          reported and not judged.
        type: float
      bad:
        description: On which side of the thresholds values are bad.
        type: str
        choices: [above, below]
        default: above
      subject_label:
        description: The label that tells the series of the answer apart. Without it the query must come to one series.
        type: str
      absent:
        description: What it means when the query finds nothing, or comes to NaN.
        type: str
        choices: [unknown, ok, warn, crit]
        default: unknown
      max_age:
        description: How old a value may be, such as V(2m); older ones count as absent. Without it the server takes
          values of up to five minutes ago for present ones. For plain selectors; what functions return is always new.
        type: str
      at:
        description: The time to ask about, as UTC ISO 8601, V(now), or so long ago as in V(-6h). Default is now.
        type: str
      range:
        description: Asks about a span of time instead, and judges one number made of all points. A span of more points
          than the server gives in one answer is asked for in parts.
        type: dict
        suboptions:
          start:
            description: Its begin, as O(queries[].at).
            type: str
            required: true
          end:
            description: Its end, as O(queries[].at).
            type: str
            default: now
          step:
            description: The time between two points, such as V(1m). Default is what makes a thousand points, and 15
              seconds at least. It should not be longer than the window of a C(rate()) in the query, or data is lost.
            type: str
          take:
            description: What becomes of the points. NaN is left out.
            type: str
            choices: [avg, last, max, min, p95]
            default: max
  jobs:
    description: How many queries are asked at a time.
    type: int
    default: 8
seealso:
  - plugin: day2.ops.prometheus
    plugin_type: lookup
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Judge errors, disks, and yesterday's worst latency
  day2.ops.prometheus_info:
    url: https://prometheus.example.com
    token: "{{ prometheus_token }}"
    queries:
      - name: errors
        query: sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))
        unit: ratio
        warn: 0.001
        crit: 0.01
        absent: ok
      - name: free disk
        query: min by (instance) (node_filesystem_avail_bytes / node_filesystem_size_bytes)
        subject_label: instance
        unit: ratio
        bad: below
        warn: 0.2
        crit: 0.1
      - name: latency of a day
        query: histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))
        unit: seconds
        crit: 1
        range: {start: -1d, step: 5m, take: p95}
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
from ansible_collections.day2.ops.plugins.module_utils._observability.queries import query_options, work
from ansible_collections.day2.ops.plugins.module_utils._observability.service import (
    connection_options,
    http_constraints,
)


def spec() -> ArgumentSpec:
    return ArgumentSpec(connection_options(), **http_constraints()).update(
        queries={"type": "list", "elements": "dict", "required": True, "options": query_options()},
        jobs={"type": "int", "default": 8},
    )


def main() -> None:
    run_module(spec(), work)


if __name__ == "__main__":
    main()
