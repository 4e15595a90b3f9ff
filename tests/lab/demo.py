# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's data: a workflow service that ran for two years with nobody looking after its database.

Millions of rows on both sides of every retention limit, dead tuples, bloated indexes, stale statistics, and the
leftover of an interrupted REINDEX CONCURRENTLY. The same seed gives the same data; ages count from now.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import errors, sql

from .postgres import Postgres
from .processes import LabError
from .redis import Redis

DATABASE = "orchestrator"
OWNER = "orchestrator"
MAINTENANCE = "day2_maintenance"
OBSERVE = "day2_observe"
BACKUP = "day2_backup"
RETENTION = "day2_retention"
LEFTOVER = "audit_logs_actor_idx_ccnew"

# Rows at scale 1.
USERS, KEYS, WORKFLOWS, EXECUTIONS, EVENTS, LOGS = 5_000, 8_000, 120_000, 1_000_000, 700_000, 450_000
MONTHS = 25
TABLES = ("users", "api_keys", "workflows", "workflow_versions", "execution_logs", "audit_events", "audit_logs")
_APPLICATION = "lab-fill"
_SESSION = (
    "SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; SET work_mem = '64MB'; SELECT setseed(0.42)"
)

SCHEMA = """
CREATE TABLE users (
    id bigint PRIMARY KEY,
    email text NOT NULL UNIQUE,
    display_name text NOT NULL,
    created_at timestamptz NOT NULL,
    last_login_at timestamptz,
    disabled_at timestamptz);
CREATE TABLE roles (id int PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE user_roles (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role_id int NOT NULL REFERENCES roles ON DELETE RESTRICT,
    PRIMARY KEY (user_id, role_id));
CREATE TABLE api_keys (
    id bigint PRIMARY KEY,
    user_id bigint NOT NULL,
    name text NOT NULL,
    key_hash text NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz);
CREATE TABLE workflows (
    id bigint PRIMARY KEY,
    owner_id bigint NOT NULL,
    name text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    attempts int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL) WITH (autovacuum_enabled = false);
CREATE TABLE workflow_versions (
    id bigint NOT NULL,
    workflow_id bigint NOT NULL,
    version int NOT NULL,
    created_at timestamptz NOT NULL,
    definition jsonb NOT NULL) WITH (autovacuum_enabled = false);
CREATE TABLE execution_logs (
    id bigint NOT NULL,
    workflow_id bigint NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    duration_ms int,
    created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at);
COMMENT ON TABLE execution_logs IS 'No foreign key: a log outlives its workflow';
CREATE TABLE audit_events (
    id bigint NOT NULL,
    "timestamp" timestamptz NOT NULL,
    event_type text NOT NULL,
    user_id bigint,
    ip inet,
    detail jsonb) WITH (autovacuum_enabled = false);
CREATE TABLE audit_logs (
    id bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    created_at timestamptz NOT NULL) WITH (autovacuum_enabled = false);
"""

PEOPLE = """
INSERT INTO users
SELECT i, format('user%%s@example.com', i), format('User %%s', i), at,
       CASE WHEN random() < 0.92 THEN at + ((%(now)s - at) * random() ^ 0.2) END,
       CASE WHEN random() < 0.06 THEN %(now)s - interval '1 day' * random() * 300 END
FROM (SELECT i, %(now)s - interval '1 day' * (30 + random() * 700) AS at FROM generate_series(1, %(users)s) i) s;
INSERT INTO roles VALUES (1, 'viewer'), (2, 'editor'), (3, 'operator'), (4, 'admin');
INSERT INTO user_roles SELECT id, 1 + floor(4 * random() ^ 3) FROM users;
INSERT INTO api_keys
SELECT i, 1 + floor(random() * %(users)s),
       (string_to_array('ci laptop backup grafana terraform', ' '))[1 + floor(random() * 5)],
       'sha256:' || md5(i::text || 'a') || md5(i::text || 'b'), at,
       CASE WHEN random() < 0.85 THEN at + ((%(now)s - at) * random()) END,
       CASE WHEN random() < 0.15 THEN %(now)s - interval '1 day' * random() * 20 END
FROM (SELECT i, %(now)s - interval '1 day' * (1 + random() * 700) AS at FROM generate_series(1, %(keys)s) i) s;
"""

WORKFLOWS_SQL = """
INSERT INTO workflows
SELECT i, 1 + floor(random() * %(users)s),
       (string_to_array('import report sync train export notify', ' '))[1 + i %% 6] || '-' || i,
       (string_to_array(CASE WHEN age > 10 THEN
           'completed completed completed completed completed completed completed failed failed cancelled' ELSE
           'completed completed completed completed running running running pending pending failed' END, ' ')
       )[1 + floor(random() * 10)],
       0, %(now)s - interval '1 day' * (age + random() * 20), %(now)s - interval '1 day' * age
FROM (SELECT i, 730 * (1 - i::float8 / %(workflows)s) ^ 2.5 + random() * 0.2 AS age
      FROM generate_series(1, %(workflows)s) i) s;
"""

