# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both stores, real: a folder, and a bucket of the lab's S3."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from ansible_collections.day2.ops.tests.lab.s3 import S3

Open = Callable[..., Store]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with S3.create("store", tmp_path_factory.mktemp("s3"), "store") as server:
        yield server


@pytest.fixture
def s3(s3_server: S3) -> Iterator[S3]:
    yield s3_server
    s3_server.heal()
    s3_server.forget()


@pytest.fixture
def s3_params(s3: S3) -> dict[str, Any]:
    """Options of a store of the test's own in the bucket."""
    return {**s3.options(), "store": s3.url(uuid.uuid4().hex)}


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
