# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which channel is told of a run, and why or why not. Pure: what was sent before and the time are given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock

HOUR = timedelta(hours=1)
# What happens on the controller disturbs nobody, so these are told of every run.
LOCAL = ("console", "file")


@dataclass(frozen=True)
class Verdict:
    """What a target ended with; ``failed`` when a person is needed."""

    status: str
    failed: bool
    why: str


@dataclass(frozen=True)
class Notice:
    """What there is to tell of a run. ``lines`` are the digest; ``targets`` are by inventory name."""

    run_id: str
    playbook: str
    status: str
    lines: tuple[str, ...]
    targets: Mapping[str, Verdict]
    links: Mapping[str, str] = field(default_factory=dict)
    rehearsal: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bad(self) -> dict[str, Verdict]:
        return {host: verdict for host, verdict in sorted(self.targets.items()) if verdict.failed}

    @property
    def key(self) -> str:
        """What is compared with each other: the same playbook on the same targets."""
        return _short([self.playbook, sorted(self.targets)])

    @property
    def state(self) -> str:
        """What must be different for a change to be told: the run's word, and that of each target in need."""
        return _short([self.status, {host: verdict.status for host, verdict in self.bad.items()}])


def _short(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Sent:
    """A notice that a channel was given, or (not ``done``) that somebody has begun to give it."""

    run_id: str
    at: datetime
    key: str
    state: str
    status: str
    bad: bool
    done: bool


@dataclass(frozen=True)
class Policy:
    """``when``: ``change`` or ``always``. ``remind_after`` and ``most_per_hour`` as the module's options."""

    when: str = "change"
    remind_after: timedelta = timedelta(hours=24)
    most_per_hour: int = 6


@dataclass(frozen=True)
class Decision:
    """``kind``: first, change, recovery, reminder, every; empty when nothing is sent. ``was``: the last notice."""

    send: bool
    reason: str
    kind: str = ""
    was: Optional[Sent] = None


def decide(
    channel_type: str, notice: Notice, sent: Optional[Sequence[Sent]], policy: Policy, now: datetime
) -> Decision:
    """``sent`` is what the channel was given before, oldest first; None when there is no store that would know."""
    if notice.rehearsal:
        return Decision(False, "the run was a rehearsal")
    if channel_type in LOCAL:
        return Decision(True, "it is told of every run", "every")
    if sent is None:
        return Decision(True, "there is no store that would know what was sent before, so every run is told", "every")
    same = next((one for one in sent if one.run_id == notice.run_id and one.key == notice.key), None)
    if same is not None:
        return Decision(False, f"this run was {'sent' if same.done else 'begun to be sent'} at {clock.iso(same.at)}")
    wanted = _wanted(notice, sent, policy, now)
    lately = sorted(one.at for one in sent if now - one.at < HOUR)
    if wanted.send and len(lately) >= policy.most_per_hour:
        return Decision(
            False,
            f"it was given {len(lately)} notices within the last hour (most_per_hour {policy.most_per_hour}); "
            "a later run will tell",
        )
    return wanted


def _wanted(notice: Notice, sent: Sequence[Sent], policy: Policy, now: datetime) -> Decision:
    known = [one for one in sent if one.key == notice.key and one.done]
    if not known:
        return Decision(True, "nothing was sent of this playbook on these targets before", "first")
    last = sorted(known, key=lambda one: one.at)[-1]  # of those of one second the one that came last
    since = clock.iso(last.at)
    if last.bad and not notice.bad:
        return Decision(True, f"it is {notice.status} and was {last.status} at {since}", "recovery", last)
    if last.state != notice.state:
        if last.status == notice.status:
            return Decision(True, f"it is {notice.status} on other targets than at {since}", "change", last)
        return Decision(True, f"it is {notice.status} and was {last.status} at {since}", "change", last)
    if policy.when == "always":
        return Decision(True, "it wants to be told of every run", "every", last)
    if notice.bad and now - last.at >= policy.remind_after:
        return Decision(True, f"it is still {notice.status}, which was last told at {since}", "reminder", last)
    return Decision(False, f"nothing has changed since the notice of {since}", was=last)
