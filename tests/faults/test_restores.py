# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back as the playbook walks it: for an incident, with the services around it stopped and started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.estate import Estate
from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import Database
from tests.lab.postgres import Postgres
from tests.unit.plugins.module_utils._backup import sets

pytestmark = pytest.mark.lab
HOST = "shop"


def hook(estate: Estate, word: str) -> str:
    """A role of somebody else, which writes down that it ran; where it may change something."""
    tasks = estate.folder / "roles" / word / "tasks"
    tasks.mkdir(parents=True)
    line = {"path": str(estate.folder / "hooks"), "line": f"{word} {{{{ 99999 | random }}}}", "create": True,
            "mode": "0600"}  # fmt: skip
    (tasks / "main.yml").write_text(yaml.safe_dump([{"name": word, "ansible.builtin.lineinfile": line}]))
    return str(tasks.parent)


def hooks(estate: Estate) -> list[str]:
    path = estate.folder / "hooks"
    words = [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
    path.unlink(missing_ok=True)
    return words


@pytest.fixture
def shop(estate: Estate, pg18: Postgres, new_database: Callable[..., Database]) -> Iterator[Database]:
    database = new_database(pg18, extensions=())
    database.execute("CREATE TABLE orders (id int)", user=demo.OWNER)
    database.execute("INSERT INTO orders SELECT generate_series(1, 1000)", user=demo.OWNER)
    key = new_key(estate.folder)
    sets.make_set(pg18, database.name, sets.folder_store(estate.store), HOST, recipients=[key.public])
    database.execute("DELETE FROM orders WHERE id > 10", user=demo.OWNER)
    estate.add(HOST, database.login())
    estate.vars |= {
        "postgresql_restore_bin_dir": str(pg18.tool("pg_dump").parent),
        "postgresql_restore_identity_file": key.path,
        "postgresql_restore_drain_timeout": 1,
        "ops_stop_roles": [hook(estate, "stop")],
        "ops_start_roles": [hook(estate, "start")],
    }
    yield database
    for name in pg18.databases(database.name):
        pg18.drop_database(name)


def restore(estate: Estate, *arguments: str, **extra: Any) -> Any:
    return estate.play(*arguments, playbook="restore-database", ops_incident="INC-4711", **extra)


def done(outcome: Any) -> list[tuple[str, str]]:
    return [(one["action"], one["status"]) for one in outcome.actions(HOST) if one["status"] != "planned"]


@pytest.mark.soak
def test_the_way_back_and_forth(estate: Estate, shop: Database) -> None:
    taken = yaml.safe_load(next(Path(estate.store).glob("v1/backups/*/*/manifest.json")).read_text())["taken"]
    nameless = estate.play(playbook="restore-database")
    assert nameless.rc == 2 and "ops_incident" in nameless.out and "INC-4711" in nameless.out
    # From nothing, in one run: the rehearsal knows what the first step will make.
    accepted = {"restore_state": "swapped", "postgresql_restore_accept_loss_since": taken}
    with closing(shop.connect(application_name="stays")):
        stays = restore(estate, **accepted)
    assert stays.rc == 2 and "stays" in stays.error(HOST)["message"], stays.out
    assert done(stays) == [("restore_database", "done"), ("swap_databases", "failed")]
    assert [one["action"] for one in stays.actions(HOST, "plan")][:2] == ["restore_database", "swap_databases"]
    assert stays.header(HOST)["override_reason"] == "INC-4711"
    assert hooks(estate) == ["stop", "start"] and shop.value("SELECT count(*) FROM orders") == 10
    swapped = restore(estate, **accepted)
    assert swapped.rc == 0 and done(swapped) == [("swap_databases", "done")], swapped.out
    assert hooks(estate) == ["stop", "start"] and shop.value("SELECT count(*) FROM orders") == 1000
    again = restore(estate, **accepted)
    assert again.rc == 0 and done(again) == [] and hooks(estate) == [], again.out
    back = restore(estate, restore_state="rolled_back")
    assert back.rc == 0 and done(back) == [("roll_back_databases", "done")] and hooks(estate) == ["stop", "start"]
    assert shop.value("SELECT count(*) FROM orders") == 10


def test_a_drill_ends_where_it_began(estate: Estate, shop: Database) -> None:
    refused = estate.play(playbook="disaster-recovery-drill", drill_scenario="database_failure")
    assert refused.rc == 2 and "ops_drill" in refused.error(HOST)["message"], refused.out
    estate.hosts[HOST]["ops_drill"] = True
    drill = estate.play(
        playbook="disaster-recovery-drill", drill_scenario="database_failure", postgresql_restore_rto=0.1
    )
    kinds = ["restore_database", "swap_databases", "roll_back_databases", "drop_database"]
    assert done(drill) == [(kind, "done") for kind in kinds], drill.out
    assert hooks(estate) == ["stop", "start"] * 2 and shop.value("SELECT count(*) FROM orders") == 10
    # It took longer than was promised.
    checks = {one["check"]: one["status"] for line in drill.lines(HOST) for one in line["checks"]}
    assert checks["postgresql_backup_restore_seconds"] == "crit" and checks["postgresql_backup_data_age"] == "ok"
    assert drill.rc == 2 and drill.status(HOST) == "findings"
