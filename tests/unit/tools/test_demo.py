# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The closing words of the demo: no row may be missing anywhere, and something must have been archived."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[3] / "tools"
USERS, EVENTS = "users", "audit_events"
BEFORE = {USERS: (5000, 0), EVENTS: (700, 0)}
GOOD = {USERS: (5000, 0), EVENTS: (300, 400)}


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader = SourceFileLoader("demo_tool", str(TOOLS / "demo"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def counted(tables: dict[str, tuple[int, int]]) -> dict[str, dict[str, int]]:
    return {table: {"rows": rows, "archived": archived} for table, (rows, archived) in tables.items()}


def test_every_row_is_somewhere(demo: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.compare(counted(BEFORE), counted(GOOD)) is True
    assert capsys.readouterr().out.splitlines() == [
        "  users: 5,000 remain + 0 archived = 5,000 there were",
        "  audit_events: 300 remain + 400 archived = 700 there were",
    ]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        pytest.param({**GOOD, EVENTS: (300, 399)}, "300 remain + 399 archived IS NOT 700", id="lost on the way"),
        pytest.param({**GOOD, EVENTS: (301, 400)}, "301 remain + 400 archived IS NOT 700", id="here and there"),
        pytest.param({**GOOD, USERS: (4999, 0)}, "users: 4,999 remain + 0 archived IS NOT 5,000", id="never archived"),
        pytest.param({**GOOD, USERS: (0, 0)}, "users: 0 remain + 0 archived IS NOT 5,000", id="emptied"),
        pytest.param({**GOOD, USERS: (5001, 0)}, "users: 5,001 remain + 0 archived IS NOT 5,000", id="from nowhere"),
        pytest.param(BEFORE, "NOTHING was archived", id="nothing archived"),
    ],
)
def test_what_is_not_as_it_was_is_said_and_fails(
    demo: ModuleType, capsys: pytest.CaptureFixture[str], after: dict[str, tuple[int, int]], said: str
) -> None:
    assert demo.compare(counted(BEFORE), counted(after)) is False
    assert said in capsys.readouterr().out


def test_counts_of_nothing_prove_nothing(demo: ModuleType) -> None:
    assert demo.compare({}, {}) is False


def test_a_second_run_needs_rows_of_its_own(demo: ModuleType) -> None:
    """What an earlier run archived is no work of this one."""
    assert demo.compare(counted(GOOD), counted(GOOD)) is False
    assert demo.compare(counted(GOOD), counted({**GOOD, EVENTS: (250, 450)})) is True
