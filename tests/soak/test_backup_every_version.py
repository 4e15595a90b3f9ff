# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup, proof, the way back and drills on every PostgreSQL; what they tell is asked again with SQL of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import yaml

from ansible_collections.day2.ops.plugins.module_utils._store.base import read_manifest
from tests.faults import test_backups
from tests.faults.estate import Estate, Outcome
from tests.faults.test_restores import HOST, done, restore
from tests.lab.fixtures import Database, all_majors
from tests.lab.postgres import Postgres
from tests.unit.plugins.module_utils._backup import sets
from tests.unit.plugins.module_utils._backup.rich import RICH
from tests.unit.plugins.module_utils._restore import test_restore
from tests.unit.plugins.module_utils._restore.test_restore import make_server_shop, make_shop

pytestmark = pytest.mark.lab
__all__ = ["make_server_shop", "make_shop"]

# The least-privilege role may read everything, as it would be asked for.
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
   AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
"""
# What is no row of a table. Oids from 16384 on are those of users.
OTHERS = {
    "sequences": "SELECT s::text FROM pg_sequences s ORDER BY 1",
    "large objects": "SELECT oid || md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1",
    "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid >= 16384 AND "
    "indrelid NOT IN (SELECT oid FROM pg_class WHERE relkind = 't') ORDER BY 1",
    "constraints": "SELECT conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE oid >= 16384 ORDER BY 1",
    "owners": "SELECT oid::regclass || ' ' || relowner::regrole FROM pg_class "
    "WHERE relnamespace <> 'pg_toast'::regnamespace AND oid >= 16384 ORDER BY 1",
}
# All of it, in one value.
ORDERS = "md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"


def contents(server: Postgres, name: str) -> dict[str, list[str]]:
    """Every row there is, as text, by what holds it; and some of what is defined."""
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
    same = f"SELECT '{database.value(f'SELECT {ORDERS}')}' = {ORDERS}"
    estate.vars |= {
        "postgresql_backup_verify_assertions": [{"name": "the orders", "query": same}],
        "postgresql_restore_bin_dir": estate.vars["postgresql_backup_bin_dir"],
        "postgresql_restore_identity_file": estate.vars["postgresql_backup_verify_identity_file"],
        "postgresql_restore_drain_timeout": 1,
    }
    yield database
    for name in pg.databases(database.name):
        pg.drop_database(name)


def witness(estate: Estate, server: Postgres) -> str:
    """A role that starts a service: this one asks the live database for its orders and writes them down."""
    tasks = estate.folder / "roles" / "witness" / "tasks"
    tasks.mkdir(parents=True)
    options = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "db"}
    login = {name: f"{{{{ ops_postgresql.login_{option} }}}}" for name, option in options.items()}
    ask = f'{server.tool("psql")} -XAtc "SELECT {ORDERS}" >> {estate.folder}/witnessed'
    task = {"name": "Ask", "ansible.builtin.shell": ask, "environment": login}
    (tasks / "main.yml").write_text(yaml.safe_dump([task]), encoding="utf-8")
    return str(tasks.parent)


def planned(outcome: Outcome) -> list[str]:
    """What a rehearsal would do, in order; what is looked at before services are stopped for it is told twice."""
    return list(dict.fromkeys(one["action"] for one in outcome.actions(HOST) if one["status"] == "planned"))


def check_then_run_then_run_again(
    play: Callable[..., Outcome],
    kinds: Sequence[str],
    look: Callable[[], Any],
    *,
    rehearsed: str = "ok",
    again: Sequence[str] = (),
) -> None:
    """``look`` reads what there is: a rehearsal, which ends as ``rehearsed``, changes nothing of it. ``again``: what a
    second run does."""
    before = look()
    check = play("--check")
    assert check.status(HOST) == rehearsed and planned(check) == list(kinds) and done(check) == [], check.out
    assert look() == before
    run = play()
    assert run.rc == 0 and run.changed > 0 and done(run) == [(kind, "done") for kind in kinds], run.out
    after = look()
    second = play()
    assert second.rc == 0 and done(second) == [(kind, "done") for kind in again], second.out
    assert again or (second.changed == 0 and look() == after), second.out


@all_majors
def test_from_backup_to_drill(estate: Estate, pg: Postgres, shop: Database) -> None:
    original = contents(pg, shop.name)
    assert len(original["orders"]) == 20000 and len(original["lines"]) == 2000

    def stored() -> list[tuple[str, Any]]:
        return [(one.id, one.verified_at) for one in test_backups.sets(estate, HOST)]

    def family() -> dict[str, dict[str, list[str]]]:
        return {name: contents(pg, name) for name in pg.databases(shop.name)}

    def beside() -> str:
        (name,) = set(pg.databases(shop.name)) - {shop.name}
        return name

    take = partial(estate.play, playbook="backup-databases")
    # That there is no set yet stays true in a rehearsal.
    check_then_run_then_run_again(take, ["backup"], stored, rehearsed="findings")
    ((made, verified),) = stored()
    assert verified is None and contents(pg, shop.name) == original
    manifest = read_manifest(sets.folder_store(estate.store), f"v1/backups/{HOST}/{made}")
    assert manifest["server"]["version"].split(".")[0] == str(pg.major)
    counted = {one["name"]: one["rows"] for one in manifest["tables"]}
    assert counted["public.orders"] == 20000 and counted["public.lines_old"] + counted["public.lines_new"] == 2000

    # Our own question is put to the restored database: postgresql_backup_verify_assertions.
    check_then_run_then_run_again(partial(estate.play, playbook="verify-backups"), ["verify_backup"], stored)
    ((_made, verified),) = stored()
    assert verified is not None

    shop.execute(DAMAGE)
    damaged = contents(pg, shop.name)
    assert damaged != original
    check_then_run_then_run_again(partial(restore, estate), ["restore_database"], family)
    assert family() == {shop.name: damaged, f"{shop.name}_day2_new": original}
    swap = partial(restore, estate, restore_state="swapped", postgresql_restore_accept_loss_since=manifest["taken"])
    check_then_run_then_run_again(swap, ["swap_databases"], family)
    assert family() == {shop.name: original, beside(): damaged}
    check_then_run_then_run_again(
        partial(restore, estate, restore_state="rolled_back"), ["roll_back_databases"], family
    )
    assert family() == {shop.name: damaged, beside(): original}

    drill = partial(estate.play, playbook="disaster-recovery-drill")
    practise = partial(drill, drill_scenario="backup_restoration")
    check_then_run_then_run_again(practise, ["verify_backup"], stored, again=["verify_backup"])
    assert stored()[0][0] == made and stored()[0][1] > verified
    # It ends where it began: the database that was set aside above is not one of its own.
    before, kinds = family(), ["restore_database", "swap_databases", "roll_back_databases", "drop_database"]
    practise = partial(drill, drill_scenario="database_failure", ops_start_roles=[witness(estate, pg)])
    check = practise("--check")
    assert check.rc == 0 and planned(check)[:2] == kinds[:2] and done(check) == [], check.out
    assert family() == before and not (estate.folder / "witnessed").exists()
    for _time in range(2):
        run = practise()
        assert run.rc == 0 and done(run) == [(kind, "done") for kind in kinds], run.out
        assert family() == before
        # In between the set was live.
        seen = (estate.folder / "witnessed").read_text(encoding="utf-8").split()
        assert seen[-2:] == [pg.value(f"SELECT {ORDERS}", dbname=name) for name in (beside(), shop.name)]
        (estate.folder / "witnessed").unlink()


@all_majors
def test_the_way_back_as_the_role_that_may_just_do_that(pg: Postgres, make_shop: Callable[..., Any]) -> None:
    test_restore.test_there_and_back(pg, make_shop)
