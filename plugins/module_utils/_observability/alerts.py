# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Alertmanager holds: firing alerts, silenced and inhibited ones, the watchdog, the cluster; as checks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.fan import fan_out
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import CHECK_STATUSES, Check, CheckType
from ansible_collections.day2.ops.plugins.module_utils._observability.api import Api
from ansible_collections.day2.ops.plugins.module_utils._observability.service import connection, needs_library

ALERTS = "/api/v2/alerts"
STATUS = "/api/v2/status"
SERVER = "server"
WATCHDOG_SUBJECT = "watchdog"
# What a severity means unless the user says otherwise. One that is not known here is taken for a warning.
SEVERITIES = {"critical": "crit", "warning": "warn", "info": "ok", "none": "ok"}
MOST_NAMES = 10

REACHABLE = CheckType("alertmanager_reachable", evidence=("version", "uptime_since"))
FIRING = CheckType("alertmanager_alerts", "count", "above", ("firing", "silenced", "inhibited", "oldest", "names"))
WATCHDOG = CheckType("alertmanager_watchdog", evidence=("alert", "since", "updated"))
CLUSTER = CheckType("alertmanager_cluster", "count", "below", ("state", "expected"))


@dataclass(frozen=True)
class Alert:
    """``state`` is firing, silenced or inhibited."""

    labels: Mapping[str, str]
    state: str
    since: str
    updated: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True)
class Told:
    """What the server said: of itself, of the alerts asked for, of the watchdog."""

    status: Mapping[str, Any]
    alerts: list[Alert]
    watchdog: list[Alert]


def options() -> dict[str, Any]:
    return {
        "filter": {"type": "list", "elements": "str", "default": []},
        "by": {"type": "str", "default": "severity"},
        "severities": {"type": "dict", "default": {}},
        "watchdog": {"type": "str"},
        "expected_peers": {"type": "int"},
    }


def work(run: Run) -> Result:
    """The work of module ``alertmanager_info``."""
    params = run.params
    severities = severities_of(params["severities"])
    if not params["by"].strip():
        raise BadInput("by: is empty; give a label such as severity or alertname.")
    needs_library()
    given = connection(params, run.deadline)
    api = Api("Alertmanager", "", given)
    [told] = fan_out(
        lambda asked: _told(api, asked),
        [params],
        lambda _asked, why: Unreachable(f"Failed to ask Alertmanager: {why}."),
        jobs=1,
        limit=lambda _asked: 3 * float(given["timeout"]),
        deadline=run.deadline,
        look=lambda _done: run.live.check(),
    )
    if isinstance(told, (Unreachable, Refused)):
        advice = "Look whether Alertmanager is up and can be reached from here: without it nobody is called."
        return {"checks": [REACHABLE(SERVER, None, status="crit", summary=str(told), advice=advice)], "actions": []}
    if isinstance(told, OpsError):
        raise told
    checks = [reachable(told.status), cluster(told.status, params["expected_peers"])]
    checks += firing([one for one in told.alerts if one.name != params["watchdog"]], params["by"], severities)
    if params["watchdog"]:
        checks.append(watchdog(params["watchdog"], told.watchdog))
    return {"checks": checks, "actions": []}


def _told(api: Api, params: Mapping[str, Any]) -> Union[Told, OpsError]:
    try:
        status = api.ask(STATUS, {})
        alerts = ask(api, params["filter"])
        dog = ask(api, [_named(params["watchdog"])]) if params["watchdog"] else []
        # Looked into here, where it is known what to say of an answer in another form.
        reachable(status), cluster(status, None)
    except OpsError as error:
        return error
    except (KeyError, TypeError, AttributeError, ValueError):
        return api.another()
    return Told(status, alerts, dog)


def severities_of(given: Mapping[str, Any]) -> dict[str, str]:
    """What each severity means; :class:`BadInput` names a mistake. Pure."""
    for name, status in given.items():
        if status not in CHECK_STATUSES:
            raise BadInput(f"severities.{name}: {status!r} is no status; use one of {', '.join(CHECK_STATUSES)}.")
    return {**SEVERITIES, **{str(name): str(status) for name, status in given.items()}}


