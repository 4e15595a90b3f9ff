# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan that was saved and approved: what is approved is what runs.

The controller reads, checks and hands over the plan (``plugin_utils/_plans.py``) as suboption ``plan`` of option
``run``: ``{name, id, planned, actions: [{action, subject, status, predicted}]}``. ``id`` is None when the plan has no
file for the task: then nothing of it was approved.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, CheckType, Number

APPROVED_PLAN = CheckType("approved_plan", "count", None, ("plan", "planned", "due", "unlisted", "not_needed"))

# An estimate of a cost or a loss may be this many times what was approved.
GROWTH = 1.2
# Below this much more it is noise: estimates of small things double by chance. Of rows each one counts.
NOISE = {"seconds": 10.0, "bytes": float(1 << 20), "rows": 0.0}
# Measures in these units that tell a gain; of them more is welcome.
GAINS = ("bytes_reclaimed", "bytes_reusable", "bytes_freed")
# Measures that say which thing is meant; with another one it is another action.
WHICH = ("set", "type", "target", "old")


def approved(run: Run, action: Mapping[str, Any]) -> bool:
    """Whether a plan was given and lists this action as planned; the estimates are :func:`settle`'s to compare."""
    return run.about.get("plan") is not None and _why_not(run, action, any_subject=False) == ""


def unlisted(run: Run, action: Mapping[str, Any]) -> bool:
    """Whether a plan was given that leaves this action out: :func:`settle` will defer it, so it needs no time."""
    return run.about.get("plan") is not None and not approved(run, action)


def settle(run: Run, actions: list[Action], *, together: bool = False, any_subject: bool = False) -> None:
    """Hold the ``planned`` actions to the approved plan: call it once, after planning and before anything is done.

    Without a plan it does nothing. With one, what the plan does not list becomes ``deferred``; with ``together`` that
    leaves all of them, for actions of which none makes sense alone. ``any_subject``: an action is approved by its kind,
    because its subject may be one that an earlier step of the run makes.

    Raises :class:`Refused` when an estimate of cost or loss has grown by more than a fifth; all actions are deferred
    then. What is listed and not needed any more is just not there; the check in ``run.approval`` says how many.
    """
    run.actions = actions
    if run.about.get("plan") is None:
        return
    due = [action for action in actions if action["status"] == "planned"]
    unlisted = 0
    for action in due:
        why = _why_not(run, action, any_subject)
        if why:
            records.defer(action, why)
            unlisted += 1
    if together and unlisted:
        _leave(due, "it belongs to work that the approved plan does not list")
    for action in due:
        if action["status"] != "planned":
            continue
        listed = _listed(run, action, any_subject) or {}
        grown = growth(listed.get("predicted") or {}, action["predicted"])
        if grown:
            _leave(due, "the approved plan is refused")
            raise Refused(
                f"Refused to run the approved plan: {grown} for {action['action']} {action['subject']}, more than a "
                "fifth above what was approved; plan again with ops_plan_out and approve that plan."
            )
    run.approval = _check(run, actions, due, unlisted, any_subject)


def growth(listed: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which estimate has grown too much, from what to what; empty when none has. A measure that was not predicted then
    was 0; one that nobody could tell (null) was approved as such.

    >>> growth({"rows_deleted": 100, "bytes_reclaimed": 1}, {"rows_deleted": 130, "bytes_reclaimed": 9})
    'rows_deleted grew from 100 to 130'
    >>> growth({"seconds": 2.0}, {"seconds": 5.0})
    ''
    """
    for name, value in now.items():
        noise = _noise(name)
        before = listed.get(name, 0)
        if noise is None or not (value is None or _number(value)) or not _number(before):
            continue
        if value is None or (value > before * GROWTH and value - before > noise):
            return f"{name} grew from {before:,} to {'nobody knows how many' if value is None else format(value, ',')}"
    return ""


def _noise(name: str) -> Optional[Number]:
    """How much growth of a measure means nothing; None for one that tells neither cost nor loss."""
    if name in GAINS:
        return None
    if name == "seconds":
        return NOISE["seconds"]
    return next((NOISE[unit] for unit in ("rows", "bytes") if unit in name.split("_")), None)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _planned(run: Run) -> list[Mapping[str, Any]]:
    return [action for action in run.about["plan"].get("actions") or [] if action.get("status") == "planned"]


def _listed(run: Run, action: Mapping[str, Any], any_subject: bool) -> Optional[Mapping[str, Any]]:
    for one in _planned(run):
        if one["action"] == action["action"] and (any_subject or one["subject"] == action["subject"]):
            return one
    return None


def _why_not(run: Run, action: Mapping[str, Any], any_subject: bool) -> str:
    """Why the approved plan does not cover this action; empty when it does."""
    if run.about["plan"].get("id") is None:
        return "the approved plan has no file for this task"
    listed = _listed(run, action, any_subject)
    if listed is None:
        return "the approved plan does not list it"
    then, now = listed.get("predicted") or {}, action["predicted"]
    for name in WHICH:
        if then.get(name) != now.get(name):
            return f"the approved plan lists it with {name} {then.get(name)}, not {now.get(name)}"
    return ""


def _leave(due: list[Action], why: str) -> None:
    for action in due:
        if action["status"] == "planned":
            records.defer(action, why)


def _check(run: Run, actions: list[Action], due: list[Action], unlisted: int, any_subject: bool) -> records.Check:
    there = {(action["action"], "" if any_subject else action["subject"]) for action in actions}
    listed = _planned(run)
    gone = sum((one["action"], "" if any_subject else one["subject"]) not in there for one in listed)
    kept = sum(action["status"] == "planned" for action in due)
    text = f"{kept} of {len(listed)} approved actions are due now"
    text += f"; {gone} are not needed any more" if gone else ""
    text += f"; {unlisted} others are due and not approved" if unlisted else ""
    plan = run.about["plan"]
    return APPROVED_PLAN(
        str(plan.get("name") or "plan"), len(listed), summary=f"{text}.",
        plan=plan.get("id"), planned=plan.get("planned"), due=kept, unlisted=unlisted, not_needed=gone,
    )  # fmt: skip
