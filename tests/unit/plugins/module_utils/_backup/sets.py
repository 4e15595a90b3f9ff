# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stored sets for tests, made with nothing but the server's own pg_dump, and ways to spoil them.

key = new_key(tmp_path)  # of tests.lab.age
made = make_set(pg18, "shop", store, "shop", recipients=[key.public])
flip(store_folder, made, "database.dump.zst.age")
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import archive, codec
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, take_census
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, write_set
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab.postgres import Postgres


def login(server: Postgres, database: str = "postgres", user: str = "postgres") -> dict[str, Any]:
    """All connection options of a module, those with defaults too."""
    options = {name: one.get("default") for name, one in postgresql_spec().argument_spec.items()}
    return {**options, **server.login(database, user)}


@dataclass(frozen=True)
class Made:
    """A set: ``prefix`` in the store, ``manifest`` as it was written."""

    id: str
    prefix: str
    manifest: dict[str, Any]

    def part(self, stem: str = "database.dump") -> str:
        return next(name for name in self.manifest["parts"] if name.startswith(stem))


def folder_store(folder: Path) -> Store:
    return open_store({"store": str(folder)}, read_only=False)


_ABOUT = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, {provider}, {locale}, {collation_version},
       pg_get_userbyid(datdba), datconnlimit, datacl::text[], pg_database_size(oid)
  FROM pg_database WHERE datname = current_database()
"""


def make_set(
    server: Postgres,
    database: str,
    store: Store,
    target: str,
    *,
    recipients: Sequence[str] = (),
    age: timedelta = timedelta(),
    pieces: Optional[Callable[[Iterator[bytes]], Iterator[bytes]]] = None,
    change: Optional[Callable[[dict[str, Any]], None]] = None,
) -> Made:
    """Dump ``database`` into a complete set. ``age``: how long ago it says it was taken; ``pieces`` may spoil the
    archive before it is sealed, ``change`` the manifest before it is written."""
    taken = datetime.now(timezone.utc) - age
    id_ = f"{taken:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    census = Census()
    dump = _output(server, database, "pg_dump", "-Fc", "-Z0")
    wanted = take_census(dump, census)
    keys = codec.recipients_of(recipients, "recipients") if recipients else []
    suffix = codec.SUFFIX["age" if recipients else "none"]
    manifest = _facts(server, database, id_, target, taken, recipients)
    roles = _output(server, None, "pg_dumpall", "--globals-only")
    parts = {
        f"database.dump{suffix}": codec.seal(pieces(wanted) if pieces else wanted, keys),
        f"globals.sql{suffix}": codec.seal(roles, keys),
    }
    prefix = f"v1/backups/{target}/{id_}"

    def whole() -> dict[str, Any]:
        known = {**manifest, **_counted(census)}
        if change:
            change(known)
        return known

    return Made(id_, prefix, write_set(store, prefix, parts, whole))


def _counted(census: Census) -> dict[str, Any]:
    toc = census.toc
    assert toc is not None
    return {
        "tables": [
            {"name": spell(entry.namespace, entry.tag), "rows": census.rows[entry.dump_id]} for entry in toc.tables()
        ],
        "sequences": sum(entry.desc == "SEQUENCE" for entry in toc.entries),
        "ddl_fingerprint": archive.fingerprint(toc),
        "logical_bytes": census.size,
        "blocks": {str(number): at for number, at in census.blocks.items()},
        "ended": clock.now_iso(),
    }


def _facts(
    server: Postgres, name: str, id_: str, target: str, taken: datetime, recipients: Sequence[str]
) -> dict[str, Any]:
    about = _ABOUT.format(
        provider="datlocprovider::text" if server.major >= 15 else "'c'",
        locale="datlocale" if server.major >= 17 else "daticulocale" if server.major >= 15 else "NULL",
        collation_version="datcollversion" if server.major >= 15 else "NULL",
    )
    with closing(server.connect(name)) as connection, connection.cursor() as cursor:
        cursor.execute(about)
        encoding, collate, ctype, provider, locale, version, owner, limit, acl, size = cursor.fetchone()
        cursor.execute("SELECT extname, extversion, extnamespace::regnamespace::text FROM pg_extension ORDER BY 1")
        extensions = [dict(zip(("name", "version", "schema"), row)) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT system_identifier::text, current_setting('server_version'), "
            "current_setting('server_version_num')::int, pg_current_wal_lsn()::text FROM pg_control_system()"
        )
        identifier, spoken, number, lsn = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM pg_largeobject_metadata")
        (objects,) = cursor.fetchone()
    return {
        "schema": "day2.ops/backup/1",
        "id": id_,
        "target": target,
        "database": name,
        "taken": clock.iso(taken),
        "run_id": "t1",
        "engine": "pg_dump",
        "server": {
            "version": spoken.split()[0],
            "version_num": number,
            "system_identifier": identifier,
            "timeline": 1,
            "standby": False,
        },
        "tools": {"version": spoken.split()[0]},
        "lsn": lsn,
        "snapshot_seconds": 1.0,
        "encryption": {"method": "age" if recipients else "none", "recipients": list(recipients)},
        "compression": "zstd",
        "database_settings": {
            "encoding": encoding,
            "collate": collate,
            "ctype": ctype,
            "provider": provider,
            "locale": locale,
            "collation_version": version,
            "owner": owner,
            "connection_limit": limit,
            "acl": acl or [],
            "settings": {},
        },
        "extensions": extensions,
        "collations": [],
        "large_objects": objects,
        "database_bytes": size,
        "passwords": True,
    }


def _output(server: Postgres, database: Optional[str], program: str, *arguments: str) -> Iterator[bytes]:
    environment = {**os.environ, **server.env(database or "postgres"), "LC_ALL": "C"}
    command = [str(server.tool(program)), "--no-password", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield from iter(lambda: process.stdout.read(1 << 16), b"")  # type: ignore[union-attr]
    assert process.returncode == 0, f"{program}: exit status {process.returncode}"


# -- what happens to sets


def path_of(folder: Path, made: Made, stem: str = "database.dump") -> Path:
    return folder / made.prefix / made.part(stem)


def truncate(folder: Path, made: Made, share: float = 0.5) -> None:
    path = path_of(folder, made)
    os.truncate(path, int(path.stat().st_size * share))


def empty(folder: Path, made: Made) -> None:
    truncate(folder, made, 0)


def flip(folder: Path, made: Made, share: float = 0.5) -> None:
    """One bit, as a disk might."""
    path = path_of(folder, made)
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    path.write_bytes(data)


def half_upload(folder: Path, made: Made) -> None:
    (folder / made.prefix / "manifest.json").unlink()


def rewrite_manifest(folder: Path, made: Made, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / made.prefix / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
