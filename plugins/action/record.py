# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module of the collection, shows its progress, keeps its result in the run record, and its plan where asked to.

Every module is routed here by ``meta/runtime.yml``, so roles do nothing for it. Without a run (fact ``ops_run``, or
variable ``ops_run_dir``) nothing is recorded and the module behaves like any other.
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
from typing import Any, Optional

from ansible import constants as C
from ansible.module_utils.ansible_release import __version__ as ansible_version
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.policy import decides, policy_hash
from ansible_collections.day2.ops.plugins.module_utils._core.version import VERSION
from ansible_collections.day2.ops.plugins.plugin_utils import _plans, _record
from ansible_collections.day2.ops.plugins.plugin_utils._orders import Orders
from ansible_collections.day2.ops.plugins.plugin_utils._watch import Watch, controller_pid

display = Display()

# The steps that the window bounds; a rehearsal plans for the same time.
BOUNDED_STEPS = ("plan", "run")
# What speaks about the record is not part of it.
NOT_KEPT = ("notice", "report", "run_metrics")


class ActionModule(ActionBase):  # type: ignore[misc]
    _supports_check_mode = True
    _supports_async = True
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._host = self._vars.get("inventory_hostname", "localhost")
        # Not resolved_action: on ansible-core 2.17 that is this plugin.
        self._name = self._task.action.rpartition(".")[2]
        self._run = self._about()
        started = clock.now_iso()
        self._begin(started)
        result.update(self._planned())
        if self._run["folder"] and self._name not in NOT_KEPT and not self._task.args.get("header"):
            self._keep(result, started)
        return result

    def _var(self, name: str, default: Any = None) -> Any:
        value = self._vars.get(name)
        return default if value is None else self._templar.template(value)

    def _about(self) -> dict[str, Any]:
        """What the module is told of its run: the facts of role run, or the plain variables outside of it."""
        known = self._var("ops_run", {})
        root = (self._task.args.get("header") or {}).get("run_dir") or self._var("ops_run_dir")
        step = self._var("ops_step", "")
        run_id = known.get("id") or self._var("ops_run_id") or self._job_id()
        folder = known.get("folder") or (os.path.join(os.path.expanduser(str(root)), str(run_id)) if root else None)
        return {
            "id": str(run_id),
            "target": str(self._var("target_id", self._host)),
            "host": self._host,
            "step": step,
            "playbook": known.get("playbook") or "",
            "deadline": known.get("deadline") if step in BOUNDED_STEPS else None,
            "folder": folder,
            "controller_pid": controller_pid(),
        }

    def _job_id(self) -> str:
        for name in ("awx_workflow_job_id", "awx_job_id", "tower_workflow_job_id", "tower_job_id"):
            if self._vars.get(name):
                return str(self._vars[name])
        return _record.new_run_id(C.DEFAULT_LOCAL_TMP)

    def _planned(self) -> dict[str, Any]:
        """The module's result; its plan is held to ``ops_plan_in``, and saved in ``ops_plan_out``."""
        given, wanted = self._var("ops_plan_in"), self._var("ops_plan_out")
        if not (given or wanted) or not _plans.acts(self._name):
            return self._execute()
        try:
            _plans.check_folders(given, wanted)
            key = _plans.key_of(
                self._run["target"],
                self._name,
                self._task.name or self._name,
                self._run["step"],
                self._task.args,
                looped=bool(self._task.loop or self._task.loop_with),
            )
            if given:
                self._run["plan"] = _plans.approved(str(given), key, clock.now())
        except OpsError as error:
            return _failure(error, {"checks": [], "actions": [], "changed": False})
        result = self._execute()
        # The rehearsal has planned for the work inside the bracket.
        if not wanted or self._run["step"] == "run":
            return result
        try:
            self._save(str(wanted), key, result)
        except OpsError as error:
            return result if result.get("failed") else _failure(error, result)
        return result

    def _save(self, folder: str, key: _plans.Key, result: dict[str, Any]) -> None:
        """A task that failed, or whose content is hidden, has no plan that anybody could approve."""
        if result.get("failed") or self._task.no_log or "actions" not in result:
            _plans.save(folder, key, None)
            return
        plan = _plans.made(key, {**self._run, "run_id": self._run["id"]}, result["actions"], clock.now())
        path = _plans.save(folder, key, plan)
        if plan["actions"]:
            self._show(f"plan saved: {path}")

    def _execute(self) -> dict[str, Any]:
        args = dict(self._task.args)
        given = args.get("run") or {}
        if self._connection.transport != "local" or self._task.async_val:
            args["run"] = {**self._run, **given}
            return self._execute_module(  # type: ignore[no-any-return]
                module_name=self._task.action,
                module_args=args,
                task_vars=self._vars,
                wrap_async=self._task.async_val,
            )
        with Watch(C.DEFAULT_LOCAL_TMP, self._show, self._orders()) as watch:
            args["run"] = {**self._run, "live": watch.folder, **given}
            return self._execute_module(  # type: ignore[no-any-return]
                module_name=self._task.action, module_args=args, task_vars=self._vars
            )

    def _orders(self) -> Optional[Orders]:
        """Work inside the window listens to the store; looking at things does not need to."""
        store = self._var("ops_store")
        if not store or self._run["step"] != "run":
            return None
        options = {"store": store, **self._var("ops_store_options", {})}
        return Orders(self._run["target"], options, self._var("ops_run", {}).get("lease"))

    def _show(self, text: str) -> None:
        display.display(f"    [{self._host}] {text}")

    def _begin(self, started: str) -> None:
        """Write the header, once per target: with module ``record``'s option ``header``, or with what is known."""
        folder = self._run["folder"]
        given = self._task.args.get("header") or {}
        if not folder or self._name in NOT_KEPT or (_record.has_header(folder, self._host) and not given):
            return
        _record.append(
            folder,
            self._host,
            {
                "schema": _record.HEADER_SCHEMA,
                "run_id": self._run["id"],
                "host": self._host,
                "target": self._run["target"],
                "service": str(self._var("ops_service", "")) or None,
                "playbook": given.get("playbook") or self._run["playbook"],
                "window": given.get("window"),
                "deadline": given.get("deadline") or None,
                "override_reason": given.get("override_reason") or None,
                "who": self._who(),
                "commit": self._commit(),
                "versions": {"collection": VERSION, "ansible": ansible_version, "python": platform.python_version()},
                "policy_hash": self._policy_hash(given.get("policy_prefixes") or []),
                "hosts_expected": list(given.get("hosts_expected") or [self._host]),
                "not_included": list(given.get("not_included") or []),
                "check_mode": bool(self._play_context.check_mode),
                "job_url": self._var("ops_job_url"),
                "started": started,
            },
        )

    def _who(self) -> dict[str, Optional[str]]:
        return {
            "user": getpass.getuser(),
            "launcher": self._vars.get("awx_user_name") or self._vars.get("tower_user_name"),
            "approver": self._var("ops_approver"),
        }

    def _commit(self) -> Optional[str]:
        """The commit of the playbook's checkout, or what AWX says it took."""
        known = self._vars.get("awx_project_revision") or self._vars.get("tower_project_revision")
        git = shutil.which("git")
        if known or not git:
            return known
        place = self._vars.get("playbook_dir") or "."
        asked = subprocess.run([git, "-C", place, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        return asked.stdout.strip() or None

    def _policy_hash(self, prefixes: list[str]) -> str:
        names = sorted(name for name in self._vars if decides(name, ("ops_", *prefixes)))
        return policy_hash({name: self._var(name) for name in names})

    def _keep(self, result: dict[str, Any], started: str) -> None:
        about = {
            "run_id": self._run["id"],
            "host": self._host,
            "target": self._run["target"],
            "step": self._run["step"],
            "task": self._task.name or self._name,
            "module": f"day2.ops.{self._name}",
            "check_mode": bool(self._task.check_mode),
            "started": started,
            "ended": clock.now_iso(),
        }
        _record.append(self._run["folder"], self._host, _record.line_of(result, about, bool(self._task.no_log)))


def _failure(error: OpsError, result: dict[str, Any]) -> dict[str, Any]:
    """``result`` as one that failed, as a module would say it."""
    said = {"kind": error.kind, "message": str(error)}
    return {**result, "failed": True, "msg": str(error), "error": said}
