# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance as a whole: preflight, find, plan, act. The module is only its options."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle, unlisted
from ansible_collections.day2.ops.plugins.module_utils._postgresql import (
    holders,
    lockers,
    lost,
    plan,
    preflight,
    read,
    summary,
    thresholds,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, BrakePolicy, brake_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.care import read_care
from ansible_collections.day2.ops.plugins.module_utils._postgresql.collations import collations
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.crew import act_all, by_table, cost_settings
from ansible_collections.day2.ops.plugins.module_utils._postgresql.history_of import (
    history_from,
    rates_of,
    sizes_per_row,
)
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks, check_slots
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step
from ansible_collections.day2.ops.plugins.module_utils._postgresql.site import Site
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import (
    HOLDERS,
    OPERATIONS,
    RATES,
    SCOPES,
    History,
    Policy,
    State,
    Table,
)

MODULE = "postgresql_maintenance"
# Purposes of work, for which a preflight can be made: the lock and the module whose grants are needed.
PURPOSES = {"maintenance": ("maintain", MODULE)}
HEAVY = ("vacuum", "reindex")
# The last two as the server limits them.
RANGES = (("jobs", 1, 64), ("vacuum_cost_limit", 1, 10_000), ("vacuum_cost_delay", 0, 100))
VERBS = {"vacuum": "vacuum", "analyze": "analyze", "reindex": "rebuild", "drop_index": "drop"}


def scope_spec() -> ArgumentSpec:
    """Which tables: shared by the modules that work on tables."""
    texts = {"type": "list", "elements": "str", "default": []}
    return ArgumentSpec({"schemas": texts, "tables": texts})


def policy_spec() -> ArgumentSpec:
    given = Policy()
    kinds = {int: "int", float: "float", bool: "bool"}
    options: dict[str, Any] = {
        one.name: {"type": kinds[type(getattr(given, one.name))], "default": getattr(given, one.name)}
        for one in fields(Policy)
        if type(getattr(given, one.name)) in kinds
    }
    own = {name: {"type": options[name]["type"]} for name in thresholds.OPTIONS}
    options["max_window"] = {"type": "float"}
    options["vacuum_cost_limit"] = {"type": "int"}
    options["vacuum_cost_delay"] = {"type": "float"}
    options["holders"] = {"type": "str", "choices": list(HOLDERS), "default": given.holders}
    options["scope"] = {"type": "str", "choices": list(SCOPES), "default": given.scope}
    options["thresholds"] = {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"schema": {"type": "str"}, "table": {"type": "str"}, **own},
        "mutually_exclusive": [("schema", "table")],
        "required_one_of": [("schema", "table")],
    }
    options["operations"] = {
        "type": "list",
        "elements": "str",
        "choices": list(OPERATIONS),
        "default": list(OPERATIONS),
    }
    rates = {name: {"type": "float"} for name in RATES}
    return ArgumentSpec(
        {
            **options,
            "index_probe_bytes": {"type": "int", "default": 1 << 30},
            "throughput": {"type": "dict", "options": rates, "default": {}},
            "history": {"type": "dict", "default": {}},
            "assume_actions": {"type": "list", "elements": "dict", "default": []},
        }
    )


def policy_of(params: Mapping[str, Any]) -> Policy:
    """The policy from the options; :class:`BadInput` for a value that cannot be meant."""
    check_slots(params)
    values = {one.name: params[one.name] for one in fields(Policy) if one.name != "overrides"}
    thresholds.check_values(values)
    for name, least, most in RANGES:
        if values[name] is not None and not least <= values[name] <= most:
            raise BadInput(f"{name}: {values[name]} is not possible; give {least} to {most}.")
    overrides = thresholds.overrides_of(params["thresholds"])
    return Policy(**{**values, "operations": frozenset(params["operations"]), "overrides": overrides})


@dataclass
class Found:
    """What one run knows, kept together for the result, also of a run that fails."""

    checks: list[records.Check]
    steps: list[Step]
    policy: Policy
    state: Optional[State] = None
    rates: Optional[dict[str, float]] = None

    def result(self) -> Result:
        actions = [step.action for step in self.steps]
        rates = {name: round(rate) for name, rate in (self.rates or {}).items()}
        checks, said = self.checks, ""
        learnt: dict[str, Any] = {}
        if self.state:
            smallest = thresholds.smallest_index(self.policy)
            learnt["bytes_per_row"] = sizes_per_row(self.state.tables, self.state.indexes, smallest)
            said = summary.summarize(self.state, self.policy, self.steps)
            checks = [*checks, *summary.warnings(self.state, self.policy, self.steps)]
        told = {"plan_summary": said, "throughput": rates, "learnt": learnt}
        return {"checks": checks, "actions": actions, **told}


