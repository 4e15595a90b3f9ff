# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before anything is touched: is this the server, in the state, with the grants, that the work needs?"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Refused, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import grants, spec, trouble, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect, refuse_pooler

OLDEST = 140000
# How long an answer to "is it still the same server?" is good where it is asked often.
IDENTITY_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """Who answers. ``identity`` tells it from clones and from itself before a failover; None where it hides it."""

    version: int
    standby: bool
    database: str
    oid: int
    role: str
    system_identifier: Optional[str]
    timeline: Optional[int]


_SERVER = """
SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby,
       current_database() AS database, current_user AS role,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS oid
"""


def read_server(session: Session) -> Server:
    row = session.rows(_SERVER)[0]
    identifier = timeline = None
    try:
        identifier = session.rows("SELECT system_identifier::text AS id FROM pg_control_system()")[0]["id"]
        if not row["standby"]:
            # pg_control lags behind after a promotion; the name of the WAL file does not.
            name = session.rows("SELECT pg_walfile_name(pg_current_wal_lsn()) AS name")[0]["name"]
            timeline = int(name[:8], 16)
    except trouble.SqlError:  # hosted servers hide one or the other
        pass
    return Server(system_identifier=identifier, timeline=timeline, **row)


def moved(before: Server, after: Server) -> Optional[str]:
    """What tells that another server answers now, as half a sentence, or None. Pure."""
    if after.standby and not before.standby:
        return "the server became a standby"
    if before.system_identifier != after.system_identifier:
        return f"the system identifier changed from {before.system_identifier} to {after.system_identifier}"
    if before.timeline != after.timeline:
        return f"the timeline changed from {before.timeline} to {after.timeline}"
    if before.oid != after.oid:
        return f"the database {before.database} is another one now"
    return None


def same_server(run: Run, before: Server, *, database: Optional[str] = None, fresh: float = 0.0) -> Callable[[], None]:
    """Asks, over a new connection because an old one stays with the old server when the name has moved on, whether
    the same server still answers: :class:`Stopped` when not. An answer is good for ``fresh`` seconds."""
    asked = time.monotonic()

    def ask() -> None:
        nonlocal asked
        if time.monotonic() - asked < fresh:
            return
        with contextlib.closing(connect(run, "identity", database=database)) as session:
            why = moved(before, read_server(session))
        if why:
            raise Stopped(f"Stopped: {why}, so this is not the server that was planned for.")
        asked = time.monotonic()

    return ask


def preflight(run: Run, session: Session, module: str, *, standby: bool = False) -> tuple[Server, list[Check]]:
    """The server and the checks on it, the one on grants last. Raises :class:`Refused` on an old server, on a standby
    (unless one will do) and for missing grants; those on tables are looked at by :func:`require_grants`.
    """
    refuse_pooler(session)
    server = read_server(session)
    if server.version < OLDEST:
        raise Refused(f"PostgreSQL {server.version // 10000} is not supported; version 14 or later is needed.")
    if server.standby and not standby:
        raise Refused(
            f"Failed to start on {session.place}: it is a standby; give the primary as login_host, or a name that "
            "always points to it."
        )
    checks = [reachable(session, server), *path_checks(run, session)]
    return server, [*checks, require_grants(run, session, module, (), checks)]


class Tabled(Protocol):
    """Whatever speaks of one table."""

    @property
    def oid(self) -> int: ...


def require_grants(
    run: Run,
    session: Session,
    module: str,
    tables: Sequence[Tabled],
    checks: list[Check],
    owned: Sequence[int] = (),
) -> Check:
    """The check on grants when all are there; :class:`Refused`, with the statements to run, when not. ``owned``: the
    oids of tables of which the role has to be the owner, whatever the module."""
    check = grants_check(session, module, run.params["lock_db"], [table.oid for table in tables], owned)
    if check["status"] == "crit":
        raise Refused(f"{check['summary']} Let an administrator run: {check['advice']}", checks=[*checks, check])
    return check


def reachable(session: Session, server: Server, seconds: Optional[float] = None) -> Check:
    version = f"{server.version // 10000}.{server.version % 10000}"
    what = "standby" if server.standby else "primary"
    summary = f"PostgreSQL {version} answers as {what}: {session.place}."
    about: dict[str, Any] = {"version": version, "standby": server.standby}
    if seconds is not None:
        about["seconds"] = round(seconds, 3)
    return types.REACHABLE("server", None, status="ok", summary=summary, **about)


def path_checks(run: Run, session: Session) -> list[Check]:
    """What lies between us and the server: encryption and a pooler."""
    mode = spec.ssl_mode(run.params)
    about: dict[str, Any] = {"ssl_mode": mode, "encrypted": session.tls}
    if mode == "verify-full" or spec.is_local(run.params):
        text = "The server's certificate was verified." if mode == "verify-full" else "The connection is local."
        tls = types.TLS("server", None, status="ok", summary=text, **about)
    else:
        text = "encrypted, but whoever answers is believed" if session.tls else "not encrypted"
        text = f"The connection to another host is {text}."
        advice = "Set ca_cert and leave ssl_mode at verify-full."
        tls = types.TLS("server", None, status="warn", summary=text, advice=advice, **about)
    if not session.pooler:
        pooler = types.POOLER("server", None, status="ok", summary="No pooler stands between.", mode="none")
    else:
        text = f"A {session.pooler} pooler stands between; the server's own view of us is not the client's."
        advice = "Connect to the server directly."
        pooler = types.POOLER("server", None, status="warn", summary=text, advice=advice, mode=session.pooler)
    return [tls, pooler]


def grants_check(
    session: Session, module: str, lock_db: str, tables: Sequence[int] = (), owned: Sequence[int] = ()
) -> Check:
    """Crit when something is missing; the advice is the statements that give it."""
    held = grants.read_grants(session, module, lock_db, tables, owned)
    statements = grants.missing(module, held)
    if not statements:
        return types.GRANTS(held.role, 0, crit=1, summary=f"The user {held.role} holds every grant it needs.")
    few = statements[:20] + ([f"-- and {len(statements) - 20} more"] if len(statements) > 20 else [])
    text = f"The user {held.role} lacks {len(statements)} grant{'s' * (len(statements) > 1)}."
    return types.GRANTS(held.role, len(statements), crit=1, summary=text, advice=" ".join(few))
