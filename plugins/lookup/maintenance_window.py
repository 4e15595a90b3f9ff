# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: maintenance_window
short_description: Whether a maintenance window is open
version_added: 0.1.0
description:
  - Decides as M(day2.ops.maintenance_window_info) does, in a template. One decision for each term.
  - Options that are left out come from the inputs of the collection, where these are defined. O(windows) from
    C(ops_windows), O(freezes) from C(ops_freezes), O(environment_name) from C(ops_environment), O(override_reason) from
    C(ops_override_reason), O(close_reserve) from C(ops_close_reserve).
extends_documentation_fragment:
  - day2.ops._window
options:
  _terms:
    description: Risk classes, V(observe), V(protect), V(maintain) or V(disrupt).
    type: list
    elements: str
    required: true
seealso:
  - module: day2.ops.maintenance_window_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Restart only in a window for disruptive work
  ansible.builtin.debug:
    msg: The next window opens at {{ window.next.opens }}.
  vars:
    window: "{{ lookup('day2.ops.maintenance_window', 'disrupt') }}"
  when: not window.open

- name: Show what the policy says for a given time
  ansible.builtin.debug:
    msg: "{{ lookup('day2.ops.maintenance_window', 'maintain', environment_name='staging', at=night) }}"
  vars:
    night: "2026-12-07T01:30:00Z"
"""

RETURN = r"""
_raw:
  description:
    - The decisions, each with C(open), C(reason), C(environment), C(risk), C(window), C(deadline), C(next),
      C(longest), C(override_reason) and C(frozen_by), as M(day2.ops.maintenance_window_info) returns them.
  type: list
  elements: dict
"""

from typing import Any, Optional

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._window.options import decision, moment

INPUTS = {
    "windows": "ops_windows",
    "freezes": "ops_freezes",
    "environment_name": "ops_environment",
    "override_reason": "ops_override_reason",
    "close_reserve": "ops_close_reserve",
}


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: Optional[dict[str, Any]] = None, **kwargs: Any) -> list[dict[str, Any]]:
        # Not as `vars:` of the options: core would hand those over as the text of their template.
        for option, name in INPUTS.items():
            if option not in kwargs and (variables or {}).get(name) is not None:
                kwargs[option] = self._templar.template((variables or {})[name])
        self.set_options(var_options=variables, direct=kwargs)
        options = self.get_options()
        try:
            now = moment(options)
            return [decision(options, str(term), now) for term in terms]
        except OpsError as error:
            raise AnsibleLookupError(f"maintenance_window: {error}") from error