VERSIONS_SQL = """
INSERT INTO workflow_versions
SELECT w * 50 + v, w, v,
       %(now)s - interval '1 day' * (730 * (1 - w::float8 / %(workflows)s) ^ 2.5 + 20.0 * (n - v + 1) / n),
       ('{"steps": ["fetch", "transform", "store"], "timeout": 300, "retries": {"limit": 3, "delay": 10}, "revision": '
        || v || '}')::jsonb
FROM (SELECT w, CASE WHEN w %% 20 = 0 THEN 11 + w %% 30 ELSE 1 + w %% 4 END AS n
      FROM generate_series(1, %(workflows)s) w) s,
     LATERAL generate_series(1, n) v;
"""

EXECUTIONS_SQL = """
INSERT INTO execution_logs
SELECT i, 1 + floor((1 - random() ^ 2) * (%(workflows)s - 1)),
       (string_to_array('INFO INFO INFO INFO INFO INFO DEBUG DEBUG WARN ERROR', ' '))[1 + floor(random() * 10)],
       (string_to_array('step finished,step started,waiting for the queue,retrying,model answered', ',')
       )[1 + floor(random() * 5)] || ' [' || i || ']',
       floor(random() * 9000),
       %(now)s - interval '1 second' * (1 + 62985600 * (1 - i::float8 / %(executions)s) ^ 3)
FROM generate_series(1, %(executions)s) i;
"""

EVENTS_SQL = """
INSERT INTO audit_events
SELECT i, %(now)s - interval '1 second' * (1 + 62985600 * (1 - i::float8 / %(events)s) ^ 2.2),
       (string_to_array('login login login logout workflow_created workflow_deleted settings_changed '
        'authentication_failed permission_denied key_created', ' '))[1 + floor(random() * 10)],
       CASE WHEN random() < 0.97 THEN 1 + floor(random() ^ 2 * %(users)s) END,
       inet '10.0.0.0' + floor(random() * 5000000)::bigint,
       ('{"session": ' || i || ', "client": "web"}')::jsonb
FROM generate_series(1, %(events)s) i;
"""

LOGS_SQL = """
INSERT INTO audit_logs
SELECT i, 'user' || floor(1 + random() * %(users)s) || '@example.com',
       (string_to_array('create update delete read approve', ' '))[1 + floor(random() * 5)],
       (string_to_array('workflow secret role dashboard', ' '))[1 + floor(random() * 4)]
        || '/' || floor(random() * 100000),
       %(now)s - interval '1 second' * (1 + 62985600 * (1 - i::float8 / %(logs)s) ^ 2)
FROM generate_series(1, %(logs)s) i;
"""


@dataclass(frozen=True)
class Filled:
    """What filling made: rows by table, and the moment that all ages are relative to."""

    now: datetime
    rows: dict[str, int]


def _counts(scale: float) -> dict[str, int]:
    whole = {
        "users": USERS,
        "keys": KEYS,
        "workflows": WORKFLOWS,
        "executions": EXECUTIONS,
        "events": EVENTS,
        "logs": LOGS,
    }
    return {name: max(50, round(rows * scale)) for name, rows in whole.items()}


def create_roles(postgres: Postgres) -> None:
    """The owner, and the roles that the collection works as. Others may not connect to database postgres."""
    postgres.create_role(OWNER)
    postgres.create_role(MAINTENANCE, member_of=("pg_monitor", OWNER))
    postgres.create_role(OBSERVE, member_of=("pg_monitor",))
    postgres.create_role(BACKUP, member_of=("pg_monitor", "pg_read_all_data"))
    postgres.create_role(RETENTION, member_of=("pg_monitor",))
    with postgres.cursor() as cursor:
        cursor.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
        for role in (MAINTENANCE, BACKUP, RETENTION):
            cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(role)))


def let_retain(
    postgres: Postgres, database: str, tables: Sequence[tuple[str, str]] = (), *, restore: bool = False
) -> None:
    """The ledger of retention in the database, and what its role needs on these (schema, table); may be called again.

    With ``restore`` it may put rows back too.
    """
    from ansible_collections.day2.ops.plugins.module_utils._postgresql.grants import LEDGER_SQL

    role = sql.Identifier(RETENTION)
    privileges = sql.SQL("SELECT, DELETE, INSERT" if restore else "SELECT, DELETE")
    with postgres.cursor(database) as cursor:
        cursor.execute("SET client_min_messages = warning")
        for statement in LEDGER_SQL:
            cursor.execute(statement)
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA day2 TO {}").format(role))
        cursor.execute(sql.SQL("GRANT SELECT, INSERT ON day2.retention_ledger TO {}").format(role))
        for schema, table in tables:
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role))
            name = sql.Identifier(schema, table)
            cursor.execute(sql.SQL("GRANT {} ON TABLE {} TO {}").format(privileges, name, role))


