# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a set is restored to prove it: an empty database that nobody else gets into, on a server made for it or on
another one that is there already.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Iterator, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import archive, fetch, inert, scratch
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, take_census
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.load import conninfo
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program, Tools, environment
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, brake_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, compose, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.extensions import lacking
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import size

PREFIX = "day2_verify_"
EXPIRY = timedelta(hours=24)
# Ours, beside the workers of pg_restore.
SESSIONS = 4
DROP_SECONDS = 120.0
SOURCE_BYTES = 10 << 30
SOURCE_TIMES = 3
_COMMENT = "Made to verify a backup; owner {owner}; expires {expires}"
_EXPIRES = re.compile(r"^Made to verify a backup; owner (\S+); expires (\S+)$")
# CREATE DATABASE does not know the locale, its provider, or one of both here.
_LOCALE = ("42809", "22023", "0A000", "42704", "XX000", "58P01")
_OURS = """
SELECT datname AS name, shobj_description(oid, 'pg_database') AS comment FROM pg_database
 WHERE starts_with(datname, %s) AND pg_has_role(datdba, 'USAGE')
"""
_ROLE = "SELECT rolsuper AS super, rolcreatedb AS createdb, rolname AS name FROM pg_roles WHERE rolname = current_user"


@dataclass
class Place:
    """Where to restore: ``run`` connects there. ``own``: a server made for this drill, with the set's roles."""

    run: Run
    database: str
    own: bool
    isolated: bool
    version: str
    locale_differs: Optional[str] = None
    warnings: list[str] = field(default_factory=list)
    # Where others work, too: it spares them.
    brake: Optional[Brake] = None

    @property
    def params(self) -> Mapping[str, Any]:
        return self.run.params

    def look(self) -> None:
        if self.brake is not None:
            self.brake.watch(0)


@contextlib.contextmanager
def on_own_server(
    run: Run, guard: Guard, tools: Tools, folder: str, name: str, manifest: fetch.Manifest, roles: str
) -> Iterator[Place]:
    """A server that is made for this, with the roles of the set, and its end."""
    with scratch.server(run, guard, tools, folder, scratch.account_of(run.params["scratch_user"])) as made:
        there = replace(run, params={**run.params, **made.params})
        with contextlib.closing(connect(there, "verify", act=True)) as session:
            require_extensions(session, manifest, superuser=True)
            place = Place(there, name, True, made.isolated, tools.version)
            place.warnings += make_roles(session, roles)
            make(session, place, manifest, limit=scratch.MAX_CONNECTIONS)
        yield place


def look(run: Run, params: Mapping[str, Any], manifest: fetch.Manifest) -> None:
    """Whether the set could be restored on that server: raises before anything is fetched when not."""
    there = replace(run, params={**run.params, **params})
    with contextlib.closing(connect(there, "preflight")) as session:
        _found, brake = _require(there, session, manifest)
        if brake is not None:
            brake.close()


def _require(run: Run, session: Session, manifest: fetch.Manifest) -> tuple[preflight.Server, Optional[Brake]]:
    found = preflight.read_server(session)
    _require_version(session, found, manifest)
    role = session.rows(_ROLE)[0]
    if not (role["super"] or role["createdb"]):
        raise Refused(
            f"The user {role['name']} may not make a database on {session.place}. "
            f"Let an administrator run: ALTER ROLE {quote(role['name'])} CREATEDB;"
        )
    require_extensions(session, manifest, superuser=bool(role["super"]))
    return found, _braked(run, session, manifest) if is_source(session, found, manifest) else None


@contextlib.contextmanager
def on_other_server(run: Run, params: Mapping[str, Any], name: str, manifest: fetch.Manifest) -> Iterator[Place]:
    """A database on a server that is there; it is dropped in the end, or by a later run once it has expired."""
    there = replace(run, params={**run.params, **params})
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(contextlib.closing(connect(there, "verify", act=True)))
        found, brake = _require(there, session, manifest)
        place = Place(there, name, False, False, f"{found.version // 10000}.{found.version % 10000}")
        drop_expired(session)
        try:
            make(session, place, manifest, limit=run.params["jobs"] + SESSIONS)
        except trouble.SqlError as error:
            if error.sqlstate != "42P04":
                raise
            raise Refused(
                f"Failed to make database {name} on {session.place}: it is there already, so another run is verifying "
                "this set. It expires by itself; or drop it."
            ) from None
        stack.callback(_drop, there, session, name)
        if brake is not None:
            stack.callback(brake.close)
            place.brake = brake
        yield place


def is_source(session: Session, found: preflight.Server, manifest: fetch.Manifest) -> bool:
    """Whether this is the server that the set comes from. Where servers hide who they are: whether it has such a
    database."""
    identifier = manifest["server"].get("system_identifier")
    if identifier and found.system_identifier:
        return bool(identifier == found.system_identifier)
    return bool(session.rows("SELECT FROM pg_database WHERE datname = %s", [manifest["database"]]))


