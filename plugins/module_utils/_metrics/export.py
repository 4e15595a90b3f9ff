# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The numbers of a run, to where Prometheus finds them: files for node_exporter's textfile collector, a Pushgateway."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.files import replace_file
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run, missing_library
from ansible_collections.day2.ops.plugins.module_utils._metrics.families import HELP, LASTING, Group, Sample
from ansible_collections.day2.ops.plugins.module_utils._observability.sending import Sender

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

JOB = "day2"
_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
_PATIENCE = 30.0


def render(group: Group, lasting: Sequence[Sample] = ()) -> bytes:
    """The group in the text format. ``lasting`` is what earlier runs knew, where this one knows nothing newer."""
    mine = {sample.name for sample in group.samples}
    samples = [*group.samples, *(sample for sample in lasting if sample.name not in mine)]
    try:
        from prometheus_client import generate_latest
    except ImportError:
        missing_library("prometheus_client", sys.executable)
    text: bytes = generate_latest(_registry(group, samples))
    return text


def _registry(group: Group, samples: Sequence[Sample]) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for sample in samples:
        if sample.name not in gauges:
            names = ("playbook", "target", *sample.labels)
            gauges[sample.name] = Gauge(sample.name, HELP[sample.name], names, registry=registry)
        labels = {"playbook": group.playbook, "target": group.target, **sample.labels}
        gauges[sample.name].labels(**labels).set(sample.value)
    return registry


# -- files


def file_name(group: Group) -> str:
    """A file per playbook and target, so that slices and limited runs leave those of the others alone."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{group.playbook}.{group.target}")[:100].strip(".-")
    exact = hashlib.sha256(f"{group.playbook}\0{group.target}".encode()).hexdigest()[:8]
    return f"day2-{readable}-{exact}.prom"


def write_files(folder: str, groups: Sequence[Group]) -> list[str]:
    """Whoever runs the exporter may read them."""
    made = []
    for group in groups:
        path = os.path.join(folder, file_name(group))
        replace_file(path, render(group, _lasting(path)), 0o644)
        made.append(path)
    return made


def _lasting(path: str) -> list[Sample]:
    """What earlier runs knew and this one may not, such as when one last went well."""
    try:
        with open(path, encoding="utf-8") as known:
            text = known.read()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeError) as error:
        raise OpsError(f"Failed to read {path}, which holds the times of earlier runs; move it away.") from error
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        missing_library("prometheus_client", sys.executable)
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise OpsError(f"Failed to read {path}, which holds the times of earlier runs; move it away.") from error
    return [Sample(one.name, one.value, {}) for family in families for one in family.samples if one.name in LASTING]


# -- Pushgateway


def push(run: Run, options: Mapping[str, Any], groups: Sequence[Group]) -> int:
    """Replace each group's numbers on the gateway, and leave what only some runs know where this one does not.

    Therefore POST, which replaces by name. PUT would replace the whole group, and a run that failed would take away
    when the last one went well.
    """
    sender = Sender("Pushgateway", "pushgateway", options, read_only=run.check_mode)
    for group in groups:
        answer = sender.send("POST", group_path(group), render(group), _TYPE, patience=_PATIENCE, wait=run.live.sleep)
        if answer.status not in (200, 202):
            raise OpsError(
                f"Failed to push the metrics of {group.target} to {sender.url}: it answers {answer.status}"
                f"{_first_line(answer.body)}."
            )
    return len(groups)


def group_path(group: Group) -> str:
    return f"/metrics/job/{JOB}/playbook{_segment(group.playbook)}/target{_segment(group.target)}"


def _segment(value: str) -> str:
    """A label's value in a path: one with a slash, or none at all, is written in base64."""
    if value and "/" not in value:
        return f"/{quote(value, safe='')}"
    return f"@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"


def _first_line(body: bytes) -> str:
    text = body[:200].decode("utf-8", "replace").strip().splitlines()
    return f": {text[0]}" if text else ""