def fill(
    postgres: Postgres, scale: float = 1.0, database: str = DATABASE, say: Callable[[str], object] = lambda _text: None
) -> Filled:
    """Create the roles (once per server), the database and its rows. About half a minute at scale 1 on two cores."""
    if OWNER not in postgres.passwords:
        create_roles(postgres)
    postgres.create_database(database, owner=OWNER)
    with postgres.cursor(database) as cursor:
        cursor.execute("CREATE EXTENSION pgstattuple; CREATE EXTENSION pg_stat_statements")
        # From version 15 on the public schema is its owner's alone.
        cursor.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        cursor.execute("SELECT date_trunc('second', now())")
        row = cursor.fetchone()
    if row is None:
        raise LabError("Failed to read the time of the server")
    now: datetime = row[0]
    values: dict[str, object] = {**_counts(scale), "now": now}
    filler = _Filler(postgres, database, values)
    filler.run([SCHEMA + _partitions(now)])
    say("people and workflows, their versions and logs")
    with ThreadPoolExecutor(2) as pool:
        try:
            for stream in [pool.submit(filler.audit), pool.submit(filler.workflows)]:
                stream.result()
        finally:
            # Or a Ctrl-C would wait for statements of many seconds.
            filler.cancel()
    say("foreign keys, two years of neglect")
    filler.run(_KEYS)
    filler.neglect()
    filler.leave_invalid_index()
    filler.workload()
    let_retain(postgres, database, [("public", table) for table in TABLES], restore=True)
    with postgres.cursor(database) as cursor:
        rows = {}
        for table in TABLES:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            found = cursor.fetchone()
            rows[table] = int(found[0]) if found else 0
    return Filled(now, rows)


def _partitions(now: datetime) -> str:
    """One partition a month: those past, this one and the next."""
    statements = []
    first = now.year * 12 + now.month - MONTHS
    for month in range(first, first + MONTHS + 1):
        low, high = (f"{number // 12:04d}-{number % 12 + 1:02d}-01 00:00:00+00" for number in (month, month + 1))
        name = f"execution_logs_{month // 12:04d}_{month % 12 + 1:02d}"
        statements.append(
            f"CREATE TABLE {name} PARTITION OF execution_logs FOR VALUES FROM ('{low}') TO ('{high}')"
            " WITH (autovacuum_enabled = false);"
        )
    return "\n".join(statements)


_KEYS = (
    "ALTER TABLE workflows ADD FOREIGN KEY (owner_id) REFERENCES users ON DELETE RESTRICT",
    "ALTER TABLE workflow_versions ADD FOREIGN KEY (workflow_id) REFERENCES workflows ON DELETE RESTRICT",
    "ALTER TABLE api_keys ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
    "ALTER TABLE audit_events ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL",
)


# Else this session's counters arrive after the vacuum's, and the server thinks the table empty.
_FLUSH = """DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN PERFORM pg_stat_force_next_flush(); END IF;
END $$"""


