# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Redis servers of the lab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._redis.connect import connection_spec
from tests.lab import Lab, Redis

Params = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def redis_session(lab: Lab) -> Redis:
    return lab.redis("unit-redis")


@pytest.fixture
def redis_server(redis_session: Redis) -> Redis:
    """An empty server in its first state."""
    with redis_session.client() as client:
        client.flushall()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_resetstat()
        client.execute_command("ACL", "LOG", "RESET")
    return redis_session


@pytest.fixture
def params(redis_server: Redis) -> Params:
    """The options of a connection, with the defaults of the module."""
    defaults = {name: option.get("default") for name, option in connection_spec().argument_spec.items()}

    def make(**given: Any) -> dict[str, Any]:
        return {**defaults, **redis_server.login(), **given}

    return make
