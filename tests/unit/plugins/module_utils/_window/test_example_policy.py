# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example policy holds a window for every task of the calendar that changes something."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from dateutil.rrule import rrulestr

from ansible_collections.day2.ops.plugins.module_utils._window.definitions import read_freezes, read_windows
from ansible_collections.day2.ops.plugins.module_utils._window.windows import decide

ROOT = Path(__file__).parents[5]
POLICY = yaml.safe_load((ROOT / "inventories/example/group_vars/all/windows.yml").read_text())

# When the tasks start, the class of what they do, and the hours they need. Reading tasks and backups need no window.
CALENDAR = [
    ("weekly-database-maintenance", "FREQ=WEEKLY;BYDAY=SU", 2, "maintain", 3),
    ("monthly-maintenance", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=1", 2, "maintain", 1.5),
    ("monthly-security-review", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=2", 2, "maintain", 1),
    ("monthly-dependency-update", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=3", 2, "maintain", 1),
    ("monthly-monitoring-review", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=4", 9, "maintain", 1),
    ("patch-services", "FREQ=MONTHLY;BYDAY=SU;BYSETPOS=1", 2, "disrupt", 3),
    ("disaster-recovery-drill", "FREQ=MONTHLY;BYMONTH=1,4,7,10;BYDAY=SU;BYSETPOS=2", 2, "disrupt", 3),
    ("performance-tuning", "FREQ=MONTHLY;BYMONTH=1,4,7,10;BYDAY=SU;BYSETPOS=3", 2, "disrupt", 3),
    ("secret-rotation", "FREQ=YEARLY;BYMONTH=3;BYDAY=SU;BYSETPOS=2", 2, "disrupt", 3),
]
YEAR = (datetime(2026, 12, 1), datetime(2027, 12, 31))
WINDOWS, FREEZES = read_windows(POLICY["ops_windows"]), read_freezes(POLICY["ops_freezes"])


def ask(now, environment, risk):
    return decide(WINDOWS, FREEZES, now=now, environment=environment, risk=risk)


@pytest.mark.parametrize(("task", "rule", "hour", "risk", "hours"), CALENDAR, ids=[task[0] for task in CALENDAR])
def test_no_task_of_the_calendar_needs_an_override(task, rule, hour, risk, hours):
    starts = rrulestr(rule, dtstart=datetime(2026, 12, 1, hour)).between(*YEAR, inc=True)
    assert starts
    for start in starts:
        now = start.replace(tzinfo=timezone.utc)
        found = ask(now, "production", risk)
        assert found["open"], f"{task} at {now}: {found['reason']}"
        assert datetime.fromisoformat(found["deadline"].replace("Z", "+00:00")) - now >= timedelta(hours=hours)


@pytest.mark.parametrize("risk", ["maintain", "disrupt"])
def test_staging_is_open_every_night_and_development_always(risk):
    for day in range(0, 365, 9):
        noon = datetime(2027, 1, 1, 12, tzinfo=timezone.utc) + timedelta(days=day)
        assert ask(noon - timedelta(hours=10), "staging", risk)["open"]
        assert not ask(noon, "staging", risk)["open"]
        assert ask(noon, "development", risk)["open"]


def test_production_is_disrupted_by_night_on_sundays_only():
    for hour in range(0, 24 * 365, 11):
        now = datetime(2027, 1, 1, tzinfo=timezone.utc) + timedelta(hours=hour)
        if now.isoweekday() != 7 or not 2 <= now.hour < 6:
            assert not ask(now, "production", "disrupt")["open"]
