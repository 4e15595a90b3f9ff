# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries with thresholds, as checks: options in, questions asked, verdicts out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.fan import fan_out
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType, judge
from ansible_collections.day2.ops.plugins.module_utils._observability import series
from ansible_collections.day2.ops.plugins.module_utils._observability.prometheus import Prometheus
from ansible_collections.day2.ops.plugins.module_utils._observability.service import connection, needs_library

UNITS = ("", "bytes", "seconds", "ratio", "count")
EVIDENCE = ("query", "series", "points", "newest", "take", "warnings")
MOST_SERIES = 500
MOST_WORDS = 300


@dataclass(frozen=True)
class Query:
    """A question and what its answer means. ``span``: over time, ``at``: at one time, neither: now."""

    option: str
    name: str
    query: str
    unit: str = ""
    warn: Optional[float] = None
    crit: Optional[float] = None
    bad: str = "above"
    label: Optional[str] = None
    absent: str = "unknown"
    at: Optional[float] = None
    span: Optional[series.Span] = None
    take: Optional[str] = None


def range_options() -> dict[str, Any]:
    return {
        "start": {"type": "str", "required": True},
        "end": {"type": "str", "default": "now"},
        "step": {"type": "str"},
        "take": {"type": "str", "choices": sorted(series.TAKES), "default": "max"},
    }


def query_options() -> dict[str, Any]:
    return {
        "name": {"type": "str", "required": True},
        "query": {"type": "str", "required": True},
        "unit": {"type": "str", "choices": list(UNITS), "default": ""},
        "warn": {"type": "float"},
        "crit": {"type": "float"},
        "bad": {"type": "str", "choices": ["above", "below"], "default": "above"},
        "subject_label": {"type": "str"},
        "absent": {"type": "str", "choices": ["unknown", "ok", "warn", "crit"], "default": "unknown"},
        "max_age": {"type": "str"},
        "at": {"type": "str"},
        "range": {"type": "dict", "options": range_options()},
    }


def queries_of(given: Sequence[Mapping[str, Any]], now: float) -> list[Query]:
    """The queries of option ``queries``; :class:`BadInput` names a mistake. Pure."""
    found = [_query(one, f"queries[{number}]", now) for number, one in enumerate(given)]
    names: set[str] = set()
    for one in found:
        if one.name in names:
            raise BadInput(
                f"{one.option}.name: {one.name!r} is taken by another query; give each one a name of its own."
            )
        names.add(one.name)
    return found


def _query(given: Mapping[str, Any], option: str, now: float) -> Query:
    if not given["query"].strip() or not given["name"].strip():
        raise BadInput(f"{option}: its name or query is empty; give both.")
    if given.get("at") and given.get("range"):
        raise BadInput(f"{option}.at: has no meaning beside {option}.range; remove one of them.")
    warn, crit, bad = given.get("warn"), given.get("crit"), given.get("bad") or "above"
    if warn is not None and crit is not None and (warn > crit if bad == "above" else warn < crit):
        raise BadInput(f"{option}.warn: comes after {option}.crit; exchange them, or change {option}.bad.")
    query = given["query"].strip()
    if given.get("max_age"):
        # A value may be five minutes old; the server does not tell, but for the series that it read itself.
        age = series.seconds(given["max_age"], f"{option}.max_age")
        query = f"({query}) and ((time() - timestamp({query})) <= {age:g})"
    around = given.get("range")
    return Query(
        option,
        given["name"].strip(),
        query,
        given.get("unit") or "",
        warn,
        crit,
        bad,
        given.get("subject_label"),
        given.get("absent") or "unknown",
        series.moment(given["at"], f"{option}.at", now) if given.get("at") else None,
        series.span(around, f"{option}.range", now) if around else None,
        around["take"] if around else None,
    )


def work(run: Run) -> Result:
    """The work of module ``prometheus_info``."""
    params = run.params
    wanted = queries_of(params["queries"], time.time())
    if params["jobs"] < 1:
        raise BadInput(f"jobs: {params['jobs']} is too little; give 1 or more.")
    needs_library()
    given = connection(params, run.deadline)
    server = Prometheus(given, "")
    answers = fan_out(
        lambda one: _asked(server, one),
        wanted,
        lambda one, why: OpsError(f"Failed to ask Prometheus: {why}."),
        jobs=params["jobs"],
        # A long range is asked for in parts, one after the other.
        limit=lambda one: given["timeout"] * (len(one.span.parts()) if one.span else 1),
        deadline=run.deadline,
        look=lambda done: _look(run, done, len(wanted)),
    )
    checks = [check for one, told in zip(wanted, answers) for check in checks_of(one, told)]
    for told in answers:
        if isinstance(told, BadInput):
            raise BadInput(str(told), checks=checks)
    return {"checks": checks, "actions": []}


