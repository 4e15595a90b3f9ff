# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: prometheus
short_description: What a Prometheus query comes to
version_added: 0.1.0
description:
  - Asks a Prometheus, or what speaks its API, from the controller. One result for each term.
  - Connection options that are left out come from C(ops_prometheus), a dictionary of them, where that is defined.
  - A query that cannot be understood, and a server that gives no answer, are failures. What finds nothing is an empty
    list.
extends_documentation_fragment:
  - day2.ops._service
options:
  _terms:
    description: Queries in PromQL.
    type: list
    elements: str
    required: true
  at:
    description: The time to ask about, as UTC ISO 8601, V(now), or so long ago as in V(-6h).
    type: str
    default: now
  start:
    description: Asks about a span of time that begins then, written as O(at).
    type: str
  end:
    description: The end of the span, written as O(at).
    type: str
    default: now
  step:
    description: The time between two points of the span, such as V(1m). Default is what makes a thousand points, and 15
      seconds at least.
    type: str
  take:
    description: Makes one number of the points of each series. Without it, the points.
    type: str
    choices: [avg, last, max, min, p95]
  partial:
    description: Whether an answer that may lack something, as Thanos gives where a store is down, is good enough.
    type: bool
    default: false
seealso:
  - module: day2.ops.prometheus_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Wait until the queue is short
  ansible.builtin.assert:
    that: lookup('day2.ops.prometheus', 'sum(queue_length)', url='https://prometheus.example.com') < 100
  retries: 30
  delay: 10

- name: Say which disks fill up
  ansible.builtin.debug:
    msg: "{{ item.labels.instance }} is full to {{ item.value }}"
  loop: "{{ query('day2.ops.prometheus', full) | flatten }}"
  vars:
    full: max by (instance) (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes) > 0.9

- name: Show the peak of last week
  ansible.builtin.debug:
    msg: "{{ lookup('day2.ops.prometheus', 'sum(rate(http_requests_total[5m]))', start='-7d', step='5m', take='max') }}"
"""

RETURN = r"""
_raw:
  description:
    - One entry for each term. A number where the query comes to a scalar, or to one series without labels; else a list
      of series, each with C(labels) and C(value). A value that is not finite is null.
    - Of a span of time without O(take), a list of series, each with C(labels) and C(points), which have C(time) and
      C(value).
  type: list
  elements: raw
"""

import math
import time
from typing import Any, Optional

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._observability import series
from ansible_collections.day2.ops.plugins.module_utils._observability.prometheus import Prometheus
from ansible_collections.day2.ops.plugins.module_utils._observability.service import connection


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: Optional[dict[str, Any]] = None, **kwargs: Any) -> list[Any]:
        known = variables or {}
        if "url" not in kwargs and known.get("ops_prometheus") is not None:
            # Not as `vars:` of the options: core would hand those over as the text of their template.
            kwargs = {**self._templar.template(known["ops_prometheus"]), **kwargs}
        self.set_options(var_options=variables, direct=kwargs)
        options = self.get_options()
        try:
            server = Prometheus(connection(options), "")
            return [_asked(server, str(term), options, time.time()) for term in terms]
        except OpsError as error:
            raise AnsibleLookupError(f"prometheus: {error}") from error


def _asked(server: Prometheus, query: str, options: dict[str, Any], now: float) -> Any:
    take = options["take"]
    if options["start"]:
        found = server.points(query, series.span(options, "", now))
    else:
        at = None if options["at"] == "now" else series.moment(options["at"], "at", now)
        found = server.instant(query, at)
    if found.partial and not options["partial"]:
        raise OpsError(
            f"The answer is partial: {'; '.join(found.warnings)[:300].rstrip('.')}; set partial: true to take it."
        )
    if found.kind == "string" or (found.kind == "matrix" and not options["start"]):
        raise OpsError(f"The query comes to a {found.kind}; wrap it in a function such as rate(), or give start.")
    if options["start"] and not take:
        return [
            {"labels": dict(one.labels), "points": [_point(*point) for point in one.points]} for one in found.series
        ]
    values = [{"labels": dict(one.labels), "value": _number(series.value_of(one, take))} for one in found.series]
    return values[0]["value"] if len(values) == 1 and not values[0]["labels"] else values


def _point(at: float, value: float) -> dict[str, Any]:
    return {"time": clock.iso(clock.after(series.EPOCH, at)), "value": _number(value)}


def _number(value: Optional[float]) -> Optional[float]:
    """JSON and templates know no infinity."""
    return value if value is not None and math.isfinite(value) else None
