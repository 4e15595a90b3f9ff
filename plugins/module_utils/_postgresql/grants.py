# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role needs, as data: missing grants are found before work, and a least-privilege role is rendered from it.

Pure but for :func:`read_grants`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell

# Per module: memberships in predefined roles, whether it locks in lock_db, and what it needs on the tables it works on:
# to be their owner, or privileges; the ledger of retention, and temporary tables.
NEEDS: dict[str, dict[str, Any]] = {
    "postgresql_health_info": {"roles": ("pg_monitor",), "lock": False, "tables": "", "sequences": True},
    "postgresql_preflight_info": {"roles": ("pg_monitor",), "lock": True, "tables": ""},
    "postgresql_maintenance": {"roles": ("pg_monitor",), "lock": True, "tables": "owner"},
    "postgresql_backup": {"roles": ("pg_monitor", "pg_read_all_data"), "lock": True, "tables": ""},
    "postgresql_restore": {
        "roles": ("pg_monitor", "pg_signal_backend"),
        "lock": True,
        "tables": "owner",
        "attributes": " CREATEDB",
    },
    "postgresql_retention": {
        "roles": ("pg_monitor",),
        "lock": True,
        "tables": "",
        "privileges": ("SELECT", "DELETE"),
        "ledger": True,
    },
    "postgresql_retention_restore": {
        "roles": ("pg_monitor",),
        "lock": True,
        "tables": "",
        "privileges": ("SELECT", "INSERT"),
        "ledger": True,
        "temporary": True,
    },
}
# With adopt: store, archived rows are compared with those that are there.
ADOPTING = "postgresql_retention_adopt"
NEEDS[ADOPTING] = {**NEEDS["postgresql_retention"], "temporary": True}
MAINTAIN_SINCE = 170000


@dataclass(frozen=True)
class Held:
    """What the connected role holds, and where it falls short.

    ``tables``: (schema, table, owner, whether only the owner will do) of those in scope that it may not work on.
    ``privileges``: (schema, table, privileges) that it lacks. ``ledger``: what of it is missing: absent, grants or
    nothing. ``temporary``: the database in which it may not make temporary tables.
    """

    role: str
    version: int
    roles: frozenset[str]
    lock_db: str
    may_lock: bool
    schemas: tuple[str, ...] = ()
    tables: tuple[tuple[str, str, str, bool], ...] = ()
    privileges: tuple[tuple[str, str, str], ...] = ()
    ledger: str = ""
    temporary: str = ""


_HELD = """
SELECT current_user AS role, current_setting('server_version_num')::int AS version,
       ARRAY(SELECT rolname::text FROM pg_roles
              WHERE rolname = ANY(%(roles)s) AND pg_has_role(current_user, oid, 'USAGE')) AS roles,
       (SELECT has_database_privilege(current_user, oid, 'CONNECT') FROM pg_database
         WHERE datname = %(lock_db)s) AS may_lock, current_database() AS database,
       has_database_privilege(current_database(), 'TEMPORARY') AS temporary
"""
_PRIVILEGES = """
SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
       has_schema_privilege(n.oid, 'USAGE') AS usable, pg_has_role(c.relowner, 'USAGE') AS owned,
       c.oid = ANY(%(owned)s::oid[]) AS own,
       ARRAY(SELECT p FROM unnest(%(privileges)s::text[]) p WHERE NOT has_table_privilege(c.oid, p)) AS lacking
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY(%(tables)s::oid[])
"""
_LEDGER = """
SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
       AND has_table_privilege(c.oid, 'INSERT') AS usable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'day2' AND c.relname = 'retention_ledger'
"""
_OWNED = """
SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
       has_schema_privilege(n.oid, 'USAGE') AS usable, pg_has_role(c.relowner, 'USAGE') AS owned,
       {maintain} AS maintained
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY(%s::oid[])
"""


def read_grants(
    session: Session, module: str, lock_db: str, tables: Sequence[int] = (), owned: Sequence[int] = ()
) -> Held:
    """What the connected role holds of what ``module`` needs on the tables with these oids, and of those that it has to
    own whatever the module."""
    held = session.rows(_HELD, {"roles": list(NEEDS[module]["roles"]), "lock_db": lock_db})[0]
    if held["may_lock"] is None and NEEDS[module]["lock"]:
        raise BadInput(f"lock_db: there is no database {lock_db}; give one that all targets of the server share.")
    lacking: list[tuple[str, str, str, bool]] = []
    privileges: list[tuple[str, str, str]] = []
    schemas: set[str] = set()
    if NEEDS[module]["tables"] and tables:
        maintain = "has_table_privilege(c.oid, 'MAINTAIN')" if session.version >= MAINTAIN_SINCE else "false"
        for row in session.rows(_OWNED.format(maintain=maintain), [list(tables)]):
            if not row["owned"] and not row["maintained"]:
                lacking.append((row["schema"], row["name"], row["owner"], False))
            if not row["usable"]:
                schemas.add(row["schema"])
    wanted = {"privileges": list(NEEDS[module].get("privileges", ())), "tables": list(tables), "owned": list(owned)}
    for row in session.rows(_PRIVILEGES, wanted) if wanted["privileges"] else []:
        if row["own"] and not row["owned"]:
            lacking.append((row["schema"], row["name"], row["owner"], True))
        elif row["lacking"]:
            privileges.append((row["schema"], row["name"], ", ".join(row["lacking"])))
        if not row["usable"]:
            schemas.add(row["schema"])
    return Held(
        role=held["role"],
        version=held["version"],
        roles=frozenset(held["roles"]),
        lock_db=lock_db,
        may_lock=bool(held["may_lock"]),
        schemas=tuple(sorted(schemas)),
        tables=tuple(sorted(lacking)),
        privileges=tuple(sorted(privileges)),
        ledger=_ledger(session) if NEEDS[module].get("ledger") else "",
        temporary=held["database"] if NEEDS[module].get("temporary") and not held["temporary"] else "",
    )


