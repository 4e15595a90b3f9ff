# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both stores, real: a folder, and a bucket of the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab.s3 import S3


@pytest.fixture
def s3_params(s3: S3) -> dict[str, Any]:
    """Options of a store in the test's own bucket."""
    return {**s3.options(), "store": s3.url("day2")}


@pytest.fixture(params=["folder", "s3"])
def params(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Options of an empty store."""
    if request.param == "folder":
        return {"store": str(tmp_path)}
    options: dict[str, Any] = request.getfixturevalue("s3_params")
    return options


@pytest.fixture
def store(params: dict[str, Any]) -> Store:
    return open_store(params, read_only=False)
