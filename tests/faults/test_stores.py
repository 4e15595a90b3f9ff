# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores that fail, all in one run: no work without the lease that was asked for, and a report all the same."""

from __future__ import annotations

import re

import pytest

from tests.faults.estate import dead_rows, make_due

pytestmark = pytest.mark.lab
ROLE = "day2_maintenance"


def options(store):
    return {"ops_store": store.url("day2"), "ops_store_options": store.options()}


@pytest.fixture
def stores(lab):
    made = {name: lab.s3(f"s3-{name}") for name in ("denied", "slow", "unconditional", "good")}
    made["denied"].faults(deny=True)
    made["slow"].faults(delay=0.5)
    made["unconditional"].faults(ignore_conditions=True)
    yield made
    for store in made.values():
        store.stop()


def test_each_store_that_fails_says_why(estate, pg, new_database, stores):
    estate.vars |= {"ops_rollout": ["100%"], "ops_max_failed": 99}
    databases = {}
    for name in ("denied", "slow", "unconditional", "good", "unreachable", "absent", "no-lease"):
        databases[name] = new_database(pg)
        make_due(databases[name], rows=8000)
        where = options(stores.get(name, stores["good"]))
        if name == "unreachable":
            where["ops_store_options"]["endpoint_url"] = "http://127.0.0.1:1"
        if name == "absent":
            where["ops_store"] = "s3://no-such-bucket-here/day2"
        if name == "no-lease":
            where = {**options(stores["unconditional"]), "ops_lease": False}
        estate.add(name, databases[name].login(ROLE), **where)
    outcome = estate.play()
    assert outcome.rc == 2
    for name, status, words in (
        ("denied", "failed", r"denied|403|AccessDenied"),
        ("unreachable", "failed", r"127\.0\.0\.1:1|connect"),
        ("absent", "failed", r"no-such-bucket-here"),
        ("unconditional", "refused", r"condition.*ops_lease"),
    ):
        assert outcome.status(name) == status, (name, outcome.result["targets"][name])
        assert re.search(words, outcome.error(name)["message"]), outcome.error(name)
        assert dead_rows(databases[name]) > 0 and not outcome.actions(name), "it worked without its lease"
    for name in ("good", "slow", "no-lease"):
        assert outcome.status(name) == "ok", (name, outcome.result["targets"][name])
        assert dead_rows(databases[name]) == 0
    listed = stores["good"].client().list_objects_v2(Bucket=stores["good"].bucket)
    keys = [entry["Key"] for entry in listed.get("Contents", [])]
    assert not [key for key in keys if "/leases/" in key], "the lease was not given back"
    secret = stores["good"].options()["secret_key"]
    assert secret not in outcome.out
