# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a set without opening it: read at the snapshot of the dump, checked when it is read again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import archive
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census
from ansible_collections.day2.ops.plugins.module_utils._backup.codec import SUFFIX
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreError
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Row, Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.preflight import Server
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, read_manifest

SCHEMA = "day2.ops/backup/1"
# What a reader cannot do without.
NEEDED = ("id", "target", "database", "taken", "server", "tools", "encryption", "tables", "blocks", "logical_bytes")

_DATABASE = """
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       d.datlocprovider::text AS provider, {locale} AS locale, d.datcollversion AS collation_version,
       pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit,
       coalesce(d.datacl::text[], '{{}}') AS acl, pg_database_size(d.oid) AS bytes,
       ARRAY(SELECT unnest(s.setconfig) FROM pg_db_role_setting s
              WHERE s.setdatabase = d.oid AND s.setrole = 0) AS settings
  FROM pg_database d WHERE d.datname = current_database()
"""
_DATABASE_14 = """
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       'c' AS provider, NULL AS locale, NULL AS collation_version,
       pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit,
       coalesce(d.datacl::text[], '{}') AS acl, pg_database_size(d.oid) AS bytes,
       ARRAY(SELECT unnest(s.setconfig) FROM pg_db_role_setting s
              WHERE s.setdatabase = d.oid AND s.setrole = 0) AS settings
  FROM pg_database d WHERE d.datname = current_database()
"""
_EXTENSIONS = """
SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY 1
"""
_COLLATIONS = """
SELECT n.nspname || '.' || c.collname AS name, c.collversion AS version
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE c.collversion IS NOT NULL
   AND (n.nspname <> 'pg_catalog' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attcollation = c.oid AND a.attnum > 0))
 ORDER BY 1
"""
_LSN = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn"


def part(name: str, method: str) -> str:
    """The name of a set's part: ``database.dump`` or ``globals.sql``, with what was done to it."""
    return name + SUFFIX[method]


def facts(session: Session) -> dict[str, Any]:
    """What the database is, beside its content: to be read in the transaction of the snapshot."""
    row = session.rows(_database(session.version))[0]
    settings = dict(text.split("=", 1) for text in row.pop("settings"))
    size = row.pop("bytes")
    return {
        "lsn": session.rows(_LSN)[0]["lsn"],
        "database_bytes": size,
        "database_settings": {**row, "settings": settings},
        "extensions": session.rows(_EXTENSIONS),
        "collations": session.rows(_COLLATIONS),
        "large_objects": session.rows("SELECT count(*) AS count FROM pg_largeobject_metadata")[0]["count"],
    }


def _database(version: int) -> str:
    if version < 150000:
        return _DATABASE_14
    return _DATABASE.format(locale="d.datlocale" if version >= 170000 else "d.daticulocale")


def build(
    known: Mapping[str, Any],
    census: Census,
    server: Server,
    *,
    id_: str,
    target: str,
    run_id: str,
    taken: datetime,
    tools: str,
    seconds: float,
    encryption: Mapping[str, Any],
    passwords: bool,
) -> dict[str, Any]:
    """The manifest, but for ``parts``. Pure but for the time it ends with."""
    toc = census.toc
    if toc is None:
        raise AssertionError("Contract violation: a manifest without an archive")
    return {
        "schema": SCHEMA,
        "id": id_,
        "target": target,
        "database": server.database,
        "taken": clock.iso(taken),
        "ended": clock.now_iso(),
        "run_id": run_id,
        "engine": "pg_dump",
        "server": {
            "version": f"{server.version // 10000}.{server.version % 10000}",
            "version_num": server.version,
            "system_identifier": server.system_identifier,
            "timeline": server.timeline,
            "standby": server.standby,
        },
        "tools": {"version": tools},
        "snapshot_seconds": round(seconds, 1),
        "encryption": dict(encryption),
        "compression": "zstd",
        **known,
        "tables": rows_of(census),
        "sequences": sum(entry.desc == "SEQUENCE" for entry in toc.entries),
        "ddl_fingerprint": archive.fingerprint(toc),
        "logical_bytes": census.size,
        "passwords": passwords,
        "blocks": {str(dump_id): offset for dump_id, offset in census.blocks.items()},
    }


def rows_of(census: Census) -> list[Row]:
    """The rows of each table in an archive, in the order of the archive."""
    tables = census.toc.tables() if census.toc else []
    return [{"name": spell(entry.namespace, entry.tag), "rows": census.rows.get(entry.dump_id, 0)} for entry in tables]


def read(store: Store, prefix: str) -> dict[str, Any]:
    """The manifest of a set; :class:`StoreError` for one that this version does not understand."""
    found = read_manifest(store, prefix)
    lacking: Optional[str] = next((name for name in NEEDED if name not in found), None)
    if found.get("schema") != SCHEMA or lacking:
        why = f"it does not say {lacking}" if found.get("schema") == SCHEMA else f"its schema is {found.get('schema')}"
        raise StoreError(f"Failed to read the set {store.location}/{prefix}: {why}.")
    return found
