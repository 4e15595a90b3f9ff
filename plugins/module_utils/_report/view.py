# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the page and the Markdown show of a check or an action: the same strings for both. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._report import units, words
from ansible_collections.day2.ops.plugins.module_utils._report.model import Action, Check, Problem, Report, Target

_TIME = "seconds"
# What an action's after may say it left behind: the words around it, and the key.
_COSTS = (
    ("", "cost", ""),
    ("The invalid index ", "invalid_index", " is left behind and costs writes; the next run removes it."),
    ("Dead rows could not be removed: ", "held_by", " holds them."),
)
_TOLD = (_TIME, "overrun_seconds", *(key for _before, key, _after in _COSTS))


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
    found = []
    for key in dict.fromkeys([*before, *predicted, *after]):
        if key in _TOLD:
            continue
        was, will, came = (units.measure(key, side[key]) if key in side else "" for side in (before, predicted, after))
        label = units.label_of(key)
        if came:
            shown = f"{was} → {came}" if was and was != came else f"{came}, as before" if was else came
            found.append(Measure(label, shown, f"predicted {will}" if will and will != came else ""))
        elif will and action["status"] in ("failed", "skipped"):
            found.append(Measure(label, was or "–", f"predicted {will}"))
        elif will:
            found.append(Measure(label, f"{was} → {will}" if was else will, "predicted"))
        else:
            found.append(Measure(label, was))
    took = after.get(_TIME, units.between(action["started"], action["ended"]))
    foreseen = units.show(predicted[_TIME], "seconds") if _TIME in predicted else ""
    if took is not None:
        found.append(Measure("took", units.show(took, "seconds"), f"predicted {foreseen}" if foreseen else ""))
    elif foreseen:
        found.append(Measure("would take", foreseen, "predicted"))
    return found


def overran(target: Target, action: Action) -> str:
    """By how much an action ran past its target's deadline; empty when it did not."""
    over = (action["after"] or {}).get("overrun_seconds") or units.between(target.deadline, action["ended"])
    return units.show(over, "seconds") if over is not None and over > 0 else ""


def cost(action: Action) -> str:
    """What an action left behind, or could not clear away; empty when there is nothing."""
    after = action["after"] or {}
    return " ".join(f"{begin}{units.clean(after[key])}{end}" for begin, key, end in _COSTS if after.get(key))


def problems(target: Target) -> list[Problem]:
    """The target's problems that none of its failed actions tells already."""
    told = {units.clean(action["error"]) for action in target.having("failed")}
    return [problem for problem in target.problems if units.clean(problem.message) not in told]


def concerns(report: Report) -> list[Concern]:
    """What needs attention, worst first: problems, failed actions, what is half done, readings, what was left."""
    found = []
    for target in report.targets:
        for problem in problems(target):
            head, look = PROBLEMS.get(problem.kind, ("", "failed"))
            found.append(Concern(look, target, head, units.clean(problem.message)))
        for action in target.actions:
            name = named(action["action"], action["subject"])
            if action["status"] == "failed":
                text = units.clean(action["error"] or action["reason"])
                found.append(Concern("failed", target, name, text, cost(action)))
            elif cost(action):
                found.append(Concern("warn", target, name, cost(action)))
            if action["status"] == "deferred":
                found.append(Concern("deferred", target, name, units.clean(action["reason"])))
            if overran(target, action):
                found.append(Concern("warn", target, name, f"Ran {overran(target, action)} past the deadline."))
        for measured in target.reading("crit", "warn", "unknown"):
            check = measured.last
            name = named(check["check"], check["subject"])
            found.append(
                Concern(check["status"], target, name, units.clean(check["summary"]), units.clean(check["advice"]))
            )
    order = ("failed", "stopped", "refused", "crit", "warn", "unknown", "deferred")
    return sorted(found, key=lambda concern: order.index(concern.look))


def label(name: str) -> str:
    """An id as words that begin a line: ``Reindex index``."""
    text = words.title(name)
    return text[:1].upper() + text[1:]


def named(what: str, subject: object) -> str:
    """A check or an action with what it is about: ``Reindex index public.orders_pkey``."""
    return f"{label(what)} {units.clean(subject)}".strip()


def left(target: Target) -> str:
    """What a target's row says of its actions: ``5 done, 1 deferred``."""
    counts = target.action_counts
    order = ("failed", "deferred", "done", "planned", "skipped")
    named = {"skipped": "not due"}
    return ", ".join(f"{counts[status]:,} {named.get(status, status)}" for status in order if counts[status])


def readings(target: Target) -> str:
    counts = target.check_counts
    named = (("crit", "critical"), ("warn", "to watch"), ("unknown", "not measured"), ("ok", "ok"))
    return ", ".join(f"{counts[status]:,} {name}" for status, name in named if counts[status])


def took(started: str, ended: str) -> str:
    return units.show((clock.parse(ended) - clock.parse(started)).total_seconds(), "seconds")


# What stands beside a problem, where its status word does not say it all; and that word.
PROBLEMS = {
    "no_result": ("No result", "failed"),
    "unreachable": ("Not reachable", "failed"),
    "bad_input": ("Wrong input", "failed"),
    "interrupted": ("Killed", "stopped"),
    "stopped": ("", "stopped"),
    "refused": ("", "refused"),
    "deferred": ("", "deferred"),
}
