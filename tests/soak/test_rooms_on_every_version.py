# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every test of maintenance and retention that needs a server, on every PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.downloads import MAJORS

pytestmark = pytest.mark.lab
TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("room", ["_postgresql", "_retention"])
def test_a_room(room: str, major: int) -> None:
    tests = ["-m", "lab", "-n2", "--dist=loadscope", "-q", f"tests/unit/plugins/module_utils/{room}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--major={major}", *tests],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
