# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole matrix: contract and cut-short work on every PostgreSQL, and kills at every step and at random moments."""

from __future__ import annotations

import random
import time

import pytest

from tests.faults import test_contract, test_cut_short
from tests.faults.estate import make_due, until
from tests.lab.fixtures import all_majors

pytestmark = pytest.mark.lab
STEPS = ("preflight", "before", "plan", "open", "run", "close", "after")


@all_majors
def test_check_then_run_then_run_again(estate, database):
    test_contract.test_check_then_run_then_run_again(estate, database)


@all_majors
def test_a_killed_rebuild_leaves_nothing_to_the_run_after_next(estate, database):
    test_cut_short.test_killed_in_the_middle_of_a_rebuild(estate, database, "module")


@pytest.mark.parametrize("step", STEPS)
def test_killed_once_a_step_is_in_the_record(estate, database, step):
    make_due(database)
    host = estate.add("db", database.login(test_cut_short.ROLE))
    running = estate.start()
    record = estate.runs / estate.last / f"{host}.jsonl"
    until(lambda: record.exists() and f'"step":"{step}"' in record.read_text(encoding="utf-8"), f"{step} is recorded")
    running.kill_group()
    running.wait()
    test_cut_short.finishes(estate, database, host)


@pytest.mark.parametrize("number", range(20))
def test_killed_at_a_random_moment(estate, database, number):
    make_due(database)
    host = estate.add("db", database.login(test_cut_short.ROLE))
    running = estate.start()
    moment = random.Random(number).uniform(0.5, 15)
    time.sleep(moment)
    running.kill_group()
    running.wait()
    test_cut_short.finishes(estate, database, host)