class _Filler:
    def __init__(self, postgres: Postgres, database: str, values: dict[str, object]) -> None:
        self._postgres = postgres
        self._database = database
        self._values = values

    def run(self, statements: Sequence[str]) -> None:
        """As the owner, on one connection, each statement on its own."""
        with self._postgres.cursor(self._database, OWNER, application_name=_APPLICATION) as cursor:
            cursor.execute(_SESSION)
            for statement in statements:
                cursor.execute(statement, self._values if "%(" in statement else None)

    def cancel(self) -> None:
        """End what fills this database."""
        self._postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = %s",
            (self._database, _APPLICATION),
        )

    def audit(self) -> None:
        self.run(
            (
                PEOPLE,
                EVENTS_SQL,
                "ALTER TABLE audit_events ADD PRIMARY KEY (id)",
                'CREATE INDEX audit_events_user_idx ON audit_events (user_id, "timestamp")',
                'CREATE INDEX audit_events_type_idx ON audit_events (event_type, "timestamp")',
                LOGS_SQL,
                "UPDATE audit_logs SET action = upper(action) WHERE id % 4 = 0",
                "ALTER TABLE audit_logs ADD PRIMARY KEY (id)",
                "CREATE INDEX audit_logs_actor_idx ON audit_logs (actor, created_at)",
                "CREATE INDEX audit_logs_created_idx ON audit_logs (created_at)",
            )
        )

    def workflows(self) -> None:
        self.run(
            (
                WORKFLOWS_SQL,
                "CREATE INDEX workflows_status_idx ON workflows (status, updated_at)",
                VERSIONS_SQL,
                "ALTER TABLE workflow_versions ADD PRIMARY KEY (id), ADD UNIQUE (workflow_id, version)",
                EXECUTIONS_SQL,
                "ALTER TABLE execution_logs ADD PRIMARY KEY (id, created_at)",
                "CREATE INDEX ON execution_logs (workflow_id)",
                "CREATE INDEX ON execution_logs (created_at)",
            )
        )

    def neglect(self) -> None:
        """Dead tuples and statistics that no longer fit."""
        self.run(
            (
                # Rows go one by one, all over the table; the vacuum then empties their places in the index pages.
                "DELETE FROM audit_events WHERE abs(hashint8(id)::bigint) % 100 < 58",
                _FLUSH,
                "VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) audit_events",
                "ANALYZE audit_events",
                "UPDATE audit_events SET ip = ip + 1 WHERE abs(hashint8(id)::bigint) % 100 >= 88",
                "ANALYZE users, api_keys, user_roles, workflows, workflow_versions",
                "UPDATE workflows SET attempts = attempts + 1 WHERE id % 3 = 0",
                "UPDATE workflows SET attempts = attempts + 1 WHERE id % 5 = 0",
                "DELETE FROM execution_logs WHERE level = 'DEBUG' AND created_at > %(now)s - interval '45 days'",
            )
        )

    def leave_invalid_index(self) -> None:
        """REINDEX CONCURRENTLY waits for a transaction that writes there, is cancelled, and leaves its new index."""
        with (
            closing(self._postgres.connect(self._database, OWNER, autocommit=False)) as writer,
            writer.cursor() as held,
            self._postgres.cursor(self._database, OWNER) as cursor,
        ):
            held.execute("LOCK TABLE audit_logs IN ROW EXCLUSIVE MODE")
            for timeout in (200, 1000, 5000, 20000):
                cursor.execute("SELECT set_config('statement_timeout', %s, false)", (str(timeout),))
                with suppress(errors.QueryCanceled):
                    cursor.execute("REINDEX INDEX CONCURRENTLY audit_logs_actor_idx")
                cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (LEFTOVER,))
                if cursor.fetchone() == (True,):
                    return
        raise LabError(f"Failed to leave the invalid index {LEFTOVER}: REINDEX CONCURRENTLY was not held up")

    def workload(self) -> None:
        """A believable pg_stat_statements: what a service asks all day, and one search without an index."""
        self._postgres.execute("SELECT pg_stat_statements_reset()", dbname=self._database)
        dice = random.Random(42)
        workflows, users = int(str(self._values["workflows"])), int(str(self._values["users"]))
        with self._postgres.cursor(self._database, OWNER) as cursor:
            for _ in range(300):
                cursor.execute("SELECT status FROM workflows WHERE id = %s", (dice.randint(1, workflows),))
                cursor.execute(
                    "SELECT count(*) FROM workflow_versions WHERE workflow_id = %s", (dice.randint(1, workflows),)
                )
            for _ in range(100):
                cursor.execute("SELECT email FROM users WHERE id = %s", (dice.randint(1, users),))
            for _ in range(5):
                cursor.execute(
                    "SELECT count(*) FROM audit_logs WHERE object = %s", (f"secret/{dice.randint(1, 100000)}",)
                )


def fill_redis(server: Redis, scale: float = 1.0) -> int:
    """Sessions and caches that expire, results that do not, two big keys. Returns the number of keys."""
    dice = random.Random(42)
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(round(20_000 * scale)):
            pipe.set(f"session:{dice.getrandbits(96):024x}", "x" * dice.randint(200, 600), ex=dice.randint(600, 86_400))
            if number % 2 == 0:
                pipe.set(f"cache:llm:{number:06d}", "y" * dice.randint(400, 1500), ex=dice.randint(60, 7_200))
            if number % 4 == 0:
                pipe.set(f"result:{number:06d}", "z" * dice.randint(300, 900))
            if number % 8 == 0:
                pipe.hset(f"workflow:{number}:state", mapping={"step": number % 7, "owner": f"user{number % 5000}"})
            if number % 1000 == 999:
                pipe.execute()
        for number in range(round(5_000 * scale)):
            pipe.set(f"lock:{number:05d}", "1", px=dice.randint(1, 500))
        for number in range(round(30_000 * scale)):
            pipe.rpush("queue:dead-letter", f'{{"id": {number}, "error": "timeout"}}')
            pipe.hset("stats:daily", f"2025-{number:06d}", number)
            if number % 5000 == 4999:
                pipe.execute()
        pipe.execute()
        return int(client.dbsize())
