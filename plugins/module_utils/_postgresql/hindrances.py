# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against a step now, though it is due: holders, locks, others at work, grants, disk. Pure."""

from __future__ import annotations

from typing import Iterable, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._postgresql import costs, needs
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._postgresql.order import Step, leave_at_work
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Blocker, Index, Policy, State
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration, size, so_far


def behind_holder(step: Step, policy: Policy) -> None:
    """Who lets a vacuum do less than it could is told; who lets it do nothing is waited for, or left alone."""
    holder = step.need.held or step.need.short
    if holder is None:
        return
    step.action["predicted"]["held_by"] = holder.what
    if step.need.held is None:
        return
    step.held_by = holder.what
    if policy.holders == "skip":
        what = "its age cannot be lowered" if step.need.freeze else "nothing can be removed"
        records.defer(step.action, f"{what} while {holder.what} is open{so_far(holder.age)}")


def behind_lock(step: Step, state: State, policy: Policy) -> None:
    """Whose lock, or for a rebuild whose transaction, it would wait for. Danger tries it all the same."""
    blocker = _blocker(step, state)
    if blocker is None or not step.planned or step.need.urgent:
        return
    step.held_by = blocker.what
    if policy.holders == "skip":
        records.defer(step.action, f"it would wait for {blocker.what}, open for {duration(blocker.age)}")


def _blocker(step: Step, state: State) -> Optional[Blocker]:
    oids = (step.table.oid, step.relation, step.index.oid if step.index else step.table.toast)
    found = [state.lockers[oid] for oid in oids if oid is not None and oid in state.lockers]
    if step.index is not None:
        # The plain form waits for locks only.
        found += [
            one for one in state.blockers
            if (not one.tables and not step.exclusive) or one.tables & {step.relation, step.index.oid}
        ]  # fmt: skip
    return found[0] if found else None


def leave_to_others(step: Step, state: State) -> None:
    """What somebody else does already is not done twice. Danger is nobody else's business."""
    if not step.planned or step.need.urgent:
        return
    leave_at_work(step, state.care.at_work)
    job = state.care.jobs.get((step.kind, step.table.oid))
    if job and step.planned and not step.need.freeze and (step.index is None or step.index.valid):
        records.skip(step.action, f"{job} takes care of it")


def granting(step: Step, state: State, lacking: Iterable[str]) -> str:
    """Who can give this user what it lacks for an index (``schema``, ``owner``), and how; empty for nothing."""
    role, owner = quote(state.role), quote(step.table.owner)
    grants = {"schema": f"GRANT USAGE ON SCHEMA pg_toast TO {role};", "owner": f"GRANT {owner} TO {role};"}
    statements = [grants[what] for what in lacking if what]
    return f"let an administrator run: {' '.join(statements)}" if statements else ""


def hold_back(step: Step, index: Index, state: State, policy: Policy) -> None:
    """What stands against touching an index now."""
    action = step.action
    if index.builder is not None:
        records.skip(action, f"the session with pid {index.builder} is building it now")
        return
    if step.remedy:
        records.skip(action, f"{step.exclusive or needs.TOAST}; {step.remedy}")
        return
    if step.kind == "drop_index":
        lacking = [what for what in ("schema",) if what in index.lacking] + ["owner"] * (not index.owned)
        if lacking:
            records.defer(action, f"this user may not drop it; {granting(step, state, lacking)}")
            return
    if step.kind in state.obstacles:
        records.defer(action, state.obstacles[step.kind])
        return
    behind_lock(step, state, policy)
    room = costs.copy_bytes(index)
    if step.planned and step.kind == "reindex" and state.disk_free is not None and state.disk_free < room:
        records.defer(action, f"a copy needs {size(room)} of disk, {size(state.disk_free)} are free")
