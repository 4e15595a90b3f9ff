# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention as a whole: preflight, what was left, find, plan, act. The module is only its options."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import codec
from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import approved, settle
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, brake_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.history_of import throughput_from
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks, check_slots
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._retention import (
    act,
    adopt,
    chunk,
    expire,
    plan,
    resolve,
    types,
    whole,
)
from ansible_collections.day2.ops.plugins.module_utils._retention.find import find
from ansible_collections.day2.ops.plugins.module_utils._retention.policy import policies_of, policy_options
from ansible_collections.day2.ops.plugins.module_utils._retention.site import Site
from ansible_collections.day2.ops.plugins.module_utils._retention.state import Found, Policy
from ansible_collections.day2.ops.plugins.module_utils._store.base import MIB, Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

MODULE = "postgresql_retention"
# Actions that are no load for the server.
ELSEWHERE = (types.DELETE_ARCHIVE.name, types.VOID_ARCHIVE.name)
SMALLEST, LARGEST = 16 * MIB, 256 * MIB


def options() -> ArgumentSpec:
    """The options that decide; those of connection, store, brake and slots are added by the module."""
    return ArgumentSpec(
        {
            "policies": {"type": "list", "elements": "dict", "required": True, "options": policy_options()},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "identity_file": {"type": "path"},
            "lock_timeout": {"type": "float", "default": 2.0},
            "batch_rows": {"type": "int", "default": 10000},
            "batch_seconds": {"type": "float", "default": 0.1},
            "chunk_bytes": {"type": "int", "default": 64 * MIB},
            "adopt": {"type": "str", "choices": [resolve.DATABASE, resolve.STORE]},
            "history": {"type": "dict", "default": {}},
        }
    )


@dataclass
class Known:
    """What one run knows, kept together for the result, also of a run that fails."""

    checks: list[records.Check] = field(default_factory=list)
    left: list[resolve.Left] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    steps: list[plan.Step] = field(default_factory=list)
    looked: bool = False

    def result(self) -> Result:
        actions = [step.action for step in self.steps]
        checks = [*self.checks, *map(resolve.check, self.left), *plan.checks(self.found), *_stayed(self.steps)]
        summary = plan.summarize(self.found, self.steps) if self.looked else ""
        return {"checks": checks, "actions": actions, "plan_summary": summary}


def retain(run: Run) -> Result:
    """The work of module ``postgresql_retention``."""
    policies = policies_of(run.params)
    recipients = _check(run, policies)
    known = Known()
    with contextlib.ExitStack() as stack:
        try:
            _retain(run, policies, recipients, known, stack)
        except OpsError as error:
            error.result = {**known.result(), **error.result}
            raise
    failed = [step.action for step in known.steps if step.action["status"] == "failed"]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        text = f"Failed to let go rows of {failed[0]['subject']}: {failed[0]['error']}{more}."
        raise OpsError(text, **known.result())
    return known.result()


def _check(run: Run, policies: Sequence[Policy]) -> list[Any]:
    """The keys to encrypt to; :class:`BadInput` for options that cannot be meant, alone or together."""
    params = run.params
    check_slots(params)
    all_above_zero(params, "batch_rows", "batch_seconds")
    if not SMALLEST <= params["chunk_bytes"] <= LARGEST:
        raise BadInput(
            f"chunk_bytes: {params['chunk_bytes']} will not do; give a number from {SMALLEST} (16 MiB) to {LARGEST} "
            "(256 MiB)."
        )
    if not params["store"] and not all(one.erase for one in policies):
        raise BadInput(
            "store: archives need one; set it like s3://my-bucket/day2 or /var/lib/day2, or erase in each policy."
        )
    sealed = [one.name for one in policies if one.archive == "age"]
    if sealed and not params["recipients"]:
        raise BadInput(
            f"recipients: policies[{sealed[0]}] encrypts with age and needs at least one public key; make one with "
            "age-keygen."
        )
    return codec.recipients_of(params["recipients"], "recipients") if params["recipients"] else []


def _retain(run: Run, policies: list[Policy], recipients: list[Any], known: Known, stack: contextlib.ExitStack) -> None:
    archiving = [one for one in policies if not one.erase]
    store = open_store(run.params, read_only=run.check_mode, deadline=run.deadline) if archiving else None
    control = stack.enter_context(contextlib.closing(connect(run, "watch")))
    server, known.checks = preflight.preflight(run, control, MODULE)
    locks = stack.enter_context(contextlib.closing(Locks(run, server.oid)))
    locks.take("retention")
    brake = stack.enter_context(contextlib.closing(Brake(run, control, brake_of(run.params))))
    brake.start()
    site: Optional[Site] = None
    if not run.check_mode:
        worker = stack.enter_context(contextlib.closing(connect(run, "work", act=True)))
        site = Site(run, server, control, worker, locks, brake, store, recipients)
        stack.callback(site.close)
    if store is not None:
        _resolve(run, store, control, archiving, known, site)
    known.found = find(run, control, policies)
    first: list[plan.Step] = []
    last = whole.detached(control, known.found)
    if store is not None:
        first = adopt.steps(run, control, store, known.left, known.found)
        last += expire.expired(known.left, known.found)
    rates = throughput_from(run.params["history"])
    known.steps = plan.plan(
        known.found, run.deadline.left(), lambda action: approved(run, action), run.check_mode, rates, first, last
    )
    known.looked = True
    actions = [step.action for step in known.steps]
    settle(run, actions)
    locks.slot([action for action in actions if action["action"] not in ELSEWHERE])
    if site is not None:
        act.act(site, known.steps)


def _resolve(
    run: Run, store: Store, control: Session, policies: Sequence[Policy], known: Known, site: Optional[Site]
) -> None:
    """Bring store and ledger together, as far as a check may."""
    known.left = [resolve.look(store, control, run.target, policy) for policy in policies]
    missing = [left for left in known.left if left.missing]
    known.checks += [chunk.missing_check(left.policy.name, left.missing, store) for left in missing]
    resolve.refuse(known.left, run.params["adopt"] or "")
    if site is not None:
        for left in known.left:
            resolve.settle(site, left)


def _stayed(steps: Sequence[plan.Step]) -> list[records.Check]:
    """Rows that somebody changed or locked after they were copied."""
    made = []
    for step in steps:
        after = step.action["after"]
        stayed = int(after.get("rows_stayed") or 0)
        if stayed:
            text = f"{count(stayed, 'row')} changed, locked or referenced meanwhile; the ledger has the keys."
            made.append(
                types.STAYED(
                    step.action["subject"], stayed, summary=text,
                    policy=after["policy"], table=after["table"], chunks=after.get("chunks", 1),
                )
            )  # fmt: skip
    return made
