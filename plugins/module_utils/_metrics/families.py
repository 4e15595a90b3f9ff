# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run came to, as numbers for Prometheus. Pure.

All are gauges: a run is no process that counts on from scrape to scrape, and the last one is what there is to see.
Labels are few and bounded: the playbook, the target, and words from closed lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._report import words
from ansible_collections.day2.ops.plugins.module_utils._report.model import EXIT_2, STATUSES, Header, Report, Target

PREFIX = "day2_run_"
# What only some runs know. They stay as they are until a run knows better.
LASTING = (
    "day2_run_last_success_timestamp_seconds",
    "day2_run_last_complete_timestamp_seconds",
    "day2_last_verified_backup_timestamp_seconds",
)
HELP = {
    LASTING[0]: "When the last run ended that needs nobody: status ok or deferred.",
    LASTING[1]: "When the last run ended that left nothing undone: nothing deferred, and nobody is needed.",
    LASTING[2]: "When a backup was last restored elsewhere and found whole.",
    "day2_run_last_end_timestamp_seconds": "When the last run ended, however it went.",
    "day2_run_duration_seconds": "How long the last run took on this target.",
    "day2_run_status": "1 for the status of the last run, 0 for all others.",
    "day2_run_actions": "Actions of the last run, by what became of them.",
    "day2_run_checks": "Checks of the last run, by their status at its end.",
    "day2_run_rows_archived": "Rows that the last run copied into the store.",
    "day2_run_rows_deleted": "Rows that the last run deleted.",
    "day2_run_reclaimed_bytes": "Bytes that the last run gave back.",
    "day2_run_braked_seconds": "Seconds that the last run held still because of load.",
    "day2_run_override": "1 when the last run worked outside its window or in a freeze, by a reason that was given.",
}
# Checks and actions that know when a backup was last proven, by what they call it.
_VERIFIED = ("postgresql_backup_verified_age", "postgresql_backup_restored")


@dataclass(frozen=True)
class Sample:
    """One number of a family of :data:`HELP`; ``labels`` are those besides playbook and target."""

    name: str
    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """All that one run says of one target: what is replaced together."""

    playbook: str
    target: str
    samples: tuple[Sample, ...]


def groups(report: Report, headers: Sequence[Header]) -> list[Group]:
    overridden = {str(header["host"]) for header in headers if header.get("override_reason")}
    return [
        Group(report.playbook, target.target, tuple(_samples(report, target, target.host in overridden)))
        for target in report.targets
    ]


def _samples(report: Report, target: Target, overridden: bool) -> list[Sample]:
    ended = _seconds(target.ended or report.ended or report.generated)
    found = [Sample("day2_run_last_end_timestamp_seconds", ended, {})]
    if target.status not in EXIT_2:
        found.append(Sample(LASTING[0], ended, {}))
        if not target.action_counts["deferred"] and target.status != "deferred":
            found.append(Sample(LASTING[1], ended, {}))
    verified = _verified(target)
    if verified is not None:
        found.append(Sample(LASTING[2], verified, {}))
    began = _seconds(target.started) if target.started else ended
    found.append(Sample("day2_run_duration_seconds", max(0.0, ended - began), {}))
    found += [Sample("day2_run_status", float(target.status == word), {"status": word}) for word in STATUSES]
    for name, counts in (("actions", target.action_counts), ("checks", target.check_counts)):
        found += [Sample(f"{PREFIX}{name}", float(number), {"status": word}) for word, number in counts.items()]
    done = target.having("done")
    found += [Sample(f"{PREFIX}{name}", number, {}) for name, number in words.sums(done, "after").items()]
    braked = sum(_number(action["after"].get("braked_seconds")) for action in target.actions)
    found.append(Sample("day2_run_braked_seconds", braked, {}))
    found.append(Sample("day2_run_override", float(overridden), {}))
    return found


def _verified(target: Target) -> Optional[float]:
    """The newest proof that the checks of this run know of."""
    said = [one.last["evidence"].get("verified") for one in target.checks if one.last["check"] in _VERIFIED]
    return max((moment for moment in map(_moment, said) if moment is not None), default=None)


def _moment(said: object) -> Optional[float]:
    if not isinstance(said, str):
        return None
    try:
        return _seconds(said)
    except BadInput:  # what a record holds was written by many hands
        return None


def _seconds(moment: str) -> float:
    return clock.parse(moment).timestamp()


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