def ask(api: Api, matchers: Sequence[str]) -> list[Alert]:
    """The alerts that have not ended and that all ``matchers`` fit, which are written as Alertmanager writes them."""
    told = api.ask(ALERTS, {"filter": list(matchers)}, asked="a filter")
    if not isinstance(told, list):
        raise api.another()
    return [_alert(one) for one in told]


def _alert(one: Mapping[str, Any]) -> Alert:
    status = one["status"]
    state = "firing"
    if status["state"] == "suppressed":
        state = "silenced" if status.get("silencedBy") else "inhibited"
    return Alert(dict(one["labels"]), state, str(one["startsAt"]), str(one.get("updatedAt") or ""))


def _named(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'alertname="{escaped}"'


def reachable(status: Mapping[str, Any]) -> Check:
    version = status["versionInfo"]["version"]
    return REACHABLE(
        SERVER,
        None,
        status="ok",
        summary=f"Alertmanager {version} answers.",
        version=str(version),
        uptime_since=str(status.get("uptime") or ""),
    )


def cluster(status: Mapping[str, Any], expected: Optional[int]) -> Check:
    """``disabled`` is the state of one that stands alone."""
    state, peers = str(status["cluster"]["status"]), len(status["cluster"].get("peers") or [])
    alone = state == "disabled"
    verdict = None if state == "ready" or alone else "warn"
    there = 1 if alone else peers
    if expected is not None and there < expected:
        verdict = "crit" if there * 2 <= expected else "warn"
    known = f", of {expected} expected" if expected is not None else ""
    return CLUSTER(
        SERVER,
        there,
        status=verdict or "ok",
        summary=f"The cluster is {state}; {there} peer{'' if there == 1 else 's'}{known}.",
        advice="Look at the peers' addresses and logs: peers that do not know of each other notify twice.",
        state=state,
        expected=expected,
    )


def firing(alerts: Sequence[Alert], by: str, severities: Mapping[str, str]) -> list[Check]:
    """One check for each value of the label ``by``; of severities also for those that have no alert now. Pure."""
    groups: dict[str, list[Alert]] = {name: [] for name in severities} if by == "severity" else {}
    for one in alerts:
        groups.setdefault(one.labels.get(by, f"without {by}"), []).append(one)
    if not groups:
        return [_group("all", [], severities)]
    return [_group(name, group, severities) for name, group in sorted(groups.items())]


def _group(name: str, alerts: Sequence[Alert], severities: Mapping[str, str]) -> Check:
    count = Counter(one.state for one in alerts)
    active = [one for one in alerts if one.state == "firing"]
    statuses = {severities.get(one.labels.get("severity", ""), "warn") for one in active}
    worst = next((status for status in ("crit", "warn", "unknown") if status in statuses), "ok")
    names = Counter(one.name for one in active)
    told = ", ".join(name for name, _times in names.most_common(MOST_NAMES))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    quiet = ", ".join(f"{count[state]} {state}" for state in ("silenced", "inhibited") if count[state])
    summary = f"{len(active)} alert{'' if len(active) == 1 else 's'} firing{f': {told}{more}' if told else ''}"
    return FIRING(
        name,
        len(active),
        status=worst,
        summary=f"{summary}{f'; {quiet}' if quiet else ''}.",
        advice="Look at them in Alertmanager; each one's annotations say what to do.",
        firing=len(active),
        silenced=count["silenced"],
        inhibited=count["inhibited"],
        oldest=min((one.since for one in active), default=None),
        names=told or None,
    )


def watchdog(name: str, alerts: Sequence[Alert]) -> Check:
    """An alert that always fires: it shows that alerts arrive. Silenced or not, it has arrived."""
    newest = max(alerts, key=lambda one: one.updated, default=None)
    there = newest is not None
    return WATCHDOG(
        WATCHDOG_SUBJECT,
        None,
        status="ok" if there else "crit",
        summary=f"{name} {'fires, as it must: alerts arrive' if there else 'does not fire, as it must'}.",
        advice="Look whether Prometheus evaluates its rules and reaches this Alertmanager: alerts may get lost.",
        alert=name,
        since=newest.since if newest else None,
        updated=newest.updated if newest else None,
    )
