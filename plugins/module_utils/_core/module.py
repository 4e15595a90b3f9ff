# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame of every module: specification in, work done, and the one place where a failure becomes ``fail_json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, NoReturn, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec, run_spec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness

Result = dict[str, Any]


@dataclass
class Run:
    """What work is given: its options, the mode, the time there is and the knowledge of being wanted.

    ``actions`` are those that were planned, for the result of work that fails without them. ``approval`` is what became
    of an approved plan, and ends up among the checks. Both are set by ``saved_plan.settle``.
    """

    params: dict[str, Any]
    check_mode: bool
    deadline: Deadline
    live: Liveness
    actions: list[records.Action] = field(default_factory=list)
    approval: Optional[records.Check] = None

    @property
    def about(self) -> dict[str, Any]:
        """What the surrounding run said of itself (option ``run``)."""
        about: dict[str, Any] = self.params["run"]
        return about

    @property
    def id(self) -> str:
        return self.about.get("id") or "manual"

    @property
    def owner(self) -> str:
        """The owner id, carried by whatever the run creates outside its target."""
        return f"day2/{self.id}"

    @property
    def target(self) -> str:
        return self.about.get("target") or self.params.get("login_host") or "localhost"


def run_module(spec: ArgumentSpec, work: Callable[[Run], Result]) -> None:
    """Run ``work`` as an Ansible module. Its result needs ``checks`` and ``actions``; ``changed`` follows from them."""
    module = spec.merge(run_spec()).create()
    run = None
    try:
        live = Liveness((module.params["run"] or {}).get("live"))
        module.params["run"] = module.params["run"] or {}
        live.arm()
        deadline = Deadline.parse(module.params["run"].get("deadline"), "run.deadline")
        run = Run(module.params, module.check_mode, deadline, live)
        result = work(run)
        if result["actions"] and run.about.get("plan") is not None and run.approval is None:
            raise AssertionError(
                "Contract violation: an approved plan was given, and the module did not settle its own"
            )
    except OpsError as error:
        said = _said(module, run, {"checks": [], "actions": run.actions if run else [], **error.result})
        module.fail_json(msg=str(error), error={"kind": error.kind, "message": str(error)}, **said)
    module.exit_json(**{"error": None, **_said(module, run, result)})


def _said(module: AnsibleModule, run: Optional[Run], result: Result) -> Result:
    """The result with what follows from its actions, and with what became of an approved plan."""
    actions = result["actions"]
    diff = {"diff": {"prepared": records.told(actions)}} if module._diff and actions else {}
    approval = [run.approval] if run and run.approval else []
    return {"changed": records.changed(actions), **diff, **result, "checks": [*result["checks"], *approval]}


def missing_library(package: str, python: str) -> NoReturn:
    raise BadInput(
        f"The Python library {package} is not installed for {python}; install it there with: "
        f"{python} -m pip install {package}"
    )
