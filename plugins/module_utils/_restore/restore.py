# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back as a whole: preflight, the databases there are, plan, act. Each state's own part is in a room beside."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Deferred, OpsError, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero, none_negative
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, brake_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks, check_slots
from ansible_collections.day2.ops.plugins.module_utils._restore import needs as restore_needs
from ansible_collections.day2.ops.plugins.module_utils._restore import way_beside, way_swap
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import read_family
from ansible_collections.day2.ops.plugins.module_utils._restore.plan import Step, reopening, summarize
from ansible_collections.day2.ops.plugins.module_utils._restore.way import Way

MODULE = "postgresql_restore"
STATES = ("beside", "swapped", "rolled_back", "confirmed")


def options() -> ArgumentSpec:
    """The options that decide; those of connection, store and brake are added by the module."""
    texts = {"type": "list", "elements": "str", "default": []}
    return ArgumentSpec(
        {
            "state": {"type": "str", "choices": list(STATES), "default": "beside"},
            "set": {"type": "str"},
            "verified": {"type": "bool", "default": False},
            "replace": {"type": "bool", "default": True},
            "tables": texts,
            "accept_loss_since": {"type": "str"},
            "drain_timeout": {"type": "float", "default": 30.0},
            "terminate_sessions": {"type": "bool", "default": False},
            "confirm": {"type": "str"},
            "identity_file": {"type": "path"},
            "spool_dir": {"type": "path"},
            "jobs": {"type": "int", "default": 2},
            "template": {"type": "str", "default": "template0"},
            "bin_dir": {"type": "path"},
            "rto": {"type": "float"},
            "rpo": {"type": "float"},
            "lock_timeout": {"type": "float", "default": 10.0},
            "assume_actions": {"type": "list", "elements": "dict", "default": []},
        }
    )


def check_options(run: Run) -> None:
    """:class:`BadInput` for what cannot be meant, before anything is touched."""
    params, state = run.params, run.params["state"]
    if params["login_db"] == params["lock_db"]:
        raise BadInput(
            f"lock_db: {params['lock_db']} is the database to restore, and nobody may be connected to that when it is "
            "swapped; give another database of the server."
        )
    for name, only in (("tables", "beside"), ("confirm", "confirmed"), ("accept_loss_since", "swapped")):
        if params[name] and state != only and not (name == "accept_loss_since" and state == "beside"):
            raise BadInput(f"{name}: it belongs to state: {only}, and state is {state}; leave it out.")
    all_above_zero(params, "jobs")
    none_negative(params, "drain_timeout")
    check_slots(params)
    if params["accept_loss_since"]:
        clock.parse(params["accept_loss_since"], "accept_loss_since")


@dataclass
class Found:
    """What one run knows, kept together for the result, also of a run that fails."""

    way: Optional[Way] = None
    checks: list[records.Check] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def result(self, state: str) -> Result:
        way = self.way
        told: dict[str, Any] = {}
        if way is not None:
            family = way.family
            told = {
                "live": family.live.name if family.live else None,
                "new": family.new.name if family.new else None,
                "rescue": family.rescue.name if family.rescue else None,
                "old": [one.name for one in family.olds],
                "discarded": [one.name for one in family.discarded],
            }
        return {
            "checks": self.checks + (way.checks if way else []),
            "actions": [step.action for step in self.steps],
            "plan_summary": summarize(way.planned or way.family, state, self.steps) if way else "",
            "databases": told,
        }


def restore(run: Run) -> Result:
    """The work of module ``postgresql_restore`` on sets of ``pg_dump``."""
    check_options(run)
    found = Found()
    with contextlib.ExitStack() as stack:
        # Before any thread and any connection.
        guard = None if run.check_mode else stack.enter_context(Guard())
        try:
            _restore(run, guard, found, stack)
        except OpsError as error:
            error.result = {**found.result(run.params["state"]), **error.result}
            raise
    return found.result(run.params["state"])


def _restore(run: Run, guard: Optional[Guard], found: Found, stack: contextlib.ExitStack) -> None:
    name, lock_db = run.params["login_db"], run.params["lock_db"]
    control = stack.enter_context(contextlib.closing(connect(run, "control", database=lock_db)))
    server, found.checks = preflight.preflight(run, control, MODULE)
    family = read_family(control, name)
    oid = family.live.oid if family.live else zlib.crc32(name.encode())
    locks = stack.enter_context(contextlib.closing(Locks(run, oid)))
    locks.take("restore")
    way = Way(
        run=run,
        server=server,
        control=control,
        locks=locks,
        family=family,
        superuser=restore_needs.is_superuser(control),
        guard=guard,
    )
    found.way = way
    mine = {one.owner for one in family.all() if one.mark or one is family.live}
    restore_needs.require_rights(control, mine, f"bring {name} back")
    if family.live and family.live.open:
        # A stop order is kept in the database itself; no session may stay in it.
        with contextlib.ExitStack() as looking:
            session = looking.enter_context(contextlib.closing(connect(run, "stop")))
            looking.enter_context(contextlib.closing(Brake(run, session, brake_of(run.params)))).start()
    found.steps = reopening(family)
    way.planned = family
    if run.check_mode:
        found.steps += _planned(way)
        return
    way.worker = stack.enter_context(contextlib.closing(connect(run, "restore", database=lock_db, act=True)))
    way.worker.control = control
    # What a killed run has left closed is opened whatever else may be refused.
    for step in found.steps:
        _one(way, step, way_swap.reopen)
    if found.steps:
        way.refresh()
    due = _planned(way)
    found.steps += due
    same_server = preflight.same_server(run, server, database=lock_db)
    try:
        for step in due:
            if step.action["status"] == "planned":
                locks.still_held()
                same_server()
                _one(way, step, _ACTS[step.kind])
    finally:
        for step in due:
            if step.action["status"] == "planned":
                records.defer(step.action, "what comes before it was not done")
        with contextlib.suppress(OpsError):
            way.refresh(final=True)


def _planned(way: Way) -> list[Step]:
    state = way.run.params["state"]
    steps = _PLANS[state](way)
    # What a killed run left closed is not among these: it is opened, approved or not.
    settle(way.run, [step.action for step in steps], together=True)
    if state == "beside":
        way.locks.slot([step.action for step in steps])
    return steps


def _one(way: Way, step: Step, act: Callable[[Way, Step], None]) -> None:
    records.begin(step.action)
    try:
        act(way, step)
    except (Deferred, Stopped) as error:
        records.defer(step.action, str(error).rstrip(".").replace("Stopped: ", "", 1))
        raise
    except OpsError as error:
        records.fail(step.action, str(error).rstrip("."))
        raise
    records.finish(step.action, step.measured)


_PLANS: dict[str, Callable[[Way], list[Step]]] = {
    "beside": way_beside.plan,
    "swapped": way_swap.plan_swap,
    "rolled_back": way_swap.plan_roll_back,
    "confirmed": way_swap.plan_confirm,
}
_ACTS: dict[str, Callable[[Way, Step], None]] = {
    "drop": way_beside.drop_incomplete,
    "restore": way_beside.restore,
    "swap": way_swap.swap,
    "roll_back": way_swap.roll_back,
    "confirm": way_swap.confirm,
}
