# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every command of docs/get-the-data-back.md, in its order, on a real server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.estate import TOP, Estate
from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import Database
from tests.lab.lab import Lab
from tests.unit.plugins.module_utils._backup import sets

pytestmark = pytest.mark.lab
PAGE = (TOP / "docs" / "get-the-data-back.md").read_text(encoding="utf-8")
NEEDED = ("age", "zstd")


def commands(heading: str) -> list[str]:
    section = PAGE[PAGE.index(f"## {heading}") :]
    section = section[: section.find("\n## ", 3)]
    return re.findall(r"^\$ (.+)$", section, re.MULTILINE)


class Night:
    """The example's estate: one database, one set of it, and what came after."""

    def __init__(self, estate: Estate, lab: Lab) -> None:
        self.estate = estate
        self.server = lab.postgres(18, "night")
        demo.create_roles(self.server)
        self.server.create_database("shop", owner=demo.OWNER)
        self.shop = Database(self.server, "shop")
        self.shop.execute("CREATE TABLE orders (id int PRIMARY KEY)", user=demo.OWNER)
        self.shop.execute("INSERT INTO orders SELECT generate_series(1, 1000)", user=demo.OWNER)
        key = new_key(estate.folder)
        self.made = sets.make_set(
            self.server, "shop", sets.folder_store(estate.store), "shop-db", recipients=[key.public]
        )
        self.shop.execute("DELETE FROM orders WHERE id > 10", user=demo.OWNER)
        estate.add("shop-db", self.shop.login())
        bin_dir = self.server.tool("pg_dump").parent
        estate.vars |= {
            "postgresql_restore_bin_dir": str(bin_dir),
            "postgresql_restore_identity_file": key.path,
        }
        estate.inventory()
        self.tools = estate.folder / "tools"
        self.tools.mkdir()
        for name in NEEDED:
            program, _libraries = lab.programs.debian(name, (name,))
            (self.tools / name).symlink_to(program)
        kept = estate.environment()
        path = os.pathsep.join([str(self.tools), str(bin_dir), kept["PATH"]])
        self.environment = {**kept, **self.server.env("postgres"), "PATH": path, "ANSIBLE_COLLECTIONS_PATH": ""}

    def run(self, command: str, *, fails: bool = False) -> str:
        done = subprocess.run(
            shlex.split(command),
            cwd=self.estate.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rows(self, database: str) -> int:
        return int(self.server.value("SELECT count(*) FROM orders", dbname=database))


@pytest.fixture
def night(estate: Estate, lab: Lab) -> Iterator[Night]:
    made = Night(estate, lab)
    yield made
    made.server.stop("immediate")


def test_every_command_of_the_page(night: Night) -> None:
    (look,) = commands("1. What is there?")
    assert night.made.prefix.rpartition("/")[2] in night.run(look)

    check, beside, count = commands("2. Restore beside")
    night.run(check)
    assert night.server.databases("shop_") == []
    night.run(beside)
    assert "1000" in night.run(count) and night.rows("shop") == 10

    rescue, count, make, out, into = commands("3. Only some tables")
    night.run(rescue)
    assert "1000" in night.run(count)
    for command in (make, out, into):
        night.run(command)
    assert night.server.value("SELECT count(*) FROM orders_rescued", dbname="shop") == 1000
    night.shop.execute("DROP TABLE orders_rescued")

    ask, swap = commands("4. Let the restored database")
    said = night.run(ask, fails=True)
    told = re.search(r"accept_loss_since[^0-9]*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", said)
    assert told, said
    night.run(swap.replace("2026-12-06T02:00:00Z", told.group(1)))
    assert night.rows("shop") == 1000

    (back,) = commands("5. It was the wrong decision")
    night.run(back)
    assert night.rows("shop") == 10 and night.server.databases("shop_day2_discarded_")

    (drop,) = commands("6. Days later")
    (discarded,) = night.server.databases("shop_day2_discarded_")
    night.run(drop.replace("shop_day2_old_20261206T031500Z", discarded))
    assert night.server.databases("shop_day2_discarded_") == [] and night.rows("shop") == 10

    store = Path(night.estate.store) / night.made.prefix
    for part in store.glob("*.age"):
        shutil.copy(part, night.estate.folder)
    for command in commands("Without this collection"):
        night.run(command)
    assert night.rows("shop_by_hand") == 1000
    assert "CREATE ROLE" in (night.estate.folder / "globals.sql").read_text(encoding="utf-8")
