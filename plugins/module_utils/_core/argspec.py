# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specifications that merge whole: options and their constraints travel together.

A domain offers its shared options as a function returning an :class:`ArgumentSpec`; a module merges what it needs.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence

from ansible.module_utils.basic import AnsibleModule


class ArgumentSpec:
    """The arguments of ``AnsibleModule``: options, and the constraints between them."""

    def __init__(
        self,
        argument_spec: Optional[dict[str, Any]] = None,
        *,
        mutually_exclusive: Sequence[Sequence[str]] = (),
        required_together: Sequence[Sequence[str]] = (),
        required_one_of: Sequence[Sequence[str]] = (),
        required_if: Sequence[Sequence[Any]] = (),
        required_by: Optional[dict[str, Any]] = None,
    ) -> None:
        self.argument_spec = dict(argument_spec or {})
        self.constraints: dict[str, list[Any]] = {
            "mutually_exclusive": list(mutually_exclusive),
            "required_together": list(required_together),
            "required_one_of": list(required_one_of),
            "required_if": list(required_if),
        }
        self.required_by = dict(required_by or {})

    def merge(self, *others: ArgumentSpec) -> ArgumentSpec:
        """A new specification with the options and constraints of all; an option given twice is a mistake."""
        merged = ArgumentSpec()
        for spec in (self, *others):
            twice = merged.argument_spec.keys() & spec.argument_spec.keys()
            if twice:
                raise AssertionError(f"Contract violation: options given twice: {', '.join(sorted(twice))}")
            merged.argument_spec.update(spec.argument_spec)
            merged.required_by.update(spec.required_by)
            for name, values in spec.constraints.items():
                merged.constraints[name].extend(values)
        return merged

    def update(self, **options: Any) -> ArgumentSpec:
        """A new specification with further options."""
        return self.merge(ArgumentSpec(options))

    def create(self, *, supports_check_mode: bool = True) -> AnsibleModule:
        return AnsibleModule(
            argument_spec=self.argument_spec,
            supports_check_mode=supports_check_mode,
            required_by=self.required_by,
            **self.constraints,
        )


def run_spec() -> ArgumentSpec:
    """Option ``run``: what the surrounding run tells a module. The action plugin fills in what the task leaves out."""
    plan = {
        "name": {"type": "str"},
        "id": {"type": "str"},
        "planned": {"type": "str"},
        "actions": {"type": "list", "elements": "dict", "default": []},
    }
    options: dict[str, Any] = {
        "id": {"type": "str"},
        "target": {"type": "str"},
        "host": {"type": "str"},
        "step": {"type": "str"},
        "playbook": {"type": "str"},
        "deadline": {"type": "str"},
        "folder": {"type": "path"},
        "live": {"type": "path"},
        "controller_pid": {"type": "int"},
        "plan": {"type": "dict", "options": plan},
    }
    return ArgumentSpec({"run": {"type": "dict", "default": {}, "options": options}})
