# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup, proof, the way back and drills on every PostgreSQL; what they say is asked again with SQL of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.day2.ops.plugins.module_utils._store.base import read_manifest
from tests.faults import test_backups, test_restores
from tests.faults.estate import Estate, Outcome
from tests.faults.test_restores import HOST, done, restore
from tests.lab import demo
from tests.lab.fixtures import Database, all_majors
from tests.lab.postgres import Postgres
from tests.unit.plugins.module_utils._backup import sets
from tests.unit.plugins.module_utils._backup.rich import RICH
from tests.unit.plugins.module_utils._restore import test_restore
from tests.unit.plugins.module_utils._restore.test_restore import make_server_shop, make_shop

pytestmark = pytest.mark.lab
__all__ = ["make_server_shop", "make_shop"]

# What a backup as the least-privilege role calls for, as it would say itself.
READABLE = """
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;
ALTER TABLE orders NO FORCE ROW LEVEL SECURITY;
DO $$ DECLARE one oid; BEGIN
  FOR one IN SELECT oid FROM pg_largeobject_metadata LOOP
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO day2_backup', one);
  END LOOP;
END $$;
"""
DAMAGE = "DELETE FROM lines WHERE order_id > 1000; DROP TABLE tags; UPDATE orders SET note = 'gone' WHERE id < 10"
RELATIONS = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'v') AND n.nspname IN ('public', 'Odd.Schema')
"""
# What is no row of a table.
OTHERS = {
    "sequences": "SELECT s::text FROM pg_sequences s ORDER BY 1",
    "large objects": "SELECT oid || md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1",
    "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid >= 16384 ORDER BY 1",
    "constraints": "SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint WHERE oid >= 16384 ORDER BY 1",
    "owners": "SELECT oid::regclass || relowner::regrole::text FROM pg_class WHERE relkind <> 't' AND oid >= 16384 ORDER BY 1",
}
# True where the rows of orders are those of the moment when this was written.
SAME_ORDERS = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) = '{}' FROM orders o"


def contents(server: Postgres, name: str) -> dict[str, list[str]]:
    """Every row that there is, as text, by where it is; and some of what is defined."""
    found = {}
    for (table,) in server.execute(RELATIONS, dbname=name):
        found[table] = [row for (row,) in server.execute(f"SELECT t::text FROM {table} t ORDER BY 1", dbname=name)]
    for what, query in OTHERS.items():
        found[what] = [row for (row,) in server.execute(query, dbname=name)]
    return found


@pytest.fixture
def shop(estate: Estate, pg: Postgres, new_database: Callable[..., Database]) -> Iterator[Database]:
    database = new_database(pg)
    database.execute(RICH)
    database.execute(READABLE)
    estate.add(HOST, database.login(), ops_drill=True)
    test_backups.prepare(estate, pg)
    orders = database.value("SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o")
    estate.vars |= {
        "postgresql_backup_verify_assertions": [{"name": "the orders", "query": SAME_ORDERS.format(orders)}],
        "postgresql_restore_bin_dir": estate.vars["postgresql_backup_bin_dir"],
        "postgresql_restore_identity_file": estate.vars["postgresql_backup_verify_identity_file"],
        "postgresql_restore_drain_timeout": 1,
    }
    yield database
    for name in pg.databases(database.name):
        pg.drop_database(name)


def rehearsed_done_and_not_again(play: Callable[..., Outcome], actions: list[str], same: Callable[[], Any]) -> None:
    """A playbook in check mode, for real, and once more; what ``same`` reads changes only when it is played for real."""
    before = same()
    check = play("--check")
    assert check.rc == 0 and same() == before, check.out
    # What comes after a step that is only rehearsed is rehearsed with it.
    assert {one["action"] for one in check.actions(HOST, "plan")} == set(actions), check.out
    run = play()
    assert run.rc == 0 and run.changed > 0 and done(run) == [(one, "done") for one in actions], run.out
    after = same()
    assert after != before
    again = play()
    assert again.rc == 0 and again.changed == 0 and done(again) == [], again.out
    assert same() == after


@all_majors
def test_there_and_back(estate: Estate, pg: Postgres, shop: Database) -> None:
    store, original = sets.folder_store(estate.store), contents(pg, shop.name)

    def verdicts() -> list[tuple[str, bool | None]]:
        return [(one.id, one.verified) for one in test_backups.sets(estate, HOST)]

    def play(name: str, **extra: Any) -> Callable[..., Outcome]:
        return lambda *given: estate.play(*given, playbook=name, **extra)

    rehearsed_done_and_not_again(play("backup-databases"), ["backup"], verdicts)
    (made,) = test_backups.sets(estate, HOST)
    manifest = read_manifest(store, made.prefix)
    assert manifest["server"]["version"].split(".")[0] == str(pg.major)
    counted = {one["name"]: one["rows"] for one in manifest["tables"]}
    assert counted["public.orders"] == len(original["orders"]) == 20000
    assert counted["public.lines_old"] + counted["public.lines_new"] == len(original["lines"]) == 2000
    assert contents(pg, shop.name) == original

    rehearsed_done_and_not_again(play("verify-backups"), ["verify_backup"], verdicts)
    assert verdicts() == [(made.id, True)]

    shop.execute(DAMAGE)
    damaged = contents(pg, shop.name)
    assert damaged != original

    def family() -> dict[str, dict[str, list[str]]]:
        return {name: contents(pg, name) for name in pg.databases(shop.name)}

    def way(state: str, **extra: Any) -> Callable[..., Outcome]:
        return lambda *given: estate.play(
            *given, playbook="restore-database", ops_incident="INC-4711", restore_state=state, **extra
        )

    rehearsed_done_and_not_again(way("beside"), ["restore_database"], family)
    assert family() == {shop.name: damaged, f"{shop.name}_day2_new": original}
    swap = way("swapped", postgresql_restore_accept_loss_since=manifest["taken"])
    rehearsed_done_and_not_again(swap, ["swap_databases"], family)
    old = next(iter(set(pg.databases(shop.name)) - {shop.name}))
    assert old.startswith(f"{shop.name}_day2_old_") and family() == {shop.name: original, old: damaged}
    rehearsed_done_and_not_again(way("rolled_back"), ["roll_back_databases"], family)
    discarded = next(iter(set(pg.databases(shop.name)) - {shop.name}))
    assert discarded.startswith(f"{shop.name}_day2_discarded_")
    assert family() == {shop.name: damaged, discarded: original}
