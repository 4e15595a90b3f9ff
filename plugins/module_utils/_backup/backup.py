# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup as a whole: preflight, what the store holds, plan, act. The module is only its options."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue, dump, manifest, plan, types
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Tools, find_tools
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    Braked,
    Expired,
    OpsError,
    Refused,
    StoreError,
    name_failure,
)
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, brake_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST, Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

MODULE = "postgresql_backup"
_BYTES = """
SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint AS bytes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND (n.nspname !~ '^pg_' OR c.relname = 'pg_largeobject')
   AND n.nspname <> 'information_schema'
"""
# pg_dump would fail on these, or silently read less than there is.
_HIDDEN = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND n.nspname !~ '^pg_'
   AND NOT (pg_has_role(c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
   AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user)
 ORDER BY 1, 2 LIMIT 20
"""
_OBJECTS = """
SELECT m.oid::bigint AS oid FROM pg_largeobject_metadata m
 WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND NOT pg_has_role(m.lomowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
                      AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
 ORDER BY 1 LIMIT 20
"""


def options() -> ArgumentSpec:
    """The options that decide; those of connection, store and brake are added by the module."""
    given = plan.Policy()
    kinds = {int: "int", float: "float", bool: "bool"}
    policy: dict[str, Any] = {
        one.name: {"type": kinds[type(getattr(given, one.name))], "default": getattr(given, one.name)}
        for one in fields(plan.Policy)
    }
    return ArgumentSpec(
        {
            **policy,
            "backup_encryption": {"type": "str", "choices": ["age", "none"]},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "bin_dir": {"type": "path"},
            "lock_timeout": {"type": "float", "default": 10.0},
        }
    )


@dataclass
class Found:
    """What one run knows, kept together for the result, also of a run that fails."""

    policy: plan.Policy
    checks: list[records.Check] = field(default_factory=list)
    steps: list[plan.Step] = field(default_factory=list)
    state: Optional[plan.State] = None
    taken: Optional[str] = None

    def result(self) -> Result:
        summary = plan.summarize(self.state, self.policy, self.steps) if self.state else ""
        actions = [step.action for step in self.steps]
        return {"checks": self.checks, "actions": actions, "plan_summary": summary, "set": self.taken}


def backup(run: Run) -> Result:
    """The work of module ``postgresql_backup`` with ``pg_dump``."""
    sealing = _sealing(run)
    found = Found(plan.policy_of(run.params))
    try:
        _backup(run, sealing, found)
    except OpsError as error:
        error.result = {**found.result(), **error.result}
        raise
    return found.result()


def _sealing(run: Run) -> dump.Sealing:
    method, recipients = run.params["backup_encryption"], run.params["recipients"]
    if not method:
        raise BadInput("backup_encryption: say how backups are protected: age (with recipients), or none.")
    if method == "age" and not recipients:
        raise BadInput("recipients: encryption with age needs at least one public key; make one with age-keygen.")
    if method == "none" and recipients:
        raise BadInput("recipients: they are given, but backup_encryption is none; set it to age.")
    return dump.sealing_of(run.params)


def _backup(run: Run, sealing: dump.Sealing, found: Found) -> None:
    store = open_store(run.params, read_only=run.check_mode, deadline=run.deadline)
    with contextlib.ExitStack() as stack:
        control = stack.enter_context(contextlib.closing(connect(run, "control")))
        server, found.checks = preflight.preflight(run, control, MODULE, standby=True)
        _readable(control, server, found.checks)
        tools = find_tools(run.params["bin_dir"], server.version // 10000)
        locks = stack.enter_context(contextlib.closing(Locks(run, server.oid)))
        locks.take("backup")
        brake = stack.enter_context(contextlib.closing(Brake(run, control, brake_of(run.params))))
        brake.start()
        found.state = _find(run, store, control)
        found.steps = plan.plan(found.state, found.policy)
        doomed = [step.chosen for step in found.steps if step.chosen is not None]
        if doomed:
            found.state = replace(found.state, locked=_locked(store, doomed))
            found.steps = plan.plan(found.state, found.policy)
        settle(run, [step.action for step in found.steps])
        plan.lean(found.steps)
        locks.slot([step.action for step in found.steps if step.chosen is None])
        if not run.check_mode:
            _act(run, store, tools, server, sealing, brake, found)
    sets = found.state.sets if run.check_mode else tuple(catalogue.read_all(store, run.target))
    found.checks.append(plan.check_age(sets, clock.now(), found.policy.max_age))


def _readable(session: Session, server: preflight.Server, checks: list[records.Check]) -> None:
    """Refuse what pg_dump could not read, with the statements that help."""
    statements = []
    if session.rows(_HIDDEN):
        statements.append(f"ALTER ROLE {quote(server.role)} BYPASSRLS;")
    for row in session.rows(_OBJECTS):
        statements.append(f"GRANT SELECT ON LARGE OBJECT {row['oid']} TO {quote(server.role)};")
    if statements:
        hidden = ", ".join(spell(row["schema"], row["name"]) for row in session.rows(_HIDDEN)[:5])
        what = f"row security hides rows of {hidden}" if hidden else "there are large objects it may not read"
        raise Refused(
            f"The user {server.role} cannot read everything: {what}. Let an administrator run: {' '.join(statements)}",
            checks=checks,
        )


def _find(run: Run, store: Store, control: Session) -> plan.State:
    now = clock.now()
    sets = catalogue.read_all(store, run.target)
    last = catalogue.newest(sets)
    rate = plan.RATE
    if last is not None:
        told = manifest.read(store, last.prefix)
        if told.get("snapshot_seconds", 0) >= 1:
            rate = max(1, int(told["logical_bytes"] / told["snapshot_seconds"]))
    return plan.State(
        now=now,
        sets=tuple(sets),
        logical_bytes=int(control.rows(_BYTES)[0]["bytes"]),
        rate=rate,
    )


def _locked(store: Store, sets: Sequence[catalogue.BackupSet]) -> dict[str, datetime]:
    """Until when the store refuses to let go of each set, where it does."""
    found = {}
    for each in sets:
        held = [until for until in map(store.locked_until, each.keys) if until is not None]
        if held:
            found[each.id] = max(held)
    return found


def _act(
    run: Run,
    store: Store,
    tools: Tools,
    server: preflight.Server,
    sealing: dump.Sealing,
    brake: Brake,
    found: Found,
) -> None:
    for step in found.steps:
        if step.action["status"] != "planned":
            continue
        if step.chosen is not None:
            _remove(run, store, step)
            continue
        try:
            brake.clear()
            records.begin(step.action)
            written = dump.take(run, store, tools, server, sealing, brake, _predicted(found))
        except (Braked, Expired) as error:
            records.defer(step.action, str(error))
            plan.lean(found.steps)
            return
        except OpsError as error:
            records.fail(step.action, str(error))
            plan.lean(found.steps)
            name_failure(error, f"back up {server.database}")
            raise
        finally:
            brake.tell(step.action, types.BACKUP)
        found.taken = written["id"]
        records.finish(step.action, {**_measured(written), **step.action["after"]})


def _predicted(found: Found) -> int:
    return found.state.logical_bytes if found.state else 0


def _measured(written: dict[str, Any]) -> dict[str, Any]:
    return {
        "set": written["id"],
        "seconds": round((clock.parse(written["ended"]) - clock.parse(written["taken"])).total_seconds(), 1),
        "snapshot_seconds": written["snapshot_seconds"],
        "bytes": sum(part["size"] for part in written["parts"].values()),
        "logical_bytes": written["logical_bytes"],
        "tables": len(written["tables"]),
        "rows": sum(table["rows"] for table in written["tables"]),
        "encryption": written["encryption"]["method"],
    }


def _remove(run: Run, store: Store, step: plan.Step) -> None:
    """The manifest goes first: what is left of a set that is half removed is not taken for one."""
    chosen = step.chosen
    if chosen is None:
        raise AssertionError("Contract violation: a removal of no set")
    run.live.check()
    records.begin(step.action)
    try:
        for key in sorted(chosen.keys, key=lambda key: not key.endswith(f"/{MANIFEST}")):
            store.delete(key)
    except StoreError as error:
        records.fail(step.action, str(error))
        raise
    records.finish(step.action)
