# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of a run: the options that decide, and their hash; never connections or secrets."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Mapping, Sequence

# Inputs of the collection that say where and with which credentials, or name the run: they decide nothing.
CONNECTIONS = (
    "ops_alertmanager",
    "ops_postgresql",
    "ops_prometheus",
    "ops_redis",
    "ops_store",
    "ops_store_options",
)
NOT_POLICY = frozenset(
    (*CONNECTIONS, "ops_run", "ops_run_id", "ops_run_dir", "ops_step", "ops_plan_in", "ops_plan_out")
)
SECRET_WORDS = ("password", "secret", "token", "credential", "private_key", "access_key")


def decides(name: str, prefixes: Sequence[str]) -> bool:
    """Whether the variable ``name`` is part of the policy of roles with these variable prefixes."""
    if name in NOT_POLICY or any(word in name for word in SECRET_WORDS):
        return False
    return name.startswith(tuple(prefixes))


def policy_hash(options: Mapping[str, Any]) -> str:
    """sha256 (hex) of the canonical JSON of the deciding options."""
    canonical = json.dumps(options, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
