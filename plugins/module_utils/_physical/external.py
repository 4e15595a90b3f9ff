# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that the estate already has: how old the newest state is that RDS, pgBackRest or Barman can restore.

Nothing is taken here and nothing changed; the result counts as a backup exactly while it is fresh.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from datetime import datetime
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.account import by_id, chosen
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._physical import barman, pgbackrest, rds, types, wal
from ansible_collections.day2.ops.plugins.module_utils._physical import stanza as stanzas
from ansible_collections.day2.ops.plugins.module_utils._physical.pgbackrest import Policy
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.preflight import Server, read_server

# Barman's cron takes segments in once a minute.
PATIENCE_SECONDS, POLL_SECONDS = 75.0, 5.0
NEEDS = {"rds": ("instance", "cluster"), "pgbackrest": ("stanza",), "barman": ("server",)}


def options() -> ArgumentSpec:
    """Option ``external``; ``max_age`` is the module's own."""
    called = {**stanzas.program_options(), "program": {"type": "str"}, "stanza": {"type": "str"}}
    inner: dict[str, Any] = {
        "source": {"type": "str", "choices": sorted(NEEDS), "required": True},
        "instance": {"type": "str"},
        "cluster": {"type": "str"},
        "server": {"type": "str"},
        **called,
        **{name: {"type": "str"} for name in rds.AWS_OPTIONS},
        **pgbackrest.age_options(),
    }
    inner["aws_ca_bundle"] = {"type": "path"}
    for name in ("access_key", "secret_key", "session_token"):
        inner[name] = {"type": "str", "no_log": name != "access_key"}
    return ArgumentSpec({"external": {"type": "dict", "options": inner}})


def policy_of(params: Mapping[str, Any]) -> Policy:
    """Ages, and that the source is named. :class:`BadInput` otherwise."""
    given = params["external"]
    needed = NEEDS[given["source"]]
    if sum(bool(given[name]) for name in needed) != 1:
        names = " or ".join(f"external.{name}" for name in needed)
        raise BadInput(
            f"external.source: {given['source']} needs {names}{', one of them' * (len(needed) > 1)}; set it."
        )
    ages = {"full_max_age": given["full_max_age"], "max_wal_age": given["max_wal_age"]}
    for option, value in {
        "max_age": params["max_age"],
        **{f"external.{key}": age for key, age in ages.items()},
    }.items():
        if value <= 0:
            raise BadInput(f"{option}: {value} is not an age; give seconds above 0.")
    return Policy(max_age=params["max_age"], **ages)


def prove(run: Run) -> Result:
    """The work of module ``postgresql_backup`` with ``engine: external``."""
    policy = policy_of(run.params)
    source = {"rds": _rds, "pgbackrest": _pgbackrest, "barman": _barman}[run.params["external"]["source"]]
    found = source(run, policy)
    age = next(check for check in found if check["check"] == "postgresql_backup_age")
    return {"checks": found, "actions": [], "plan_summary": age["summary"], "set": None}


def _rds(run: Run, policy: Policy) -> list[Check]:
    saved = rds.read(run.params["external"], run.deadline)
    rds.require_same(saved, run.params.get("login_host") or "")
    return rds_checks(saved, policy, clock.now())


def rds_checks(saved: rds.Saved, policy: Policy, now: datetime) -> list[Check]:
    """Pure."""
    off = [] if saved.retention_days else ["automated backups are switched off"]
    latest = saved.latest if saved.retention_days else None
    label = saved.snapshot if saved.snapshot_at and (latest is None or saved.snapshot_at > latest) else saved.name
    reach = max([moment for moment in (latest, saved.snapshot_at) if moment], default=None)
    about: dict[str, Any] = {"retention_days": saved.retention_days}
    if saved.earliest:
        about["earliest_restorable"] = clock.iso(saved.earliest)
    seconds = max(0.0, (now - latest).total_seconds()) if latest else None
    text = f"RDS can restore any moment until {clock.iso(latest)}." if latest else "RDS saves no WAL."
    return [
        pgbackrest.engine_check("rds", saved.version, off),
        pgbackrest.age_check("rds", label, reach, policy.max_age, now),
        pgbackrest.full_check(saved.snapshot, saved.snapshot_at, policy.full_max_age, now, **about),
        types.WAL_AGE(
            "server", None if seconds is None else round(seconds, 1), crit=policy.max_wal_age, summary=text,
            status="crit" if seconds is None else None, advice="Set a backup retention period, and look at its events.",
        ),
    ]  # fmt: skip