def _braked(run: Run, session: Session, manifest: fetch.Manifest) -> Brake:
    """The source is spared: only small databases, only with room to spare, and only while it is not busy."""
    need = int(manifest.get("database_bytes") or manifest["logical_bytes"])
    if not run.params["verify_on_source"]:
        raise Refused(
            f"Failed to verify on {session.place}: the set comes from this server. Give another server as verify_host, "
            "leave it out to have one made, or set verify_on_source for a small database."
        )
    if need >= SOURCE_BYTES:
        raise Refused(f"Failed to verify on the source: {size(need)} is too much there; give another verify_host.")
    brake = Brake(run, session, brake_of(run.params))
    free = brake.disk_free()
    if free is None:
        raise BadInput(
            "brake.disk_capacity_bytes: verify_on_source has to know the room that is left there; give it, or "
            "brake.disk_available_bytes, or brake.disk_free_query."
        )
    if free < need * SOURCE_TIMES:
        raise Refused(
            f"Failed to verify on the source: {size(max(free, 0))} are free there, and it takes {size(need)}, "
            f"of which {SOURCE_TIMES} times as much must be free; give another verify_host."
        )
    brake.start()
    return brake


def _require_version(session: Session, found: preflight.Server, manifest: fetch.Manifest) -> None:
    """A newer server may read an older one's set, but proves less; an older one cannot."""
    wanted = int(manifest["server"]["version_num"]) // 10000
    if found.standby:
        raise Refused(f"Failed to verify on {session.place}: it is a standby; give a primary as verify_host.")
    if found.version // 10000 < wanted:
        raise Refused(
            f"Failed to verify on {session.place}: it runs PostgreSQL {found.version // 10000}, and the set comes from "
            f"{wanted}; give a server of that version as verify_host."
        )


def require_extensions(session: Session, manifest: fetch.Manifest, *, superuser: bool) -> None:
    """:class:`Refused` when extensions of the set cannot be made there: that says nothing about the set."""
    wanted = [one["name"] for one in manifest["extensions"] if one["name"] not in {*inert.SCHEDULERS, "plpgsql"}]
    lacks = lacking(session, wanted)
    if lacks.missing:
        raise Refused(
            f"Failed to verify the set on {session.place}: it needs extensions that are not installed there: "
            f"{', '.join(lacks.missing)}. Install their packages, or set verify_host to a server that has them."
        )
    if lacks.superuser and not superuser:
        raise Refused(
            f"Failed to verify the set on {session.place}: only a superuser may make these extensions: "
            f"{', '.join(lacks.superuser)}. Give one as verify_host.login_user, or leave verify_host out."
        )


def make_roles(session: Session, sql: str) -> list[str]:
    """The roles of the set; what could not be done, in words. A role that matters is missed by the restore."""
    said = []
    for statement in inert.roles(sql):
        try:
            session.run(statement)
        except trouble.SqlError as error:
            if error.sqlstate != "42710":  # it is there already
                said.append(f"roles: {error}")
    return said


def make(session: Session, place: Place, manifest: fetch.Manifest, *, limit: int) -> None:
    """The database, for nobody but us, and for so long."""
    settings = manifest["database_settings"]
    try:
        session.run(*_create(place.database, settings, limit, settings["provider"]))
    except trouble.SqlError as error:
        if error.sqlstate not in _LOCALE:
            raise
        session.run(*_create(place.database, {**settings, "collate": "C", "ctype": "C"}, limit, None))
        wanted = settings.get("locale") or settings["collate"]
        place.locale_differs = f"C for the locale {wanted}, which this server does not know"
    expires = clock.iso(clock.now() + EXPIRY)
    comment = _COMMENT.format(owner=place.run.owner, expires=expires)
    session.run(compose("REVOKE ALL ON DATABASE {name} FROM PUBLIC", name=place.database))
    session.run(compose("COMMENT ON DATABASE {name} IS %s", name=place.database), [comment])


def _create(name: str, settings: Mapping[str, Any], limit: int, provider: Optional[str]) -> tuple[Any, list[Any]]:
    statement = "CREATE DATABASE {name} TEMPLATE template0 CONNECTION LIMIT %s ENCODING %s LC_COLLATE %s LC_CTYPE %s"
    values = [limit, settings["encoding"], settings["collate"], settings["ctype"]]
    if provider == "i":
        statement += " LOCALE_PROVIDER icu ICU_LOCALE %s"
    elif provider == "b":
        statement += " LOCALE_PROVIDER builtin BUILTIN_LOCALE %s"
    return compose(statement, name=name), values + ([settings.get("locale")] if provider in ("i", "b") else [])


def drop_expired(session: Session) -> None:
    """What runs that were killed have left there."""
    for row in session.rows(_OURS, [PREFIX]):
        match = _EXPIRES.match(row["comment"] or "")
        if match and clock.parse(match.group(2)) < clock.now():
            session.run(compose("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=row["name"]))


def _drop(run: Run, session: Session, name: str) -> None:
    """Once a stop has come there are two seconds for it; what is left expires."""
    statement = compose("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=name)
    with contextlib.suppress(OpsError):
        if run.live.reason() is None:
            session.run(statement, overrun=True, timeout=DROP_SECONDS)
        else:
            session.rows(statement, final=True)


def dump_structure(run: Run, guard: Guard, tools: Tools, place: Place) -> archive.Toc:
    """What the restored database defines, as pg_dump sees it."""
    arguments = [tools.path("pg_dump"), "-Fc", "-Z0", "--schema-only", "--no-password"]
    arguments += [f"--dbname={conninfo(place.database)}"]
    census = Census()
    with Program(run, guard, arguments, environment(run, place.params, "structure", place.database)) as program:
        for _piece in take_census(program.output(), census):
            pass
    if census.toc is None:
        raise AssertionError("Contract violation: a census without contents")
    return census.toc


def session_of(place: Place, settings: Optional[Mapping[str, str]] = None) -> Session:
    """A reading session in the restored database, for questions that take their time."""
    session = connect(place.run, "compare", database=place.database)
    session.configure(statement_timeout="0", **(settings or {}))
    return session
