# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run came to, in plain sentences: the page's headline, the console's summary and the digest say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.clock import DAY
from ansible_collections.day2.ops.plugins.module_utils._report import units
from ansible_collections.day2.ops.plugins.module_utils._report.model import EXIT_2, Action, Health, Report, Target
from ansible_collections.day2.ops.plugins.module_utils._report.trends import Ahead

# An object's size before and after; the first that both sides hold is taken, so that no part is counted twice.
_SIZES = ("total_bytes", "size_bytes", "bytes")
# Measures of the work itself, added up over all actions done.
_SUMS = (
    (("bytes_reclaimed", "reclaimed_bytes"), "bytes", "reclaimed"),
    (("rows_deleted", "deleted_rows"), "count", "rows deleted"),
    (("rows_archived", "archived_rows"), "count", "rows archived"),
)
_MOST = 8
_MOST_NAMES = 5
# Names that are not written like other words.
_NAMES = {"postgresql": "PostgreSQL", "redis": "Redis"}
_NAMES.update((name, name.upper()) for name in ("tls", "ttl", "xid", "mxid", "wal"))


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 check``, ``2 checks``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def title(name: str) -> str:
    """An id as words: ``reindex_index`` is ``reindex index``."""
    return " ".join(_NAMES.get(word, word) for word in units.clean(name).split("_"))


def playbook_title(playbook: str) -> str:
    """``playbooks/monthly-maintenance.yml`` is ``Monthly maintenance``."""
    name = units.clean(playbook).rsplit("/", 1)[-1]
    for ending in (".yml", ".yaml"):
        name = name[: -len(ending)] if name.endswith(ending) else name
    name = name.rsplit(".", 1)[-1]  # day2.ops.monthly_maintenance
    words = name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else "Run"


def verdict(report: Report) -> str:
    """One sentence: how it went."""
    total, hit = len(report.targets), len(report.with_status(report.status))
    which = "the target" if total == 1 else "all targets" if hit == total else f"{hit} of {total} targets"
    if report.status == "failed":
        problems = [[problem.kind for problem in target.problems] for target in report.with_status("failed")]
        if all(kinds == ["no_result"] for kinds in problems):
            return f"There is no result from {which}."
        return f"The run failed on {which}."
    if report.status == "stopped":
        return f"The run was stopped on {which}."
    if report.status == "refused":
        return f"The run was refused on {which}."
    prefix = "Rehearsal: " if report.check_mode else ""
    if report.status == "findings":
        done = bool(report.action_counts["done"])
        text = f"{'the work is done, but ' if done else ''}{which} {'needs' if hit == 1 else 'need'} attention."
    elif report.status == "deferred":
        text = "some of the work was left for the next run."
    elif report.check_mode:
        text = "nothing stands in the way." if report.action_counts["planned"] else "nothing is due."
    elif report.action_counts["done"]:
        text = "everything that was due is done."
    elif any(target.actions for target in report.targets):
        text = "nothing was due."
    else:
        text = "all is well." if not report.check_counts["warn"] else "nothing is critical."
    return prefix + text if prefix else text[:1].upper() + text[1:]


def tally(report: Report) -> str:
    """One sentence of numbers: ``3 targets, 14 actions done, 2 deferred; 1.9 GiB reclaimed.``"""
    actions, checks = report.action_counts, report.check_counts
    parts = [count(len(report.targets), "target")]
    if report.check_mode:
        if actions["planned"]:
            parts.append(f"{count(actions['planned'], 'action')} would be carried out")
    elif actions["done"]:
        parts.append(f"{count(actions['done'], 'action')} done")
    elif any(actions.values()):
        parts.append("no action done")
    for status, words in (("failed", "failed"), ("deferred", "deferred")):
        if actions[status]:
            parts.append(f"{actions[status]:,} {words}")
    if actions["planned"] and not report.check_mode:
        parts.append(f"{actions['planned']:,} planned without a result")
    if not any(actions.values()) and any(checks.values()):
        parts.append(count(sum(checks.values()), "check"))
    gains = totals(report)
    found = [
        f"{checks[status]:,} {words}"
        for status, words in (("crit", "critical"), ("warn", "to watch"), ("unknown", "not measured"))
        if checks[status]
    ]
    if found:
        gains.append(f"{', '.join(found)}")
    elif report.status == "ok" and not any(actions.values()) and any(checks.values()):
        gains.append("all ok")
    return ", ".join(parts) + ("; " + ", ".join(gains) if gains else "") + "."


def headline(report: Report) -> str:
    return f"{verdict(report)} {tally(report)}"


def totals(report: Report) -> list[str]:
    """What the actions added up to: ``["1.9 GiB reclaimed", "120,331 rows deleted"]``; in check mode, as predicted."""
    status, side = ("planned", "predicted") if report.check_mode else ("done", "after")
    return gains([action for target in report.targets for action in target.having(status)], side)


def gains(actions: Sequence[Action], side: str) -> list[str]:
    """What some actions added up to, by their ``after`` or ``predicted``."""
    found = []
    for total, (_keys, unit, words) in zip(sums(actions, side).values(), _SUMS):
        if total:
            found.append(
                f"{units.show(total, unit)} {'would be ' if side == 'predicted' and unit == 'bytes' else ''}{words}"
            )
    return found


def sums(actions: Sequence[Action], side: str) -> dict[str, float]:
    """The same as numbers: ``reclaimed_bytes``, ``rows_deleted`` and ``rows_archived``, 0 where nothing is known."""
    found = {}
    for keys, unit, _words in _SUMS:
        total = sum(_first(action[side], keys) or 0 for action in actions)
        total += sum(shrunk(action, side) for action in actions) if unit == "bytes" else 0
        found["reclaimed_bytes" if unit == "bytes" else keys[0]] = total
    return found


