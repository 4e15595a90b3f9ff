# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back on real servers, as the least-privilege role: beside, swap, rollback, confirm, and what goes wrong."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import psycopg2
import pytest

from ansible_collections.day2.ops.plugins.module_utils._postgresql.grants import NEEDS, STOP_SQL
from tests.lab import demo
from tests.lab import module as modules
from tests.lab.age import Key, new_key
from tests.lab.fixtures import Database, majors
from tests.lab.lab import Lab
from tests.lab.module import Module
from tests.lab.postgres import Postgres, give_folder
from tests.lab.processes import wait_until as until
from tests.unit.plugins.module_utils._backup import sets

pytestmark = pytest.mark.lab
ROLE = "day2_restore"
READER = "shop_reader"


@dataclass
class Shop:
    """A live database with a set of it in a store, and the module working on both."""

    database: Database
    folder: Path
    scratch: Path
    set: sets.Made
    key: Key
    started: list[Module] = field(default_factory=list)
    user: str = ROLE

    @property
    def server(self) -> Postgres:
        return self.database.postgres

    @property
    def name(self) -> str:
        return self.database.name

    def start(self, state: str, patch: str = "", **given: Any) -> Module:
        """``patch``: what is run before the module, in its process."""
        arguments = {
            **self.database.login(self.user),
            "store": str(self.folder),
            "identity_file": self.key.path,
            "bin_dir": str(self.server.programs / "bin"),
            "drain_timeout": 0.5,
            "state": state,
            "run": {"id": "t1", "target": "shop"},
            **given,
        }
        # What is none was not given.
        chosen = {key: value for key, value in arguments.items() if value is not None}
        self.started.append(modules.start("postgresql_restore", chosen, patch=patch))
        return self.started[-1]

    def go(self, state: str, **given: Any) -> dict[str, Any]:
        return self.start(state, **given).result()

    def plan(self, state: str, **given: Any) -> dict[str, Any]:
        return self.go(state, _ansible_check_mode=True, **given)

    def swap(self, **given: Any) -> dict[str, Any]:
        return self.go("swapped", accept_loss_since=self.set.manifest["taken"], **given)

    def orders(self, name: Optional[str] = None) -> int:
        return int(self.server.value("SELECT count(*) FROM orders", dbname=name or self.name))

    def all(self) -> dict[str, tuple[bool, str]]:
        """Every database of the family by name: whether it is open, and its comment."""
        rows = self.server.execute(
            "SELECT datname, datallowconn, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database "
            "WHERE starts_with(datname, %s) ORDER BY 1",
            [self.name],
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def about(self, name: Optional[str] = None) -> list[tuple[Any, ...]]:
        """What belongs to a database and is in no dump."""
        statement = (
            "SELECT pg_get_userbyid(datdba), datconnlimit, pg_encoding_to_char(encoding), datcollate, "
            "ARRAY(SELECT (pg_get_userbyid(grantor), grantee::regrole, privilege_type, is_grantable)::text "
            "FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) ORDER BY 1), "
            "ARRAY(SELECT setrole::regrole::text || unnest(setconfig) FROM pg_db_role_setting "
            "WHERE setdatabase = d.oid ORDER BY 1) FROM pg_database d WHERE datname = %s"
        )
        return self.server.execute(statement, [name or self.name])


def create_role(server: Postgres) -> None:
    if ROLE in server.passwords:
        return
    for role in (READER, "shop_guest"):
        server.create_role(role)
    server.create_role(
        ROLE, attributes="LOGIN CREATEDB", member_of=(*NEEDS["postgresql_restore"]["roles"], demo.OWNER, READER)
    )
    server.execute(f"GRANT CONNECT ON DATABASE postgres TO {ROLE}")
    if server.major >= 15:
        server.execute(f"GRANT SET ON PARAMETER my.note TO {ROLE}")


@pytest.fixture
def make_shop(make_server_shop: Callable[..., Shop], pg: Postgres) -> Callable[..., Shop]:
    return lambda *given: make_server_shop(pg, *given)


@pytest.fixture
def make_server_shop(new_database: Callable[..., Database], tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def make(pg: Postgres, rows: int = 2000, *statements: str) -> Shop:
        create_role(pg)
        database = new_database(pg, extensions=())
        for statement in (
            "CREATE TYPE mood AS ENUM ('sad', 'happy')",
            "CREATE TABLE customers (id int PRIMARY KEY, note text)",
            "INSERT INTO customers SELECT g, 'x' FROM generate_series(1, 100) g",
            "CREATE TABLE orders (id bigserial PRIMARY KEY, customer int REFERENCES customers, mood mood, note text)",
            f"INSERT INTO orders (customer, mood, note) SELECT 1 + g % 100, 'happy', repeat(md5(g::text), 10) "
            f"FROM generate_series(1, {rows}) g",
            "CREATE INDEX orders_customer ON orders (customer)",
            f"GRANT SELECT ON orders TO {READER}",
            *statements,
        ):
            database.execute(statement, user=demo.OWNER)
        for statement in (
            f'COMMENT ON DATABASE "{database.name}" IS $$the shop\nof all shops$$',
            f'REVOKE ALL ON DATABASE "{database.name}" FROM PUBLIC',
            f'GRANT CONNECT, CREATE ON DATABASE "{database.name}" TO {READER} WITH GRANT OPTION',
            f'SET ROLE {READER}; GRANT CONNECT ON DATABASE "{database.name}" TO shop_guest; RESET ROLE',
            f'ALTER DATABASE "{database.name}" SET search_path TO public, "Odd, One"',
            f"ALTER DATABASE \"{database.name}\" SET my.note TO 'it''s'",
            f'ALTER ROLE {READER} IN DATABASE "{database.name}" SET statement_timeout TO 1234',
            f'ALTER DATABASE "{database.name}" CONNECTION LIMIT 37',
        ):
            pg.execute(statement)
        folder = tmp_path / f"store-{secrets.token_hex(2)}"
        folder.mkdir()
        key = new_key(tmp_path, f"key-{secrets.token_hex(2)}")
        taken = sets.make_set(pg, database.name, sets.folder_store(folder), "shop", recipients=[key.public])
        # Before 15 the schema public, and the grants on it, belong to a superuser.
        user = ROLE if pg.major >= 15 else "postgres"
        made.append(Shop(database, folder, tmp_path, taken, key, user=user))
        return made[-1]

    yield make
    for shop in made:
        for module in shop.started:
            if module.process.poll() is None:
                module.kill()
        shop.server.start()
        for name in shop.all():
            shop.server.drop_database(name)


def statuses(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["action"], one["status"]) for one in result["actions"]]


@majors(18, soak=(14,))
def test_there_and_back(pg: Postgres, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    before, about = shop.all(), shop.about()
    planned = shop.plan("beside", spool_dir=str(shop.scratch))
    assert statuses(planned) == [("restore_database", "planned")], planned
    assert shop.all() == before
    rehearsed = shop.plan("swapped", assume_actions=planned["actions"], accept_loss_since=shop.set.manifest["taken"])
    assert statuses(rehearsed) == [("swap_databases", "planned")], rehearsed
    done = shop.go("beside", spool_dir=str(shop.scratch))
    assert statuses(done) == [("restore_database", "done")], done
    assert [one["status"] for one in done["checks"] if one["check"].startswith("postgresql_backup_")] == ["ok"] * 7
    assert [path for path in shop.scratch.iterdir() if path.name.startswith("day2-")] == []
    assert set(shop.all()) == {shop.name, f"{shop.name}_day2_new"} and shop.all()[shop.name] == before[shop.name]
    assert (
        shop.server.value("SELECT has_database_privilege('public', %s, 'CONNECT')", [f"{shop.name}_day2_new"]) is False
    )
    again = shop.go("beside", spool_dir=str(shop.scratch))
    assert not again["changed"] and again["actions"] == [] and "Nothing is due" in again["plan_summary"]

    shop.database.execute("INSERT INTO orders (customer) SELECT 1 FROM generate_series(1, 7)", user=demo.OWNER)
    until(lambda: shop.database.value("SELECT pg_stat_get_live_tuples('orders'::regclass)") == 2007)
    refused = shop.go("swapped")
    assert refused["error"]["kind"] == "refused"
    assert f"accept_loss_since: {shop.set.manifest['taken']}" in refused["msg"] and "7 rows" in refused["msg"]
    planned = shop.plan("swapped", accept_loss_since=shop.set.manifest["taken"])
    assert planned["actions"][0]["predicted"]["rows_lost"] == 7
    loss = [one for one in planned["checks"] if one["check"] == "postgresql_rows_lost"]
    assert [(one["subject"], one["value"]) for one in loss] == [("public.orders", 7)]
    assert shop.orders() == 2007
    done = shop.swap()
    assert statuses(done) == [("swap_databases", "done")], done
    assert done["actions"][0]["after"]["closed_seconds"] < 5
    assert shop.orders() == 2000
    assert shop.about() == about
    old = done["databases"]["old"][0]
    assert shop.orders(old) == 2007
    assert shop.all()[shop.name][1].startswith("the shop\nof all shops\n{") and all(
        one for one, _ in shop.all().values()
    )
    again = shop.swap()
    assert not again["changed"] and again["actions"] == [], again
    again = shop.go("beside")
    assert not again["changed"], again

    shop.database.execute("INSERT INTO orders (customer) VALUES (1)", user=demo.OWNER)
    until(lambda: shop.database.value("SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'orders'") == 2001)
    planned = shop.plan("rolled_back")
    assert planned["actions"][0]["predicted"]["rows_discarded"] == 1, planned
    done = shop.go("rolled_back")
    assert statuses(done) == [("roll_back_databases", "done")], done
    assert shop.orders() == 2007 and shop.about() == about and shop.all()[shop.name] == before[shop.name]
    discarded = done["databases"]["discarded"][0]
    assert shop.orders(discarded) == 2001
    again = shop.go("rolled_back")
    assert not again["changed"] and again["actions"] == []

    wrong = shop.go("confirmed", confirm=shop.name)
    assert wrong["error"]["kind"] == "bad_input", wrong
    assert not shop.plan("confirmed", confirm=discarded)["error"]
    done = shop.go("confirmed", confirm=discarded)
    assert statuses(done) == [("drop_database", "done")], done
    assert set(shop.all()) == {shop.name} and shop.orders() == 2007
    again = shop.go("confirmed", confirm=discarded)
    assert not again["changed"] and again["actions"] == [], again


def test_confirmed_after_a_swap(pg: Postgres, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    # The schema for stop orders is an administrator's, and need not keep from restoring who may read the orders.
    for statement in STOP_SQL:
        shop.database.execute(statement)
    refused = shop.plan("beside")
    assert f"GRANT USAGE ON SCHEMA day2 TO {ROLE}" in refused["msg"], refused
    shop.database.execute(f"GRANT USAGE ON SCHEMA day2 TO {ROLE}; GRANT SELECT ON day2.stop TO {ROLE}")
    taken = sets.make_set(pg, shop.name, sets.folder_store(shop.folder), "shop", recipients=[shop.key.public])
    done = shop.go("beside", set=taken.id)
    assert ("postgresql_restore_left_out", "warn") in [(one["check"], one["status"]) for one in done["checks"]], done
    old = shop.go("swapped", accept_loss_since=taken.manifest["taken"])["databases"]["old"][0]
    wrong = shop.go("confirmed", confirm="shop")
    assert wrong["error"]["kind"] == "bad_input" and f"confirm: {old}" in wrong["msg"]
    assert f"confirm: {old}" in shop.go("confirmed")["msg"]
    done = shop.go("confirmed", confirm=old)
    assert statuses(done) == [("drop_database", "done")], done
    assert list(shop.all()) == [shop.name] and shop.all()[shop.name] == (True, "the shop\nof all shops")
    again = shop.go("confirmed", confirm=old)
    assert not again["changed"] and not again["error"]


RESTORE = "ansible_collections.day2.ops.plugins.module_utils._restore"
ORDERED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'day2/t1/reopen' AND strpos(query, %s) > 0"


def test_who_is_connected_stays_connected(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    shop.go("beside")
    before = shop.all()
    with closing(shop.database.connect(demo.OWNER, application_name="orders-api")) as app:
        planned = shop.plan("swapped", accept_loss_since=shop.set.manifest["taken"])
        assert planned["actions"][0]["predicted"]["sessions"] == 1
        assert any("orders-api" in str(one["evidence"]) for one in planned["checks"])
        refused = shop.swap()
        assert refused["error"]["kind"] == "refused" and "orders-api" in refused["msg"], refused
        assert statuses(refused) == [("swap_databases", "failed")]
        assert shop.all() == before
        with app.cursor() as cursor:
            cursor.execute("SELECT 1")
        running = shop.start("swapped", accept_loss_since=shop.set.manifest["taken"], drain_timeout=30)
        until(lambda: not shop.all()[shop.name][0])
        with pytest.raises(psycopg2.OperationalError, match="not currently accepting"):
            shop.database.connect(demo.OWNER)
    done = running.result()
    assert done["actions"][0]["after"]["sessions_terminated"] == 0, done
    assert 0 < done["actions"][0]["after"]["closed_seconds"] < 20
    with closing(shop.database.connect(demo.OWNER)) as app:
        done = shop.go("rolled_back", terminate_sessions=True)
        assert done["actions"][0]["after"]["sessions_terminated"] == 1, done
        assert shop.all()[shop.name] == before[shop.name]
    assert shop.server.value(ORDERED, [shop.name]) == 0, "the order to open again was not taken back"


def test_a_stop_while_sessions_leave(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    shop.go("beside")
    before = shop.all()
    with closing(shop.database.connect(demo.OWNER)):
        running = shop.start("swapped", accept_loss_since=shop.set.manifest["taken"], drain_timeout=30)
        until(lambda: not shop.all()[shop.name][0])
        running.process.terminate()
        stopped = running.result()
    assert stopped["error"]["kind"] == "stopped" and statuses(stopped) == [("swap_databases", "deferred")]
    assert shop.all() == before


def test_killed_while_sessions_leave(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    shop.go("beside")
    with closing(shop.database.connect(demo.OWNER)):
        running = shop.start("swapped", accept_loss_since=shop.set.manifest["taken"], drain_timeout=30)
        until(lambda: not shop.all()[shop.name][0])
        running.kill()
    assert shop.server.value(ORDERED, [shop.name]) >= 1, "nobody is left to open it again"
    planned = shop.plan("swapped", accept_loss_since=shop.set.manifest["taken"])
    # Whatever else is refused, it is opened.
    refused = shop.go("swapped")
    assert [one for one in statuses(planned) if one[0] == "open_database"] == [("open_database", "planned")] * 2
    assert [one for one in statuses(refused) if one[0] == "open_database"] == [("open_database", "done")] * 2
    assert refused["error"]["kind"] == "refused" and shop.all()[shop.name] == (True, "the shop\nof all shops")
    done = shop.swap()
    assert statuses(done) == [("swap_databases", "done")], done


@pytest.mark.parametrize("state", ["swapped", "rolled_back"])
def test_killed_between_the_names_and_the_opening(make_shop: Callable[..., Shop], pg18: Postgres, state: str) -> None:
    shop = make_shop()
    about = shop.about()
    shop.go("beside")
    if state == "rolled_back":
        shop.swap()
    patch = f"from {RESTORE} import swap\nimport os\nswap.finish = lambda *given: os.kill(os.getpid(), 9)"
    accept = shop.set.manifest["taken"] if state == "swapped" else None
    shop.start(state, patch, accept_loss_since=accept).process.wait(60)
    assert not shop.all()[shop.name][0]
    done = shop.go(state, accept_loss_since=accept)
    assert set(statuses(done)) == {("open_database", "done")}, done
    assert all(one for one, _comment in shop.all().values()) and shop.about() == about
    assert shop.orders() == 2000
    again = shop.go(state, accept_loss_since=accept)
    assert not again["changed"], again


def test_what_differs_after_the_swap_swaps_back(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    shop.go("beside")
    before, about = shop.all(), shop.about()
    patch = (
        f"from {RESTORE} import facts\nfrom dataclasses import replace\nread = facts.read\n"
        "facts.read = lambda session, one, final=False: "
        "replace(read(session, one, final=final), **({'connection_limit': 5} if final else {}))"
    )
    failed = shop.swap(patch=patch)
    assert "connection limit 5 instead of 37" in failed["msg"] and "changed back" in failed["msg"], failed
    assert statuses(failed) == [("swap_databases", "failed")]
    assert shop.all() == before and shop.about() == about
    assert statuses(shop.swap()) == [("swap_databases", "done")]


def test_the_server_opens_it_when_nobody_else_does(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    shop.go("beside")
    with closing(shop.database.connect(demo.OWNER)):
        patch = f"from {RESTORE} import swap\nswap.REOPEN_SECONDS = -28.0"
        running = shop.start("swapped", patch, accept_loss_since=shop.set.manifest["taken"], drain_timeout=30)
        until(lambda: not shop.all()[shop.name][0])
        running.kill()
    until(lambda: shop.all()[shop.name][0], seconds=10)
    # The mark it leaves is swept by the next run.
    assert ("open_database", "done") in statuses(shop.go("beside"))
    assert shop.all()[shop.name][1] == "the shop\nof all shops"


def test_killed_while_it_restores(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop(
        2000,
        # A restore that takes a second, wherever it is done.
        "CREATE FUNCTION slow(id bigint) RETURNS bool LANGUAGE plpgsql AS "
        "$$ BEGIN IF id % 100 = 0 THEN PERFORM pg_catalog.pg_sleep(0.05); END IF; RETURN true; END $$",
        "ALTER TABLE orders ADD CHECK (slow(id))",
    )
    working = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY public.orders%'"
    # Other tests have left orders to open a database again.
    ours = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name LIKE 'day2/%' AND application_name NOT LIKE '%/reopen'"
    )
    for spool in (None, str(shop.scratch)):
        running = shop.start("beside", spool_dir=spool)
        until(lambda: shop.server.value(working))
        running.kill()
        until(lambda: not shop.server.value(ours))
        until(lambda: not [path for path in shop.scratch.iterdir() if path.name.startswith("day2-")])
    assert shop.go("swapped", accept_loss_since=shop.set.manifest["taken"])["error"]["kind"] == "refused"
    done = shop.go("beside", spool_dir=str(shop.scratch))
    assert statuses(done) == [("drop_incomplete_restore", "done"), ("restore_database", "done")], done
    assert shop.orders(f"{shop.name}_day2_new") == 2000


def test_what_was_only_created_is_ours(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    new = f"{shop.name}_day2_new"
    patch = f"from {RESTORE} import facts\nimport os\nfacts.beginning = lambda *given: os.kill(os.getpid(), 9)"
    shop.start("beside", patch).process.wait(60)
    assert shop.all()[new] == (False, "")
    assert statuses(shop.go("beside"))[0] == ("drop_incomplete_restore", "done")
    shop.server.drop_database(new)
    shop.server.create_database(new)
    refused = shop.go("beside")
    assert refused["error"]["kind"] == "refused" and new in refused["msg"] and not refused["changed"]
    assert new in shop.all()


def test_single_tables(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop(
        500,
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.log (id int GENERATED ALWAYS AS IDENTITY, at date, PRIMARY KEY (id, at)) "
        "PARTITION BY RANGE (at)",
        "CREATE TABLE sales.log_1 PARTITION OF sales.log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "INSERT INTO sales.log (at) SELECT '2026-05-05' FROM generate_series(1, 30)",
        "CREATE TABLE sales.other (id int)",
    )
    before = shop.all()
    for wrong, words in (("nowhere.orders", "nowhere.orders"), ("a.b.c", "tables")):
        assert words in shop.go("beside", tables=[wrong])["msg"]
    tables = ["orders", "sales.log"]
    assert statuses(shop.plan("beside", tables=tables)) == [("rescue_tables", "planned")]
    assert shop.all() == before
    done = shop.go("beside", tables=tables)
    assert statuses(done) == [("rescue_tables", "done")], done
    rescued = {one["subject"]: one["value"] for one in done["checks"] if one["check"] == "postgresql_rescued_rows"}
    assert rescued == {"public.orders": 500, "sales.log_1": 30}
    rescue = f"{shop.name}_day2_rescue"
    assert shop.all()[shop.name] == before[shop.name]
    assert shop.orders(rescue) == 500
    found = shop.server.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace >= 16384 OR "
        "relname IN ('customers', 'orders_customer', 'orders_pkey') ORDER BY 1",
        dbname=rescue,
    )
    assert [row[0] for row in found] == ["log", "log_1", "orders_customer", "orders_pkey"]
    assert shop.server.value("INSERT INTO orders (mood) VALUES ('sad') RETURNING id", dbname=rescue) == 501
    again = shop.go("beside", tables=tables)
    assert not again["changed"], again
    assert statuses(shop.go("confirmed", confirm=rescue)) == [("drop_database", "done")]
    assert shop.all() == before


def test_the_live_database_is_gone(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop()
    shop.server.drop_database(shop.name)
    shop.go("beside")
    done = shop.go("swapped")
    assert statuses(done) == [("swap_databases", "done")], done
    assert shop.orders() == 2000 and list(shop.all()) == [shop.name]
    again = shop.go("rolled_back")
    assert not again["changed"] and not again["error"], again


def test_what_cannot_be_used(make_shop: Callable[..., Shop], pg18: Postgres, tmp_path: Path) -> None:
    shop = make_shop()
    before = shop.all()
    other = new_key(tmp_path, "other")
    for given, words in (
        ({"identity_file": other.path}, "identity_file"),
        ({"identity_file": None}, "identity_file"),
        ({"set": "20200101T000000Z-0000"}, "set"),
        ({"verified": True}, "verified set"),
        ({"store": str(tmp_path / "nowhere")}, "nowhere"),
        ({"lock_db": shop.name}, "lock_db"),
        ({"confirm": "x"}, "confirm"),
        ({"spool_dir": str(tmp_path / "nothing")}, "spool_dir"),
        ({"accept_loss_since": "yesterday", "state": "swapped"}, "accept_loss_since"),
    ):
        found = shop.go(**{"state": "beside", **given})  # type: ignore[arg-type]
        assert found["error"] and words in found["msg"] and not found["changed"], found
        assert shop.all() == before
    store = sets.folder_store(shop.folder)
    liar = sets.make_set(shop.server, shop.name, store, "shop", change=lambda told: told["tables"][0].update(rows=999))
    for spool in (str(shop.scratch), None):
        failed = shop.go("beside", set=liar.id, spool_dir=spool)
        assert "999" in failed["msg"] and "Restore another set" in failed["msg"], failed
        assert statuses(failed) == [("restore_database", "failed")]
        assert shop.all() == before
    sets.flip(shop.folder, shop.set)
    failed = shop.go("beside", set=shop.set.id)
    assert "has changed" in failed["msg"] and failed["msg"].startswith("Failed to restore the set"), failed
    assert shop.all() == before


def test_rights_and_roles_are_told_before_anything_is_made(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop(50)
    before, server = shop.all(), shop.server
    server.create_role("poor_restorer", member_of=("pg_monitor", "pg_signal_backend"))
    server.execute("GRANT CONNECT ON DATABASE postgres TO poor_restorer")
    shop.user = "poor_restorer"
    told = []
    for _try in range(5):
        refused = shop.plan("beside")
        if not refused["error"]:
            break
        assert refused["error"]["kind"] == "refused", refused
        statements = refused["msg"].split("administrator run: ")[-1]
        assert statements != refused["msg"], refused
        told += [one.strip() for one in statements.split(";") if one.strip()]
        for statement in told:
            server.execute(statement)
    assert "ALTER ROLE poor_restorer CREATEDB" in told and f"GRANT {demo.OWNER} TO poor_restorer" in told
    assert not shop.go("beside")["error"]
    assert not shop.swap()["error"]
    assert not shop.go("rolled_back")["error"]
    shop.user = ROLE
    # A role that owns something in the set, and is not there any more.
    server.create_role("clerk")
    server.execute(f"GRANT clerk TO {ROLE}")
    shop.database.execute(
        "CREATE TABLE clerks (id int); GRANT SELECT ON orders TO clerk; ALTER TABLE clerks OWNER TO clerk"
    )
    taken = sets.make_set(server, shop.name, sets.folder_store(shop.folder), "shop", recipients=[shop.key.public])
    shop.database.execute("DROP OWNED BY clerk")
    server.execute("DROP OWNED BY clerk")
    server.execute("DROP ROLE clerk")
    refused = shop.go("beside", set=taken.id)
    assert refused["error"]["kind"] == "refused" and "CREATE ROLE clerk;" in refused["msg"], refused
    assert "PASSWORD" not in refused["msg"] and "SCRAM" not in refused["msg"]
    assert f"{shop.name}_day2_new" not in shop.all() and before[shop.name] == shop.all()[shop.name]


def test_what_belongs_to_a_name_is_refused(lab: Any, make_server_shop: Callable[[Postgres], Shop]) -> None:
    server = lab.postgres(18, "logical", {"wal_level": "logical", "max_prepared_transactions": "3"})
    demo.create_roles(server)
    shop = make_server_shop(server)
    shop.go("beside")
    before = shop.all()
    shop.database.execute("SELECT pg_create_logical_replication_slot('shop_slot', 'test_decoding')")
    shop.database.execute(
        "CREATE SUBSCRIPTION shop_sub CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect = false)"
    )
    with closing(shop.database.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders (customer) VALUES (1)")
        cursor.execute("PREPARE TRANSACTION 'half done'")
    refused = shop.swap()
    assert refused["error"]["kind"] == "refused" and not refused["changed"]
    for words in ("shop_slot", "shop_sub", "half done"):
        assert words in refused["msg"]
    assert shop.all() == before
    shop.database.execute("ROLLBACK PREPARED 'half done'")
    shop.database.execute("ALTER SUBSCRIPTION shop_sub SET (slot_name = NONE)")
    shop.database.execute("DROP SUBSCRIPTION shop_sub")
    assert "shop_slot" in shop.swap()["msg"]
    shop.database.execute("SELECT pg_drop_replication_slot('shop_slot')")
    assert statuses(shop.swap()) == [("swap_databases", "done")]
    server.stop("immediate")


def test_extensions_that_only_a_superuser_may_make(make_shop: Callable[..., Shop], pg18: Postgres) -> None:
    shop = make_shop(50)
    shop.database.execute("CREATE EXTENSION pgstattuple")
    taken = sets.make_set(pg18, shop.name, sets.folder_store(shop.folder), "shop", recipients=[shop.key.public])
    refused = shop.go("beside", set=taken.id)
    assert refused["error"]["kind"] == "refused" and "pgstattuple" in refused["msg"] and "template" in refused["msg"]
    template = f"{shop.name}_template"
    shop.server.create_database(template, template="template0")
    shop.server.execute("CREATE EXTENSION pgstattuple", dbname=template)
    shop.server.execute(f'ALTER DATABASE "{template}" IS_TEMPLATE true')
    done = shop.go("beside", set=taken.id, template=template)
    shop.server.execute(f'ALTER DATABASE "{template}" IS_TEMPLATE false')
    assert statuses(done) == [("restore_database", "done")], done
    # Single tables do not need them.
    done = shop.go("beside", set=taken.id, tables=["orders"])
    assert statuses(done) == [("rescue_tables", "done")], done


@dataclass
class Cramped:
    """A server with a disk of its own."""

    server: Postgres
    disk: Path
    resize: Callable[[Path, str], None]

    def leave(self, mebibytes: int) -> None:
        """Make the disk so large that this much of it is free."""
        used = shutil.disk_usage(self.disk).used >> 20
        self.resize(self.disk, f"{used + 1 + mebibytes}m")


@pytest.fixture
def cramped(lab: Lab, small_disk: Callable[[Path, str], None], request: pytest.FixtureRequest) -> Iterator[Cramped]:
    """Its version, and what is on the disk: all data and the WAL, or only a tablespace of this name."""
    major, what = request.param
    name = f"cramped-{secrets.token_hex(3)}"
    if what == "data":
        folder = give_folder(lab.root / name, lab.account)
        server = Postgres(name, major, folder, lab.programs.postgresql(major), lab.account, {"max_wal_size": "32MB"})
        made = Cramped(server, give_folder(server.data_dir, lab.account), small_disk)
        small_disk(made.disk, "1g")
        server.create()
    else:
        server = lab.postgres(major, name)
        made = Cramped(server, lab.shared_folder(name), small_disk)
        small_disk(made.disk, "1g")
        server.execute(f"CREATE TABLESPACE cramped LOCATION '{made.disk}'")
    demo.create_roles(server)
    yield made
    # Or its disk could not be taken away.
    server.stop("immediate")


# Before 16 a block may be written by half before the disk is full.
@pytest.mark.parametrize(
    ("cramped", "spooled"),
    [pytest.param((15, "tablespace"), False, marks=pytest.mark.soak), ((18, "tablespace"), True)],
    ids=["pg15-streamed", "pg18-spooled"],
    indirect=["cramped"],
)
def test_the_disk_of_the_server_is_full(cramped: Cramped, make_server_shop: Callable[..., Shop], spooled: bool) -> None:
    shop = make_server_shop(cramped.server, 60000)
    given = {"spool_dir": str(shop.scratch) if spooled else None}
    shop.server.execute(f'ALTER DATABASE "{shop.name}" SET TABLESPACE cramped')
    refused = shop.plan("beside", **given)
    assert refused["error"]["kind"] == "refused", refused
    statement = f"GRANT CREATE ON TABLESPACE cramped TO {ROLE};"
    assert refused["msg"].endswith(f"Let an administrator run: {statement}")
    shop.server.execute(statement)
    before = shop.all()
    # An empty database takes 7 MiB: it ends in making that, then in the rows.
    for free in (3, 20):
        cramped.leave(free)
        failed = shop.go("beside", **given)
        assert failed["error"]["kind"] == "failed" and statuses(failed) == [("restore_database", "failed")], failed
        why = "no space is left on the server's disk; make room there first."
        assert failed["msg"] == f"Failed to restore {shop.name}_day2_new: {why}"
        assert shop.all() == before and shop.orders() == 60000
        shop.database.execute("UPDATE customers SET note = 'y' WHERE id = 1", user=demo.OWNER)
    cramped.leave(100)
    done = shop.go("beside", **given)
    assert statuses(done) == [("restore_database", "done")], done
    assert shop.orders(f"{shop.name}_day2_new") == 60000


@pytest.mark.soak
@pytest.mark.parametrize("cramped", [(18, "data")], ids=["pg18"], indirect=True)
def test_the_disk_with_the_wal_is_full(cramped: Cramped, make_server_shop: Callable[..., Shop]) -> None:
    """PostgreSQL goes down when it cannot write WAL, and comes back only when there is room."""
    shop = make_server_shop(cramped.server, 120000)
    shop.server.execute("CHECKPOINT")
    before = shop.all()
    cramped.leave(40)
    failed = shop.go("beside")
    assert failed["error"]["kind"] in ("failed", "unreachable"), failed
    assert statuses(failed) == [("restore_database", "failed")]
    assert failed["msg"].startswith(f"Failed to restore {shop.name}_day2_new: ") and "\n" not in failed["msg"]
    until(lambda: not shop.server.running())
    assert "No space left on device" in shop.server.log()
    cramped.leave(300)
    shop.server.start()
    new = f"{shop.name}_day2_new"
    assert shop.all().keys() == {shop.name, new} and shop.all()[shop.name] == before[shop.name]
    assert shop.orders() == 120000
    assert "restore one first" in shop.swap()["msg"]
    done = shop.go("beside")
    assert statuses(done) == [("drop_incomplete_restore", "done"), ("restore_database", "done")], done
    assert shop.orders() == shop.orders(new) == 120000