def maintain(run: Run) -> Result:
    """The work of module ``postgresql_maintenance``."""
    policy = policy_of(run.params)
    found = Found([], [], policy)
    with contextlib.ExitStack() as stack:
        try:
            _maintain(run, policy, found, stack)
        except OpsError as error:
            error.result = {**found.result(), **error.result}
            raise
    failed = [step for step in found.steps if step.action["status"] == "failed"]
    if failed:
        first = failed[0].action
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        verb = VERBS[first["action"]]
        raise OpsError(f"Failed to {verb} {first['subject']}: {first['error']}{more}.", **found.result())
    return found.result()


def look(run: Run) -> Result:
    """The work of module ``postgresql_preflight_info``: whether work would be refused, and nothing else."""
    checks: list[records.Check] = []
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(contextlib.closing(connect(run, "preflight")))
        for purpose in run.params["purposes"]:
            lock, module = PURPOSES[purpose]
            server, found = preflight.preflight(run, control, module)
            found[-1] = preflight.require_grants(run, control, module, scope(run, control), found)
            checks += [check for check in found if check not in checks]
            locks = stack.enter_context(contextlib.closing(Locks(run, server.oid, look=True)))
            locks.take(lock)
            with contextlib.closing(Brake(run, control, BrakePolicy())) as brake:
                brake.start()
    about = {key: getattr(server, key) for key in ("version", "database", "system_identifier", "timeline")}
    return {"checks": checks, "actions": [], "server": about}


def _maintain(run: Run, policy: Policy, found: Found, stack: contextlib.ExitStack) -> None:
    control = stack.enter_context(contextlib.closing(connect(run, "watch")))
    server, found.checks = preflight.preflight(run, control, MODULE)
    locks = stack.enter_context(contextlib.closing(Locks(run, server.oid)))
    locks.take("maintain")
    brake = stack.enter_context(contextlib.closing(Brake(run, control, brake_of(run.params))))
    brake.start()
    tables = scope(run, control)
    found.checks[-1] = preflight.require_grants(run, control, MODULE, tables, found.checks)
    found.checks += collations(control, server.database)
    history = history_from(run.params["history"])
    found.rates = rates_of(history, run.params["throughput"])
    state = find(run, policy, control, tables, history, brake.disk_free(), locks.session)
    if run.check_mode:
        state = plan.obstructed(state, {kind: holder for kind in OPERATIONS if (holder := locks.exclude(kind))})
    found.state = plan.assume(replace(state, rates=found.rates), run.params["assume_actions"])
    found.steps = plan.plan(found.state, policy, run.deadline.left(), partial(unlisted, run))
    settle(run, [step.action for step in found.steps])
    locks.slot([step.action for step in found.steps if step.kind in HEAVY])
    if run.check_mode or not any(step.action["status"] == "planned" for step in found.steps):
        return
    same = preflight.same_server(run, server, fresh=preflight.IDENTITY_SECONDS)
    workers = max(1, min(policy.jobs, len(by_table([step for step in found.steps if step.planned]))))
    sites = []
    patience: dict[str, float] = {}
    for number in range(workers):
        if number:  # a session answers one question at a time
            control = stack.enter_context(contextlib.closing(connect(run, "watch")))
            brake = stack.enter_context(contextlib.closing(Brake(run, control, brake_of(run.params))))
        worker = stack.enter_context(contextlib.closing(connect(run, "work", act=True)))
        worker.control = control
        costs = cost_settings(worker, policy, workers)
        site = Site(run, policy, worker, control, locks, brake, same, found.rates, costs, patience=patience)
        sites.append(site)
    act_all(sites, found.steps)


def scope(run: Run, session: Session) -> list[Table]:
    """The tables that options ``schemas`` and ``tables`` select."""
    wanted = run.params["tables"]
    tables = read.read_tables(session, run.params["schemas"], members=bool(wanted))
    return read.choose(tables, wanted, run.params["login_db"])


def find(
    run: Run,
    policy: Policy,
    session: Session,
    tables: list[Table],
    history: History,
    disk_free: Optional[float],
    locks: Session,
) -> State:
    """The state of the tables in scope."""
    run.deadline.check()
    own = [session.pid, locks.pid]
    probe, best = run.params["index_probe_bytes"], history.bytes_per_row
    tables = lost.recount(session, tables, probe, best)
    indexes = read.read_indexes(session, tables)
    tables = read.with_index_bytes(tables, indexes)
    if "reindex" in policy.operations:
        indexes = read.measure(session, tables, indexes, thresholds.smallest_index(policy), probe, best)
    locked = any(one.locked for one in tables) or any(one.locked for one in indexes)
    return State(
        version=session.version,
        role=run.params["login_user"],
        tables=tuple(tables),
        indexes=tuple(indexes),
        holders=tuple(holders.read_holders(session, own)),
        blockers=tuple(holders.read_blockers(session, own, policy.max_transaction_age)),
        lockers=lockers.read_lockers(session, own) if locked else {},
        disk_free=disk_free,
        history=history,
        care=read_care(session, locks, run.params["login_db"], own, tables),
    )
