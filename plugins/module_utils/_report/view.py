# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the page and the Markdown show of a check or an action: the same strings for both. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._report import units, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import Action, Check, Measured, Report, Target

_TIMES = ("duration_seconds", "seconds")


@dataclass(frozen=True)
class Measure:
    """``size: 4.1 GiB → 2.3 GiB (predicted 2.2 GiB)``: ``label``, ``shown`` and ``aside``."""

    label: str
    shown: str
    aside: str = ""


@dataclass(frozen=True)
class Concern:
    """Something a person should look at. ``look`` is a status word of a check, an action or a target."""

    look: str
    target: Target
    head: str
    text: str
    advice: str = ""


def value(check: Check) -> str:
    """A check's value; empty where the check has no number and is not missing one."""
    if check["value"] is None:
        return "not measured" if check["status"] == "unknown" else ""
    return units.show(check["value"], check["unit"] or "")


def limits(check: Check) -> str:
    """``warns above 70 %, critical above 90 %``; empty without thresholds."""
    side = check["bad"] or "at"
    named = [(words_for, check[key]) for key, words_for in (("warn", "warns"), ("crit", "critical"))]
    known = [f"{name} {side} {units.show(limit, check['unit'] or '')}" for name, limit in named if limit is not None]
    return ", ".join(known)


def evidence(check: Check) -> str:
    return ", ".join(
        f"{units.label_of(key)} {units.measure(key, found)}" for key, found in (check["evidence"] or {}).items()
    )


def measures(action: Action) -> list[Measure]:
    """Before, after and what was predicted, side by side, in the order in which the action names them."""
    before, predicted, after = action["before"] or {}, action["predicted"] or {}, action["after"] or {}
    keys = dict.fromkeys([*before, *predicted, *after])
    found = []
    for key in keys:
        if key in _TIMES or key == "cost":
            continue
        was, will, came = (units.measure(key, side[key]) if key in side else "" for side in (before, predicted, after))
        if came:
            foreseen = f"predicted {will}" if will and will != came else ""
            shown = f"{was} → {came}" if was and was != came else f"{came}, as before" if was else came
            found.append(Measure(units.label_of(key), shown, foreseen))
        elif will:
            found.append(Measure(units.label_of(key), f"{was} → {will}" if was else will, "predicted"))
        else:
            found.append(Measure(units.label_of(key), was))
    took = units.between(action["started"], action["ended"])
    foreseen = next((units.show(predicted[key], "seconds") for key in _TIMES if key in predicted), "")
    if took is not None:
        found.append(Measure("took", units.show(took, "seconds"), f"predicted {foreseen}" if foreseen else ""))
    elif foreseen:
        found.append(Measure("would take", foreseen, "predicted"))
    return found


def overran(target: Target, action: Action) -> str:
    """By how much an action ran past its target's deadline; empty when it did not."""
    over = units.between(target.deadline, action["ended"])
    return units.show(over, "seconds") if over is not None and over > 0 else ""


def concerns(report: Report) -> list[Concern]:
    """What needs attention, worst first: problems, failed actions, readings that are not ok, what is half done."""
    found = []
    for target in report.targets:
        for problem in target.problems:
            look = {"refused": "refused", "deferred": "deferred"}.get(problem.kind, "failed")
            look = "stopped" if problem.kind in ("stopped", "interrupted") else look
            found.append(Concern(look, target, PROBLEMS.get(problem.kind, "Failed"), words.problem(problem)))
        for action in target.actions:
            name = f"{words.title(action['action'])} {units.clean(action['subject'])}"
            cost = units.clean((action["after"] or {}).get("cost") or "")
            if action["status"] == "failed":
                found.append(Concern("failed", target, name, units.clean(action["error"] or action["reason"]), cost))
            elif cost:
                found.append(Concern("warn", target, name, cost))
            if overran(target, action):
                found.append(Concern("warn", target, name, f"Ran {overran(target, action)} past the deadline."))
        for measured in target.reading("crit", "warn", "unknown"):
            check = measured.last
            name = f"{words.title(check['check'])} {units.clean(check['subject'])}"
            found.append(
                Concern(check["status"], target, name, units.clean(check["summary"]), units.clean(check["advice"]))
            )
    order = ("failed", "stopped", "refused", "crit", "warn", "unknown", "deferred")
    return sorted(found, key=lambda concern: order.index(concern.look))


def moves(target: Target) -> list[Measured]:
    """The readings that this run changed and that have a number or a status to compare."""
    return target.moved


def left(target: Target) -> str:
    """What a target's row says of its actions: ``5 done, 1 deferred``."""
    counts = target.action_counts
    order = ("failed", "deferred", "done", "planned", "skipped")
    return ", ".join(f"{counts[status]:,} {status}" for status in order if counts[status])


def readings(target: Target) -> str:
    counts = target.check_counts
    named = (("crit", "critical"), ("warn", "to watch"), ("unknown", "not measured"), ("ok", "ok"))
    return ", ".join(f"{counts[status]:,} {name}" for status, name in named if counts[status])


def took(started: str, ended: str) -> str:
    return units.show((clock.parse(ended) - clock.parse(started)).total_seconds(), "seconds")


PROBLEMS = {
    "no_result": "No result",
    "interrupted": "Killed",
    "stopped": "Stopped",
    "refused": "Refused",
    "deferred": "Left for the next run",
    "unreachable": "Not reachable",
    "bad_input": "Wrong input",
}
