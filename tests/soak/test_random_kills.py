# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thousand ends of a retention at random moments: no row is lost, and none is there twice. And five hundred of the
maintenance: the next run leaves nothing of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.unit.plugins.module_utils._postgresql import place as maintained
from tests.unit.plugins.module_utils._postgresql import test_kills
from tests.unit.plugins.module_utils._postgresql.test_kills import worn
from tests.unit.plugins.module_utils._retention import test_resolve
from tests.unit.plugins.module_utils._retention.places import Place, place

__all__ = ["place", "worn"]
pytestmark = pytest.mark.lab
SEED = int(os.environ.get("DAY2_SEED") or time.time())


@pytest.mark.parametrize("number", range(50))
def test_twenty_of_a_thousand(place: Place, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAY2_SEED", str(SEED + number))
    test_resolve.test_random_kills(place)


@pytest.mark.parametrize("number", range(50))
def test_ten_of_five_hundred(
    worn: maintained.Place, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAY2_SEED", str(SEED + number))
    test_kills.test_random_kills(worn, tmp_path)