def shrunk(action: Action, side: str = "after") -> float:
    """Bytes by which an action's object got smaller; 0 when it says its own ``bytes_reclaimed``, or did not shrink."""
    if _first(action[side], _SUMS[0][0]) is not None:
        return 0
    for key in _SIZES:
        before, after = action["before"].get(key), action[side].get(key)
        if isinstance(before, (int, float)) and isinstance(after, (int, float)):
            return max(0, before - after)
    return 0


def _first(measures: dict[str, Any], keys: Iterable[str]) -> Optional[float]:
    for key in keys:
        if isinstance(measures.get(key), (int, float)):
            return float(measures[key])
    return None


def why(target: Target) -> str:
    """One sentence: why a target has the status it has. Empty for ok."""
    if target.problems:
        return units.clean(target.problems[0].message)
    failed, deferred = target.having("failed"), target.having("deferred")
    if failed:
        return (
            f"{count(len(failed), 'action')} failed: {title(failed[0]['action'])} {units.clean(failed[0]['subject'])}: "
            + (units.clean(failed[0]["error"] or failed[0]["reason"]))
        )
    if target.status == "findings":
        found = target.reading("crit") or target.reading("warn", "unknown")
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return units.clean(found[0].last["summary"]) + more
    if target.status == "deferred":
        return f"{count(len(deferred), 'action')} left for the next run: {units.clean(deferred[0]['reason'])}"
    return ""


def health_sentence(health: Health) -> str:
    """``17 of 20 services are healthy (85 %); critical: shop, search.``"""
    share = f" ({units.show(health.healthy / health.total, 'ratio')})" if health.total > 1 else ""
    verb = "is" if 1 in (health.healthy, health.total) else "are"
    text = f"{health.healthy:,} of {count(health.total, health.noun)} {verb} healthy{share}"
    for status, said in (("crit", "critical"), ("unknown", "not known")):
        names = [units.clean(unit) for unit, worst in health.worst.items() if worst == status]
        if names:
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            text += f"; {said}: {', '.join(names[:_MOST_NAMES])}{more}"
    return f"{text}."


def change_counts(report: Report) -> dict[str, int]:
    found = Counter(change.kind for _target, change in report.changes)
    return {kind: found[kind] for kind in ("worse", "better", "new", "vanished")}


def changed(report: Report) -> str:
    """One sentence: what is different from the last run; empty where there is none to compare with."""
    if not any(target.past.compared_with for target in report.targets):
        return ""
    named = {"worse": "got worse", "better": "got better", "new": "new", "vanished": "no longer checked"}
    parts = [f"{number:,} {named[kind]}" for kind, number in change_counts(report).items() if number]
    return f"Since the last run: {', '.join(parts)}." if parts else "Since the last run no check changed its status."


def compared(report: Report) -> str:
    """What this run was compared with, and what could not be."""
    whens = sorted({_minute(target.past.compared_with[1]) for target in report.targets if target.past.compared_with})
    text = ""
    if len(whens) == 1:
        text = f"Compared with the run of {whens[0]}."
    elif whens:
        text = f"Compared with the last run of each target, from {whens[0]} on."
    left = Counter(target.past.why_not for target in report.targets if target.past.why_not)
    for why_not, number in left.items():
        which = f" ({count(number, 'target')})" if number < len(report.targets) else ""
        text += f"{' ' if text else ''}{why_not[:-1]}{which}."
    return text


def coming(one: Ahead) -> tuple[str, str]:
    """When a check reaches its limit, and why that is to be expected.

    ``("in 6 days", "38 % now and 2 % more each day; it is critical at 50 %.")``
    """
    check, more = one.check, "more" if one.per_day > 0 else "less"
    unit = str(check["unit"] or "")
    value, limit, daily = (units.show(size, unit) for size in (check["value"], one.limit, abs(one.per_day)))
    word = {"warn": "to watch", "crit": "critical"}[one.status]
    days = int(one.seconds / DAY + 0.01)  # a hair less than 11 days are 11
    when = f"in {count(days, 'day')}" if days else "within a day"
    return when, f"{value} now and {daily} {more} each day; it is {word} at {limit}."


def _minute(moment: str) -> str:
    return f"{moment.replace('T', ' ')[:16]} UTC"


def summary(report: Report, most: int = _MOST) -> list[str]:
    """The lines for a console or a chat: the headline, then the targets that are not ok, worst first."""
    name = playbook_title(report.playbook)
    lines = [f"{name}, run {units.clean(report.run_id)}: {verdict(report)}", tally(report)]
    if report.health:
        lines.append(f"Health: {report.health.status}: {health_sentence(report.health)}")
    lines += [changed(report)] if changed(report) else []
    troubled = [target for target in report.targets if target.status != "ok"]
    lines += [f"{units.clean(target.target)}: {target.status}: {why(target)}" for target in troubled[:most]]
    if len(troubled) > most:
        lines.append(f"… and {len(troubled) - most} more targets that are not ok.")
    return lines


def exit_words(status: str) -> str:
    return "exit status 2" if status in EXIT_2 else "exit status 0"


def calm(report: Report) -> str:
    """What stands where there is no concern: what was looked at, so that silence is not mistaken for health."""
    checks, actions = sum(report.check_counts.values()), sum(report.action_counts.values())
    if checks:
        return f"{count(checks, 'check')} on {count(len(report.targets), 'target')}, and every one of them is ok."
    if actions:
        return "No action failed. No check was made in this run."
    return "No check was made and no action was due."
