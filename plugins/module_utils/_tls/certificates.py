# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find certificates where the options say they are, and judge them: the work of module ``certificate_info``."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Mapping, Optional, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.fan import fan_out
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits, complete
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._tls import chain, checks, dial, read
from ansible_collections.day2.ops.plugins.module_utils._tls.checks import Known

MOST_JOBS = 128


@dataclass(frozen=True)
class Wanted:
    """One certificate to look at: in a file, in a text, or at a server (``place``)."""

    name: str
    names: tuple[str, ...]
    verify: bool
    limits: Limits
    place: Optional[dial.Place] = None
    path: Optional[str] = None
    content: Optional[str] = None
    passphrase: Optional[str] = None
    ca_cert: Optional[str] = None


def certificate_spec() -> ArgumentSpec:
    one: dict[str, Any] = {
        "name": {"type": "str"},
        "path": {"type": "path"},
        "content": {"type": "str", "no_log": True},
        "passphrase": {"type": "str", "no_log": True},
        "host": {"type": "str"},
        "port": {"type": "int", "default": 443},
        "server_name": {"type": "str"},
        "starttls": {"type": "str", "choices": list(dial.STARTTLS), "default": "none"},
        "names": {"type": "list", "elements": "str", "default": []},
        "ca_cert": {"type": "path"},
        "verify": {"type": "bool"},
        "thresholds": {"type": "dict", "default": {}},
    }
    sources = [["path", "content", "host"]]
    return ArgumentSpec(
        {
            "certificates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": one,
                "mutually_exclusive": sources,
                "required_one_of": sources,
                "required_by": {"content": ["name"], "server_name": ["host"]},
            },
            "ca_cert": {"type": "path"},
            "thresholds": {"type": "dict", "default": {}},
            "connect_timeout": {"type": "float", "default": 5.0},
            "jobs": {"type": "int", "default": 32},
        }
    )


def wanted_of(params: Mapping[str, Any]) -> list[Wanted]:
    """The certificates that the options ask for; :class:`BadInput` names a mistake."""
    limits = complete(params["thresholds"], checks.DEFAULTS)
    timeout = params["connect_timeout"]
    if timeout <= 0:
        raise BadInput(f"connect_timeout: {timeout:g} is too little; give a number of seconds above 0.")
    if not 1 <= params["jobs"] <= MOST_JOBS:
        raise BadInput(f"jobs: {params['jobs']} is out of range; give 1 to {MOST_JOBS}.")
    given = params["certificates"]
    found = [_wanted(one, f"certificates[{number}]", params, limits) for number, one in enumerate(given)]
    names: set[str] = set()
    for number, each in enumerate(found):
        if each.name in names:
            raise BadInput(f"certificates[{number}].name: {each.name!r} is there twice; give each one its own name.")
        names.add(each.name)
    return found


def _wanted(given: Mapping[str, Any], option: str, params: Mapping[str, Any], limits: Limits) -> Wanted:
    ca_cert = given.get("ca_cert") or params.get("ca_cert")
    if ca_cert:
        where = f"{option}.ca_cert" if given.get("ca_cert") else "ca_cert"
        try:
            chain.trusted(ca_cert)
        except OpsError as error:
            raise BadInput(f"{where}: {error}") from error
    limits = complete(given["thresholds"], limits, f"{option}.thresholds")
    verify = given.get("verify")
    common: dict[str, Any] = {"limits": limits, "ca_cert": ca_cert, "passphrase": given.get("passphrase")}
    if given.get("host"):
        place = _place(given, option, ca_cert)
        title = given.get("name") or (
            f"{place.name} at {place}" if place.name not in (None, place.host) else str(place)
        )
        names = tuple(given["names"]) or (place.name or place.host,)
        return Wanted(title, names, verify is not False, place=place, **common)
    title = given.get("name") or given["path"]
    verified = bool(given.get("ca_cert")) if verify is None else verify
    common |= {"path": given.get("path"), "content": given.get("content")}
    return Wanted(title, tuple(given["names"]), verified, **common)


def _place(given: Mapping[str, Any], option: str, ca_cert: Optional[str]) -> dial.Place:
    host, port = given["host"].strip(), given["port"]
    if not host or "/" in host or " " in host:
        raise BadInput(f"{option}.host: {given['host']!r} is no host; give its name or its IP address alone.")
    if not 0 < port < 65536:
        raise BadInput(f"{option}.port: {port} is no port; give one from 1 to 65535.")
    name = given.get("server_name") or (None if is_address(host) else host)
    return dial.Place(host, port, name, given["starttls"], ca_cert)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def work(run: Run) -> Result:
    params = run.params
    read.needs_library()
    wanted = wanted_of(params)
    found = fan_out(
        partial(_examined, run, params["connect_timeout"]),
        wanted,
        _late,
        jobs=params["jobs"],
        # Its own end comes first, but for what no library bounds, such as the resolution of a name.
        limit=lambda _one: float(params["connect_timeout"]),
        deadline=run.deadline,
        look=partial(_look, run, len(wanted)),
    )
    return {"checks": [check for each in found for check in each], "actions": []}


def _look(run: Run, all_of_them: int, done: int) -> None:
    run.live.check()
    run.live.progress(f"certificates: {done} of {all_of_them}", done / all_of_them if all_of_them else None)


def _late(one: Wanted, why: str) -> list[Check]:
    return [checks.unknown(one.name, f"Failed to read {one.place or one.path or one.name}: {why}.")]


def _examined(run: Run, timeout: float, one: Wanted) -> list[Check]:
    left = run.deadline.left()
    until = time.monotonic() + (timeout if left is None else min(timeout, left))
    known = know(one, until)
    if isinstance(known, OpsError):
        return [checks.unknown(one.name, str(known))]
    return checks.checks(one.name, known, one.names, one.limits, clock.now())


def know(one: Wanted, until: float) -> Union[Known, OpsError]:
    """The certificates, and whether they are trusted; or why they cannot be read."""
    try:
        if one.place is not None:
            return serve(one.place, until, verify=one.verify)
        if one.path is not None:
            held = read.from_file(one.path, one.passphrase)
        else:
            held = read.from_text(one.content or "", one.name, one.passphrase)
        return _stored(held, one)
    except OpsError as error:
        return error


def serve(place: dial.Place, until: float, *, verify: bool = True) -> Known:
    """What a server serves. OpenSSL judges the chain; where it refuses, the words are ours if we see why."""
    served = dial.capture(place, until)
    sent = read.from_der(served.sent, str(place))
    if not sent:
        raise OpsError(f"Failed to greet {place}: it shows no certificate.")
    if served.path:
        path = read.from_der(served.path, str(place))
        return Known(tuple(sent), tuple(path), "" if verify else None, served.protocol)
    way = chain.way(sent[0], sent[1:], chain.trusted(place.ca_cert), clock.now())
    trouble = way.trouble or served.trouble
    return Known(tuple(sent), way.path, trouble if verify else None, served.protocol)


def _stored(held: Sequence[Any], one: Wanted) -> Known:
    if not one.verify:
        return Known(tuple(held), tuple(held))
    way = chain.way(held[0], held[1:], chain.trusted(one.ca_cert), clock.now())
    return Known(tuple(held), way.path, way.trouble)
