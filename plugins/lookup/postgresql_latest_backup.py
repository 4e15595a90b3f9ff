# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: postgresql_latest_backup
short_description: The newest backup set of a target
version_added: 0.1.0
description:
  - The newest complete set in the store that was not refuted; with O(verified), the newest one that was restored and
    found whole. One set for each term; it fails for a target without one.
extends_documentation_fragment:
  - day2.ops._store
options:
  _terms:
    description: Target ids. Without one, C(target_id) of the host, or its inventory name.
    type: list
    elements: str
  verified:
    description: Whether the set must have been restored and compared.
    type: bool
    default: false
notes:
  - O(store) and its options come from C(ops_store) and C(ops_store_options) where they are not given.
seealso:
  - module: day2.ops.postgresql_backup_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Say which set a restore would use
  ansible.builtin.debug:
    msg: "{{ lookup('day2.ops.postgresql_latest_backup', 'shop-db', verified=true).id }}"
"""

RETURN = r"""
_raw:
  description: The sets, each with C(id), C(taken), C(bytes), C(verified) and C(verified_at).
  type: list
  elements: dict
"""

from typing import Any, Optional

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue
from ansible_collections.day2.ops.plugins.module_utils._backup.info import told
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: Optional[dict[str, Any]] = None, **kwargs: Any) -> list[dict[str, Any]]:
        known = variables or {}
        if "store" not in kwargs:
            given = {"store": known.get("ops_store"), **known.get("ops_store_options", {})}
            kwargs = {**self._templar.template(given), **kwargs}
        self.set_options(var_options=variables, direct=kwargs)
        here = known.get("target_id") or known.get("inventory_hostname")
        wanted = terms or [self._templar.template(here)]
        try:
            store = open_store(self.get_options(), read_only=True)
            return [
                told(catalogue.choose(catalogue.read(store, str(term)), None, verified=self.get_option("verified")))
                for term in wanted
            ]
        except OpsError as error:
            raise AnsibleLookupError(f"postgresql_latest_backup: {error}") from error