def _ledger(session: Session) -> str:
    rows = session.rows(_LEDGER)
    return "absent" if not rows else "" if rows[0]["usable"] else "grants"


def missing(module: str, held: Held) -> list[str]:
    """The statements that would give the role what it lacks, in the order in which to run them."""
    role = quote(held.role)
    statements = [f"GRANT {quote(need)} TO {role};" for need in NEEDS[module]["roles"] if need not in held.roles]
    if NEEDS[module]["lock"] and not held.may_lock:
        statements.append(f"GRANT CONNECT ON DATABASE {quote(held.lock_db)} TO {role};")
    statements += [f"GRANT USAGE ON SCHEMA {quote(schema)} TO {role};" for schema in held.schemas]
    by_owner = {table[2] for table in held.tables if table[3] or held.version < MAINTAIN_SINCE}
    for schema, name, owner, _owner_only in held.tables:
        if owner not in by_owner:
            statements.append(f"GRANT MAINTAIN ON TABLE {spell(schema, name)} TO {role};")
    statements += [f"GRANT {quote(owner)} TO {role};" for owner in sorted(by_owner)]
    for schema, name, privileges in held.privileges:
        statements.append(f"GRANT {privileges} ON TABLE {spell(schema, name)} TO {role};")
    if held.ledger:
        statements += [*(LEDGER_SQL if held.ledger == "absent" else ()), *_ledger_grants(role)]
    if held.temporary:
        statements.append(f"GRANT TEMPORARY ON DATABASE {quote(held.temporary)} TO {role};")
    return statements


def _ledger_grants(role: str) -> list[str]:
    return [f"GRANT USAGE ON SCHEMA day2 TO {role};", f"GRANT SELECT, INSERT ON day2.retention_ledger TO {role};"]


def role_sql(
    module: str,
    *,
    role: str,
    database: str,
    owners: Sequence[str] = (),
    lock_db: str = "postgres",
    stop: bool = True,
    tables: Sequence[tuple[str, str]] = (),
) -> str:
    """Ready-to-apply SQL for a role that can do what ``module`` does and no more. It sets no password.

    ``owners`` are the owners of the tables to maintain: dropping a leftover index needs membership in them. With
    ``stop`` the schema ``day2`` for stop orders is created in ``database`` too. ``tables``, as (schema, table), are
    those that retention works on.
    """
    needs = NEEDS[module]
    lines = [f"CREATE ROLE {quote(role)} LOGIN{needs.get('attributes', '')};"]
    lines += [f"GRANT {quote(need)} TO {quote(role)};" for need in needs["roles"]]
    databases = [database, *([lock_db] if needs["lock"] and lock_db != database else [])]
    lines += [f"GRANT CONNECT ON DATABASE {quote(name)} TO {quote(role)};" for name in databases]
    if needs["tables"]:
        lines += [f"GRANT {quote(owner)} TO {quote(role)};" for owner in owners]
    if needs.get("sequences"):
        lines += ["", f"-- In database {quote(database)}, for each schema: how far sequences are; it shows no row."]
        lines += [f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {quote(role)};"]
        lines += [
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(owner)} IN SCHEMA public GRANT SELECT ON SEQUENCES "
            f"TO {quote(role)};"
            for owner in owners
        ]
    if module == "postgresql_maintenance":
        lines += ["", f"-- In database {quote(database)}: for bloated indexes of TOAST tables, where you may grant it."]
        lines += [f"GRANT USAGE ON SCHEMA pg_toast TO {quote(role)};"]
    if stop:
        lines += ["", f"-- In database {quote(database)}: a row here stops the work within 15 s.", *STOP_SQL]
        lines += [f"GRANT USAGE ON SCHEMA day2 TO {quote(role)};", f"GRANT SELECT ON day2.stop TO {quote(role)};"]
    if needs.get("ledger"):
        lines += ["", f"-- In database {quote(database)}: the truth about what was deleted, and its tables."]
        lines += [*LEDGER_SQL, *_ledger_grants(quote(role))]
        lines += [f"GRANT USAGE ON SCHEMA {quote(schema)} TO {quote(role)};" for schema in dict(tables)]
        privileges = ", ".join(needs["privileges"])
        lines += [f"GRANT {privileges} ON TABLE {spell(*table)} TO {quote(role)};" for table in tables]
    return "\n".join(lines) + "\n"


STOP_SQL = (
    "CREATE SCHEMA IF NOT EXISTS day2;",
    "CREATE TABLE IF NOT EXISTS day2.stop (target_id text NOT NULL, reason text NOT NULL, until timestamptz);",
)
# One row for each batch that was deleted, and for what was decided about a chunk or a policy.
LEDGER_SQL = (
    "CREATE SCHEMA IF NOT EXISTS day2;",
    """CREATE TABLE IF NOT EXISTS day2.retention_ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run text NOT NULL,
    target text NOT NULL,
    policy text NOT NULL,
    policy_hash text NOT NULL,
    relation text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('delete', 'drop_partition', 'erase', 'restore', 'accept', 'void')),
    chunk text,
    object text,
    version text,
    sha256 text,
    first_row bigint,
    last_row bigint,
    first_key text,
    last_key text,
    deleted bigint NOT NULL DEFAULT 0,
    stayed bigint[] NOT NULL DEFAULT '{}',
    stayed_keys text[] NOT NULL DEFAULT '{}',
    UNIQUE (chunk, kind, first_row));""",
)
