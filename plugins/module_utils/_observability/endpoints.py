# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints of HTTP services, visited and judged: the work of module ``http_health_info``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Mapping, Optional, Sequence, Union
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.fan import fan_out
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits, complete
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._observability import assertions, verdicts
from ansible_collections.day2.ops.plugins.module_utils._observability.service import (
    Answer,
    Service,
    http_constraints,
    http_options,
    needs_library,
)
from ansible_collections.day2.ops.plugins.module_utils._tls import chain, read
from ansible_collections.day2.ops.plugins.module_utils._tls.certificates import is_address, serve
from ansible_collections.day2.ops.plugins.module_utils._tls.checks import Known
from ansible_collections.day2.ops.plugins.module_utils._tls.dial import Place

MOST_JOBS = 128
MOST_SAMPLES = 1000
# Names of headers whose values are secrets, by what is in them.
SECRET_HEADERS = ("authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "credential")


@dataclass(frozen=True)
class Endpoint:
    """One page, and what it must be like. ``params`` are its options."""

    option: str
    params: Mapping[str, Any]
    limits: Limits
    service: Service

    @property
    def name(self) -> str:
        return str(self.params["name"])

    @property
    def place(self) -> Optional[Place]:
        """Where its certificate is served."""
        parts = urlsplit(self.params["url"])
        host = parts.hostname or ""
        if parts.scheme != "https":
            return None
        return Place(host, parts.port or 443, None if is_address(host) else host, "none", self.params.get("ca_cert"))


@dataclass(frozen=True)
class Visit:
    """What came of an endpoint: the last answer, or why there was none, and the seconds of those that came."""

    answer: Union[Answer, OpsError]
    seconds: tuple[float, ...] = ()
    certificate: Union[Known, OpsError, None] = None


def endpoint_spec() -> ArgumentSpec:
    one: dict[str, Any] = {
        "name": {"type": "str", "required": True},
        **http_options(),
        "method": {"type": "str", "choices": ["GET", "HEAD"], "default": "GET"},
        "status": {"type": "list", "elements": "int", "default": [200]},
        "headers": {"type": "dict", "default": {}},
        "secret_headers": {"type": "dict", "default": {}, "no_log": True},
        "json": {"type": "list", "elements": "dict", "default": [], "options": assertions.assertion_options()},
        "body_regex": {"type": "str"},
        "samples": {"type": "int", "default": 1},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path", "no_log": False},
        "follow_redirects": {"type": "bool", "default": False},
        "thresholds": {"type": "dict", "default": {}},
    }
    endpoints = {"type": "list", "elements": "dict", "required": True, "options": one, **http_constraints()}
    endpoints["required_by"] = {"client_key": ["client_cert"]}
    return ArgumentSpec(
        {
            "endpoints": endpoints,
            "thresholds": {"type": "dict", "default": {}},
            "jobs": {"type": "int", "default": 16},
        }
    )


def endpoints_of(params: Mapping[str, Any]) -> list[Endpoint]:
    """The endpoints of the options; :class:`BadInput` names a mistake."""
    limits = complete(params["thresholds"], verdicts.DEFAULTS)
    if not 1 <= params["jobs"] <= MOST_JOBS:
        raise BadInput(f"jobs: {params['jobs']} is out of range; give 1 to {MOST_JOBS}.")
    found = [_endpoint(one, f"endpoints[{number}]", limits) for number, one in enumerate(params["endpoints"])]
    names: set[str] = set()
    for each in found:
        if each.name in names:
            raise BadInput(f"{each.option}.name: {each.name!r} is there twice; give each endpoint a name of its own.")
        names.add(each.name)
    return found


def _endpoint(given: Mapping[str, Any], option: str, limits: Limits) -> Endpoint:
    if not given["name"].strip():
        raise BadInput(f"{option}.name: is empty; give the name that reports shall show.")
    if not given["status"]:
        raise BadInput(f"{option}.status: is empty; give the statuses that are good, such as [200].")
    if not 1 <= given["samples"] <= MOST_SAMPLES:
        raise BadInput(f"{option}.samples: {given['samples']} is out of range; give 1 to {MOST_SAMPLES}.")
    for name in given["headers"]:
        if any(word in str(name).lower().replace("_", "-") for word in SECRET_HEADERS):
            raise BadInput(f"{option}.headers: {name} is a secret; give it in {option}.secret_headers.")
    if given["method"] == "HEAD" and (given["json"] or given.get("body_regex")):
        raise BadInput(f"{option}.method: HEAD brings no body to look into; use GET.")
    assertions.checked(given["json"], f"{option}.json")
    if given.get("body_regex"):
        assertions.pattern(given["body_regex"], f"{option}.body_regex")
    if given.get("ca_cert"):
        try:
            chain.trusted(given["ca_cert"])
        except OpsError as error:
            raise BadInput(f"{option}.ca_cert: {error}") from error
    own = complete(given["thresholds"], limits, f"{option}.thresholds")
    return Endpoint(option, given, own, Service(given["name"], option, given, page=True))


def work(run: Run) -> Result:
    needs_library()
    if any(str(one["url"]).startswith("https:") for one in run.params["endpoints"]):
        read.needs_library()
    wanted = endpoints_of(run.params)
    visits = fan_out(
        partial(_visited, run),
        wanted,
        lambda one, why: Visit(Unreachable(f"Failed to ask {one.name} at {one.service.url}: {why}.")),
        jobs=run.params["jobs"],
        # Each request has its own end, but for what the library does not bound: names, and headers that drip.
        limit=lambda one: one.params["timeout"] * (one.params["samples"] + 1),
        deadline=run.deadline,
        look=partial(_look, run, len(wanted)),
    )
    found = [check for one, visit in zip(wanted, visits) for check in _checks(one, visit)]
    return {"checks": found, "actions": []}


def _look(run: Run, all_of_them: int, done: int) -> None:
    run.live.check()
    run.live.progress(f"endpoints: {done} of {all_of_them}", done / all_of_them if all_of_them else None)


def _visited(run: Run, one: Endpoint) -> Visit:
    left = run.deadline.left()
    timeout = one.params["timeout"] if left is None else max(0.05, min(one.params["timeout"], left))
    service = Service(one.name, one.option, {**one.params, "timeout": timeout}, page=True)
    headers = {
        str(name): str(value) for name, value in {**one.params["headers"], **one.params["secret_headers"]}.items()
    }
    seconds: list[float] = []
    answer: Union[Answer, OpsError] = Unreachable("nothing was asked")
    with service.session() as session:
        for _number in range(one.params["samples"]):
            if seconds and run.deadline.expired():
                break
            began = time.monotonic()
            try:
                answer = service.visit(session, one.params["method"], headers, one.params["follow_redirects"])
            except OpsError as error:
                answer = error
                break
            seconds.append(time.monotonic() - began)
    return Visit(answer, tuple(seconds), _certificate(one, answer, timeout))


def _certificate(one: Endpoint, answer: Union[Answer, OpsError], timeout: float) -> Union[Known, OpsError, None]:
    """By a handshake of its own, also where the service's was refused: then it tells why."""
    if one.place is None:
        return None
    if isinstance(answer, OpsError) and not isinstance(answer, Refused):
        return answer
    try:
        return serve(one.place, time.monotonic() + timeout)
    except OpsError as error:
        return error


def _checks(one: Endpoint, visit: Visit) -> Sequence[Check]:
    name, params = one.name, one.params
    status = verdicts.status(name, visit.answer, params["status"], one.service.url, params["method"])
    found = [status, verdicts.latency(name, visit.answer, visit.seconds, one.limits)]
    if params["json"]:
        found.append(verdicts.json(name, visit.answer, params["json"]))
    if params.get("body_regex"):
        found.append(verdicts.body(name, visit.answer, params["body_regex"]))
    if one.place is not None:
        told = visit.certificate or OpsError("It was not looked at: the time was over.")
        wanted = urlsplit(params["url"]).hostname or ""
        found.append(verdicts.certificate(name, told, wanted, one.limits, clock.now()))
    return found