def _server(run: Run, stack: contextlib.ExitStack) -> tuple[Session, Server, Optional[wal.Archiver]]:
    """Who it is that should be saved, and what its archiver says; a standby's says nothing."""
    session = stack.enter_context(contextlib.closing(connect(run, "backup")))
    server = read_server(session)
    return session, server, None if server.standby else wal.read_archiver(session)


def _program(given: Mapping[str, Any], default: str) -> str:
    found = shutil.which(given["program"] or default)
    if found is None:
        raise BadInput(
            f"external.program: there is no program {given['program'] or default} here; run this where it is."
        )
    return found


def _pgbackrest(run: Run, policy: Policy) -> list[Check]:
    given = {**run.params["external"], "program": _program(run.params["external"], "pgbackrest")}
    settings = stanzas.settings_of(given, "external", reads=True)
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(Guard())
        session, server, archiver = _server(run, stack)
        stanza = stanzas.read(run, guard, settings)
        stanzas.require_same_server(stanza, server.system_identifier, session.place)
        return pgbackrest.checks(stanza, archiver, policy, clock.now())


def _barman(run: Run, policy: Policy) -> list[Check]:
    given = run.params["external"]
    if given["config"] and not os.path.exists(given["config"]):
        raise BadInput(f"external.config: there is no file {given['config']}; give Barman's configuration.")
    account = by_id(os.geteuid()) if given["user"] is None else chosen(given["user"], "external.user")
    how = barman.Barman(_program(given, "barman"), given["config"], given["server"], account)
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(Guard())
        session, server, archiver = _server(run, stack)
        saved = barman.read(run, guard, how)
        if server.system_identifier and saved.system_identifier not in (None, server.system_identifier):
            raise BadInput(
                f"external.server: Barman's {given['server']} is the server with system identifier "
                f"{saved.system_identifier}, but {session.place} is {server.system_identifier}; give this server's."
            )
        newest = saved.newest_wal
        if archiver and saved.backups:
            newest = _settled(run, guard, how, saved, archiver)
        return barman_checks(saved, newest, archiver, policy, clock.now())


def _settled(run: Run, guard: Guard, how: barman.Barman, saved: barman.Saved, archiver: wal.Archiver) -> Optional[str]:
    """The newest segment, once Barman has had the time to take in what has arrived."""
    newest, until = saved.newest_wal, time.monotonic() + PATIENCE_SECONDS
    claimed = archiver.archived_wal if wal.is_segment(archiver.archived_wal) else None
    while claimed and (newest or "") < claimed and time.monotonic() < until:
        run.live.progress(f"waiting for Barman to take in {claimed}")
        run.deadline.check()
        run.live.sleep(POLL_SECONDS)
        newest = barman.newest_wal(run, guard, how, saved.backups[-1].label)
    return newest


def barman_checks(
    saved: barman.Saved, newest: Optional[str], archiver: Optional[wal.Archiver], policy: Policy, now: datetime
) -> list[Check]:
    """Pure."""
    failed = list(saved.failed)
    if saved.system_identifier is None:
        failed.append("it cannot tell whose backups these are, because it does not reach the server")
    pieces = wal.check(archiver, newest, policy.max_wal_age) if archiver else None
    last = saved.backups[-1] if saved.backups else None
    full = next((one for one in reversed(saved.backups) if one.full), None)
    reach = last.ended if last else None
    if last and pieces and pieces["value"] is not None:
        reach = max(last.ended, clock.after(now, -pieces["value"]))
    return [
        pgbackrest.engine_check("barman", saved.version, failed),
        pgbackrest.age_check("barman", last.label if last else None, reach, policy.max_age, now),
        pgbackrest.full_check(full.label if full else None, full.ended if full else None, policy.full_max_age, now),
        *([pieces] if pieces else []),
    ]
