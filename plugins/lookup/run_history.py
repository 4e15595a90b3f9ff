# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: run_history
short_description: What earlier runs have learnt about a target
version_added: 0.1.0
description:
  - Reads C(v1/history/<target_id>.json) of the store; its schema is in C(docs/schemas/history-1.json). Empty without a
    store, for a target that is new, and where it cannot be read, because plans are possible without it.
  - Without C(checks) and C(trends), which can be large. They are for the report, and the module that makes it reads
    them itself.
  - Made for the role P(day2.ops.run#role), which hands it to the modules.
extends_documentation_fragment:
  - day2.ops._store
options:
  _terms:
    description: Target ids. Without one, C(target_id) of the host, or its inventory name.
    type: list
    elements: str
notes:
  - O(store) and its options come from C(ops_store) and C(ops_store_options) where they are not given.
  - Needs C(s3:GetObject) on C(v1/history/*) below the prefix, where the store is a bucket.
seealso:
  - module: day2.ops.run_close
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Say how often in a row work was left
  ansible.builtin.debug:
    msg: "{{ lookup('day2.ops.run_history', 'shop-db').deferred }}"
"""

RETURN = r"""
_raw:
  description: The histories, as the schema says, or empty ones.
  type: list
  elements: dict
"""

from typing import Any, Optional

from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._store.history import FOR_REPORTS, read_history
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

display = Display()


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: Optional[dict[str, Any]] = None, **kwargs: Any) -> list[dict[str, Any]]:
        known = variables or {}
        if "store" not in kwargs:
            given = {"store": known.get("ops_store"), **known.get("ops_store_options", {})}
            kwargs = {**self._templar.template(given), **kwargs}
        self.set_options(var_options=variables, direct=kwargs)
        here = known.get("target_id") or known.get("inventory_hostname")
        wanted = terms or [self._templar.template(here)]
        if not self.get_option("store"):
            return [{} for _term in wanted]
        return [self._read(str(term)) for term in wanted]

    def _read(self, target: str) -> dict[str, Any]:
        try:
            known = read_history(open_store(self.get_options(), read_only=True), target)
        except OpsError as error:
            # A store that does not answer is told, and stops the run, where it is needed: when the target is opened.
            display.v(f"run_history: {error}")
            return {}
        return {key: value for key, value in known.items() if key not in FOR_REPORTS}
