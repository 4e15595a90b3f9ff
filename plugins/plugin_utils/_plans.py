# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: saved plans on the controller (``docs/schemas/plan-1.json``).

``ops_plan_out`` writes ``<folder>/<target_id>/<name>.json`` for each task that acts; ``ops_plan_in`` reads them back.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.policy import SECRET_WORDS, policy_hash
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec

SCHEMA = "day2.ops/plan/1"
GOOD_FOR = timedelta(days=7)
# They have no plan of their own: the bracket, and what speaks about the record.
NO_ACTORS = ("notice", "record", "report", "run_metrics", "run_open", "run_close")
# The rehearsal of the bracket and its work are one task.
WORK_STEPS = ("", "plan", "run")
_KEPT = ("action", "subject", "risk", "status", "reason", "predicted")
_NAME_LENGTH = 120
_SECRET = (*SECRET_WORDS, "pass")


def _names(spec: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(spec) | {alias for option in spec.values() for alias in option.get("aliases", ())}


# What says where and as whom decides nothing. The database is no detail of the connection: it says what is worked on.
_CONNECTION = (_names(postgresql_spec().argument_spec) | _names(store_spec().argument_spec) | {"verify_host"}) - {
    "login_db",
    "db",
}
# What changes by itself: what earlier runs and steps found, and the window that happens to be open.
_OF_ONE_RUN = ("run", "history", "throughput", "assume_actions", "max_window")


@dataclass(frozen=True)
class Key:
    """What a plan was made for: ``name`` is its file's, ``task`` the task's own, ``policy`` the hash of its options."""

    target: str
    module: str
    task: str
    name: str
    policy: str


def acts(module: str) -> bool:
    """Whether a module (its short name) does something that can be planned."""
    return not module.endswith("_info") and module not in NO_ACTORS


def key_of(target: str, module: str, task: str, step: str, args: Mapping[str, Any], *, looped: bool) -> Key:
    """The key of a task. The items of a loop are told apart by what they decide."""
    policy = policy_hash(deciding(args))
    slug = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:_NAME_LENGTH]
    parts = [module, slug or hashlib.sha256(task.encode()).hexdigest()[:8]]
    if step not in WORK_STEPS:
        parts.insert(0, step)
    if looped:
        parts.append(policy[:8])
    return Key(target_name(target), module, task, ".".join(parts), policy)