def _look(run: Run, done: int, all_of_them: int) -> None:
    run.live.check()
    run.live.progress(f"asking Prometheus: {done} of {all_of_them}", done / all_of_them if all_of_them else None)


def _asked(server: Prometheus, one: Query) -> Union[series.Found, OpsError]:
    try:
        return server.points(one.query, one.span) if one.span else server.instant(one.query, one.at)
    except BadInput as error:
        # The one error that a change of the options would mend.
        return BadInput(f"{one.option}.query: {error}")
    except OpsError as error:
        return error


def checks_of(one: Query, told: Union[series.Found, OpsError]) -> list[Check]:
    """The verdicts on an answer, or on there being none. Pure."""
    kind = CheckType("prometheus_query", one.unit, one.bad, EVIDENCE)
    basis: dict[str, Any] = {"warn": one.warn, "crit": one.crit, "query": one.query[:MOST_WORDS]}
    if isinstance(told, OpsError):
        advice = "Look whether Prometheus is up and can be reached from here."
        return [kind(one.name, None, status="unknown", summary=str(told), advice=advice, **basis)]
    basis |= {"series": len(told.series), "warnings": "; ".join(told.warnings)[:MOST_WORDS] or None, "take": one.take}
    if told.kind == "string" or (told.kind == "matrix" and not one.span):
        why = (
            f"The query comes to a {told.kind}, not to a number; wrap it in a function such as rate() or give a range."
        )
        return [kind(one.name, None, status="unknown", summary=why, **basis)]
    if not told.series:
        return [_absent(kind, one, one.name, "The query finds nothing.", told, basis)]
    if one.label is None and len(told.series) > 1:
        why = f"The query finds {len(told.series)} series."
        advice = "Make them one, with max() or sum(), or set subject_label to the label that tells them apart."
        return [kind(one.name, None, status="unknown", summary=why, advice=advice, **basis)]
    return _each(kind, one, told, basis)


def _each(kind: CheckType, one: Query, told: series.Found, basis: Mapping[str, Any]) -> list[Check]:
    by_subject: dict[str, list[series.Series]] = {}
    for found in told.series[:MOST_SERIES]:
        subject = one.name if one.label is None else f"{one.name} {found.labels.get(one.label, 'without ' + one.label)}"
        by_subject.setdefault(subject, []).append(found)
    checks = []
    for subject, alike in sorted(by_subject.items()):
        if len(alike) > 1:
            why = f"{len(alike)} series have the same {one.label}, so it is not known which one counts."
            advice = "Aggregate by the label that subject_label names, as in max by (instance) (...)."
            checks.append(kind(subject, None, status="unknown", summary=why, advice=advice, **basis))
        else:
            checks.append(_judged(kind, one, subject, alike[0], told, basis))
    if len(told.series) > MOST_SERIES:
        why = f"The query finds {len(told.series)} series; only {MOST_SERIES} of them are judged."
        checks.append(
            kind(one.name, None, status="unknown", summary=why, advice="Ask for fewer, with topk().", **basis)
        )
    return checks


def _judged(
    kind: CheckType, one: Query, subject: str, found: series.Series, told: series.Found, basis: Mapping[str, Any]
) -> Check:
    value = series.value_of(found, one.take)
    if value is None:
        why = "The query comes to NaN, not to a number." if found.points else "The query comes to a histogram."
        return _absent(kind, one, subject, why, told, basis)
    status = _trusted(judge(value, one.warn, one.crit, one.bad), told)
    finite = math.isfinite(value)
    newest = clock.iso(clock.after(series.EPOCH, found.points[-1][0]))
    return kind(
        subject,
        value if finite else None,  # a record has no infinity
        status=status,
        summary=f"It is {value:g}{f' ({one.take} of {len(found.points)} points)' if one.take else ''}.{_missing(told)}",
        advice=f"Look at the query in Prometheus: {one.query[:MOST_WORDS]}",
        **basis,
        points=len(found.points),
        newest=newest,
    )


def _absent(kind: CheckType, one: Query, subject: str, why: str, told: series.Found, basis: Mapping[str, Any]) -> Check:
    advice = "See that what exports it is scraped; set absent: ok where nothing is good news."
    status = _trusted(one.absent, told)
    return kind(subject, None, status=status, summary=f"{why}{_missing(told)}", advice=advice, **basis)


def _trusted(status: str, told: series.Found) -> str:
    """All is well only where all was seen."""
    return "unknown" if status == "ok" and told.partial else status


def _missing(told: series.Found) -> str:
    return f" The answer is partial: {'; '.join(told.warnings)[:MOST_WORDS].rstrip('.')}." if told.partial else ""
