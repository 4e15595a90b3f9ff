# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run leaves to the next one. Pure: the old history and the lines of the record in, the new history out."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

# Newest last; the object has to stay small.
MAX_OUTCOMES = 200
MAX_NAMES = 2000
# Shorter work says nothing about a rate.
LEAST_SECONDS = 0.5
WORKING = ("run", "plan")


def remembered(
    old: Mapping[str, Any], lines: Iterable[Mapping[str, Any]], learnt: Mapping[str, Any], run_id: str, now: str
) -> dict[str, Any]:
    """The history after a run.

    ``throughput``: by kind of action what its prediction counts per second, bytes or rows. ``deferred``: by module,
    how often in a row each "action subject" was left. ``raised``: thresholds by object. ``bytes_per_row``: the best
    known, by object. ``outcomes``: predicted and actual, of the last actions.
    """
    worked = worked_lines(lines)
    actions = [action for line in worked for action in line["actions"]]
    done = [action for action in actions if action["status"] == "done"]
    return {
        **old,
        "run_id": run_id,
        "updated": now,
        "throughput": _throughput(old.get("throughput") or {}, done),
        "deferred": {**(old.get("deferred") or {}), **_deferred(old.get("deferred") or {}, worked)},
        "raised": _bounded({**(old.get("raised") or {}), **_raised(done)}),
        "bytes_per_row": _bounded(_best(old.get("bytes_per_row") or {}, learnt.get("bytes_per_row") or {}, done)),
        "outcomes": [*(old.get("outcomes") or []), *map(_outcome, done)][-MAX_OUTCOMES:],
    }


def worked_lines(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of the work; of the rehearsal for a module that did not get to work, and nothing of check mode runs."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    last: dict[str, str] = {}
    for line in lines:
        step, module = line.get("step"), str(line.get("module"))
        if step not in WORKING or "actions" not in line:
            continue
        if last.get(module) != step:
            found[module], last[module] = [], str(step)
        found[module].append(line)
    return [line for ours in found.values() for line in ours]


def _deferred(old: Mapping[str, Mapping[str, int]], lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The counters of the modules that worked: one more where something was left again, gone where it was not."""
    counts: dict[str, dict[str, int]] = {}
    for line in lines:
        module = str(line["module"]).rpartition(".")[2]
        mine = counts.setdefault(module, {})
        if line.get("failed") and not line["actions"]:  # it did not get as far as planning
            mine.update(old.get(module) or {})
        for action in line["actions"]:
            if action["status"] == "deferred":
                key = f"{action['action']} {action['subject']}"
                mine[key] = int((old.get(module) or {}).get(key, 0)) + 1
    return counts


def _throughput(old: Mapping[str, float], done: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The old rate and what was seen, averaged, one action after the other."""
    rates = dict(old)
    for action in done:
        predicted, seconds = action["predicted"], action["after"].get("seconds") or 0.0
        if min(seconds, predicted.get("seconds") or 0.0) <= LEAST_SECONDS or not predicted.get("rate"):
            continue
        seen = predicted["rate"] * predicted["seconds"] / seconds
        kind = action["action"]
        rates[kind] = round((rates[kind] + seen) / 2 if kind in rates else seen)
    return rates


def _raised(done: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    return {action["subject"]: action["after"]["threshold"] for action in done if action["after"].get("threshold")}


def _best(old: Mapping[str, float], seen: Mapping[str, float], done: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The least bytes per row; what was just rebuilt is as good as it gets, also when that is more than before."""
    best = dict(old)
    for name, value in seen.items():
        best[name] = round(min(value, best.get(name, value)), 3)
    for action in done:
        after = action["after"]
        if action["action"] == "reindex" and after.get("rows") and after.get("bytes"):
            best[action["subject"]] = round(after["bytes"] / after["rows"], 3)
    return best


def _bounded(values: dict[str, float]) -> dict[str, float]:
    """The last that came in."""
    return dict(list(values.items())[-MAX_NAMES:])


def _outcome(action: Mapping[str, Any]) -> dict[str, Any]:
    predicted, after = action["predicted"], action["after"]
    size = "bytes_reusable" if "bytes_reusable" in predicted else "bytes_reclaimed"
    return {
        "at": action["ended"],
        "action": action["action"],
        "subject": action["subject"],
        "predicted_seconds": predicted.get("seconds"),
        "seconds": after.get("seconds"),
        "predicted_bytes": predicted.get(size),
        "bytes": after.get(size),
    }