def deciding(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide, those inside of options too: no connections, no secrets, nothing of one run only."""
    return {
        name: _decided(value)
        for name, value in options.items()
        if name not in _CONNECTION and name not in _OF_ONE_RUN and not any(word in name for word in _SECRET)
    }


def _decided(value: Any) -> Any:
    if isinstance(value, Mapping):
        return deciding(value)
    if isinstance(value, (list, tuple)):
        return [_decided(one) for one in value]
    return value


def folder_of(value: str) -> str:
    return os.path.abspath(os.path.expanduser(value))


def check_folders(given: Optional[str], wanted: Optional[str]) -> None:
    """:class:`BadInput` when the approved plan would be overwritten, or there is no room for a new one."""
    if given and wanted and os.path.realpath(folder_of(given)) == os.path.realpath(folder_of(wanted)):
        raise BadInput("ops_plan_out: it is the folder of ops_plan_in; write the new plan into another folder.")
    if wanted:
        folder = folder_of(wanted)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"ops_plan_out: the folder {folder} cannot be made ({error.strerror}); give another one."
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise BadInput(f"ops_plan_out: the folder {folder} cannot be written to; give another one.")


def content_hash(plan: Mapping[str, Any]) -> str:
    """sha256 (hex) of the canonical JSON of a plan without its hash."""
    return policy_hash({name: value for name, value in plan.items() if name != "content_hash"})


def made(key: Key, about: Mapping[str, Any], actions: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """The plan that a task's result holds. ``about``: host, playbook, run_id. What was done was planned before."""
    plan: dict[str, Any] = {
        "schema": SCHEMA,
        "target": key.target,
        **{name: str(about.get(name) or "") for name in ("host", "playbook", "run_id")},
        "module": f"day2.ops.{key.module}",
        "task": key.task,
        "policy_hash": key.policy,
        "planned": clock.iso(now),
        "expires": clock.iso(now + GOOD_FOR),
        "actions": [
            {**{name: action.get(name) for name in _KEPT}, "status": _status(action)}
            for action in actions
            if action.get("status") != "skipped"
        ],
    }
    return {**plan, "content_hash": content_hash(plan)}


def _status(action: Mapping[str, Any]) -> str:
    return "deferred" if action["status"] == "deferred" else "planned"


def save(folder: str, key: Key, plan: Optional[Mapping[str, Any]]) -> str:
    """Write the plan, readable by its owner only, whole or not at all; its path. Without a plan (the task failed) an
    older one goes: nobody shall approve it for this one."""
    place = os.path.join(folder_of(folder), key.target)
    path = os.path.join(place, f"{key.name}.json")
    try:
        if plan is None:
            if os.path.exists(path):
                os.unlink(path)
            return path
        os.makedirs(place, mode=0o700, exist_ok=True)
        mine = f"{path}.{secrets.token_hex(4)}"
        handle = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(plan, out, indent=2, sort_keys=True, default=str)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(mine, path)
    except OSError as error:
        raise OpsError(f"Failed to write the plan {path}: {error.strerror}; give another ops_plan_out.") from error
    return path


def approved(folder: str, key: Key, now: datetime) -> dict[str, Any]:
    """Suboption ``run.plan`` for a task. A task without a file gets an empty plan: nothing of it was approved.

    All plans of the target are looked at, so that one that was tampered with is found before the first of them runs.
    Raises :class:`BadInput` when there are none, :class:`Refused` for any that is damaged, expired or of another
    target, and for one of this task that was made for other options.
    """
    place = os.path.join(folder_of(folder), key.target)
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(".json"))
    except FileNotFoundError:
        raise BadInput(
            f"ops_plan_in: there is no plan for {key.target} in {folder_of(folder)}; make one with --check and "
            "ops_plan_out, or give the folder that it was written to."
        ) from None
    except OSError as error:
        raise BadInput(f"ops_plan_in: the folder {place} cannot be read ({error.strerror}).") from error
    plans = {name: _read(os.path.join(place, name), key.target, now) for name in names}
    plan = plans.get(f"{key.name}.json")
    if plan is None:
        return {"name": key.name, "id": None, "planned": None, "actions": []}
    path = os.path.join(place, f"{key.name}.json")
    if (plan["module"], plan["task"]) != (f"day2.ops.{key.module}", key.task):
        raise _refused(path, f"it was made for the task {plan['task']!r} of {plan['module']}")
    if plan["policy_hash"] != key.policy:
        raise _refused(path, "it was made with other options than the task has now")
    kept = ("action", "subject", "status", "predicted")
    actions = [{name: action[name] for name in kept} for action in plan["actions"]]
    return {"name": key.name, "id": plan["content_hash"], "planned": plan["planned"], "actions": actions}


def _read(path: str, target: str, now: datetime) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            plan = json.load(file)
    except OSError as error:
        raise BadInput(f"ops_plan_in: {path} cannot be read ({error.strerror}).") from error
    except ValueError:
        raise _refused(path, "it is damaged") from None
    if not isinstance(plan, dict) or plan.get("schema") != SCHEMA or plan.get("content_hash") != content_hash(plan):
        raise _refused(path, "it is damaged: its content is not what was written")
    try:
        planned = clock.parse(plan["planned"])
        if plan["target"] != target:
            raise _refused(path, f"it was made for {plan['target']}, not for {target}")
    except (KeyError, TypeError, AttributeError, BadInput):
        raise _refused(path, "it is damaged: its content is not what was written") from None
    if not now - GOOD_FOR <= planned <= now + timedelta(hours=1):
        raise _refused(path, f"it is of {plan['planned']}, and a plan is good for {GOOD_FOR.days} days")
    return plan


def _refused(path: str, why: str) -> Refused:
    return Refused(
        f"Refused to run the approved plan {path}: {why}. Plan again with ops_plan_out into an empty folder, and "
        "approve that."
    )
