# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To a point in time with pgBackRest: a copy of the server as it was, in a folder of its own, with proof of where the
replay stopped. The original is never touched, and may be gone."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Deferred, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run, missing_library
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._physical import (
    copy_place,
    pitr_plan,
    pitr_replay,
    pitr_server,
    types,
    waltail,
)
from ansible_collections.day2.ops.plugins.module_utils._physical import stanza as stanzas
from ansible_collections.day2.ops.plugins.module_utils._physical.copy_place import Place
from ansible_collections.day2.ops.plugins.module_utils._physical.pitr_replay import Site, Wanted
from ansible_collections.day2.ops.plugins.module_utils._physical.stanza import Backup
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration


def options() -> ArgumentSpec:
    return ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "data_dir": {"type": "path", "required": True},
            "target_time": {"type": "str"},
            "target_action": {"type": "str", "choices": ["promote", "pause"], "default": "promote"},
            "pgbackrest": {"type": "dict", "options": stanzas.program_options()},
            "bin_dir": {"type": "path"},
            "copy_port": {"type": "int", "default": 5433},
            "listen_addresses": {"type": "str", "default": ""},
            "login_user": {"type": "str", "default": "postgres"},
            "settings": {"type": "dict", "default": {}},
        },
        required_if=[("state", "started", ("target_time", "pgbackrest"))],
    )


def wanted_of(params: Mapping[str, Any]) -> Wanted:
    """What is asked for with ``state=started``. :class:`BadInput` for what cannot be meant."""
    clashing = sorted(name for name in params["settings"] if name.lower() in pitr_server.RESERVED)
    if clashing:
        raise BadInput(f"settings: {clashing[0]} cannot be set for a copy; leave it out.")
    if not 0 < params["copy_port"] < 65536:
        raise BadInput(f"copy_port: {params['copy_port']} is not a port; give one from 1 to 65535.")
    return Wanted(
        target=clock.parse(params["target_time"], "target_time"),
        action=params["target_action"],
        port=params["copy_port"],
        listen=params["listen_addresses"],
        user=params["login_user"],
        settings={name: str(value) for name, value in params["settings"].items()},
    )


def point_in_time(run: Run) -> Result:
    """The work of module ``postgresql_point_in_time_restore``."""
    place = copy_place.look(run.params["data_dir"])
    if run.params["state"] != "started":
        return _take_away(run, place)
    # Without it nothing could be proven, which should not be found out after a restore.
    if importlib.util.find_spec("psycopg2") is None:
        missing_library("psycopg2-binary", sys.executable)
    wanted = wanted_of(run.params)
    pitr_server.check_socket(place.beside, wanted.port)
    # The guard is forked before there is any thread.
    with Guard() as guard:
        if place.state == copy_place.OURS and _as_wanted(place, run.params, wanted):
            return _again(run, guard, place, wanted)
        return _anew(run, guard, place, wanted)


def _as_wanted(place: Place, params: Mapping[str, Any], wanted: Wanted) -> bool:
    about = {"status": "proven", "target": pitr_plan.text(wanted.target), "action": wanted.action}
    about["stanza"] = params["pgbackrest"]["stanza"]
    return all(place.marker.get(key) == value for key, value in about.items())


def _take_away(run: Run, place: Place) -> Result:
    """States stopped and absent. Only what is ours by both markers."""
    if place.state == copy_place.FOREIGN:
        copy_place.require_free(place)
    why = f"state is {run.params['state']}"
    actions = []
    if place.pid is not None:
        actions.append(types.STOP.plan(place.path, why, before={"port": place.marker.get("port")}))
    if run.params["state"] == "absent" and (place.state == copy_place.OURS or os.path.isdir(place.beside)):
        actions.append(types.REMOVE.plan(place.path, why, before={"bytes": copy_place.used_bytes(place)}))
    settle(run, actions, together=True)
    if _planned(actions) and not run.check_mode:
        with copy_place.held(place):
            for action in actions:
                records.begin(action)
                if action["action"] == types.STOP.name:
                    pitr_server.stop(run, place)
                else:
                    copy_place.remove(place)
                records.finish(action)
    return {"checks": [], "actions": actions, "copy": None}


def _again(run: Run, guard: Guard, place: Place, wanted: Wanted) -> Result:
    """A copy that was proven: it is only started when it does not run."""
    marker = place.marker
    actions = []
    if place.pid is None:
        reason = f"the copy of {marker['target']} is there and proven, and does not run"
        actions.append(types.START.plan(place.path, reason, predicted={"port": wanted.port}))
        settle(run, actions)
        folder = pitr_server.programs(run.params["bin_dir"], marker["version"])
        if _planned(actions) and not run.check_mode:
            with copy_place.held(place):
                records.begin(actions[0])
                marker = pitr_replay.start_again(Site(run, guard, place, wanted, folder))
                records.finish(actions[0], {"port": wanted.port})
    return {"checks": marker["checks"], "actions": actions, "copy": _copy(place, marker)}


def _anew(run: Run, guard: Guard, place: Place, wanted: Wanted) -> Result:
    copy_place.require_free(place)
    settings = stanzas.settings_of(run.params["pgbackrest"], "pgbackrest", account=place.account)
    stanza = stanzas.read(run, guard, settings)
    folder = pitr_server.programs(run.params["bin_dir"], stanza.version)
    last, exact = waltail.last_transaction(run, guard, settings, stanza, folder)
    chosen = pitr_plan.choose(stanza, wanted.target, pitr_plan.span_of(stanza, last, exact))
    _require_room(place, chosen)
    delta = place.state == copy_place.OURS
    actions = pitr_plan.plan(place.path, wanted.port, chosen, wanted.target, wanted.action, delta=delta)
    settle(run, actions, together=True)
    result: Result = {"checks": [], "actions": actions, "copy": None}
    if not _planned(actions):
        return result
    if not run.deadline.fits(chosen.seconds):
        why = f"to take the backup took {duration(chosen.seconds)}, and the deadline comes first"
        for action in actions:
            records.defer(action, why)
        if not run.check_mode:  # whoever asked for a copy has none
            raise Deferred(f"Failed to restore into {place.path}: {why}.", **result)
    elif not run.check_mode:
        with copy_place.held(place):
            try:
                site = Site(run, guard, place, wanted, folder)
                marker = pitr_replay.carry_out(site, settings, stanza, chosen, actions)
            except OpsError as error:
                error.result = {**result, **error.result}
                raise
            result.update(checks=marker["checks"], copy=_copy(place, marker))
    return result


def _planned(actions: list[records.Action]) -> bool:
    return any(action["status"] == "planned" for action in actions)


def _require_room(place: Place, backup: Backup) -> None:
    about = os.statvfs(place.path if os.path.isdir(place.path) else os.path.dirname(place.path))
    free = about.f_bavail * about.f_frsize
    if place.state == copy_place.OURS:
        free += copy_place.used_bytes(place)
    why = pitr_plan.lacking(backup.bytes, free)
    if why:
        raise Refused(f"Failed to restore into {place.path}: {why}; give a data_dir on a larger disk.")


def _copy(place: Place, marker: Mapping[str, Any]) -> dict[str, Any]:
    """How to reach the copy."""
    return {
        "data_dir": place.path,
        "socket_dir": place.beside,
        "port": marker.get("port"),
        "target_time": marker.get("target"),
        "set": marker.get("set"),
        "log": place.file(pitr_server.LOG),
    }
