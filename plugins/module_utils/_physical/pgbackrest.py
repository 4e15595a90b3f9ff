# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups by pgBackRest: which kind is due by age, whether the WAL archive keeps up, and letting it expire what it may.

It copies the whole server, so all databases of a server share its backups. The module runs where pgBackRest does.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import types as shared
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Deferred, OpsError, Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, Check
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._physical import stanza as stanzas
from ansible_collections.day2.ops.plugins.module_utils._physical import types, wal
from ansible_collections.day2.ops.plugins.module_utils._physical.stanza import Backup, Settings, Stanza
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, duration

# The grants: a look at the server and a lock. pgBackRest has a user of its own.
GRANTS = "postgresql_preflight_info"
DAY = 86400.0
_SHARE = re.compile(r"DETAIL: .*\(\S+, (\d+(?:\.\d+)?)%\)")
NAMES = {"full": "full", "diff": "differential", "incr": "incremental"}


@dataclass(frozen=True)
class Policy:
    """Ages in seconds. Without ``diff_max_age`` no differential backups are taken."""

    max_age: float = DAY
    full_max_age: float = 7 * DAY
    diff_max_age: Optional[float] = None
    max_wal_age: float = 900.0
    force: bool = False


def age_options() -> dict[str, Any]:
    """How old the parts of a backup of a whole server may be."""
    given = Policy()
    return {
        "full_max_age": {"type": "float", "default": given.full_max_age},
        "max_wal_age": {"type": "float", "default": given.max_wal_age},
    }


def options() -> ArgumentSpec:
    """Option ``pgbackrest``; ``max_age`` and ``force`` are the module's own."""
    inner = {**stanzas.program_options(), **age_options(), "diff_max_age": {"type": "float"}}
    return ArgumentSpec({"pgbackrest": {"type": "dict", "options": inner}})


def policy_of(params: Mapping[str, Any]) -> Policy:
    """The policy from the options; :class:`BadInput` for a value that cannot be meant."""
    given = params["pgbackrest"]
    ages = {name: given[name] for name in ("full_max_age", "diff_max_age", "max_wal_age")}
    for option, value in {
        "max_age": params["max_age"],
        **{f"pgbackrest.{key}": age for key, age in ages.items()},
    }.items():
        if value is not None and value <= 0:
            raise BadInput(f"{option}: {value} is not an age; give seconds above 0.")
    if not params["max_age"] <= (ages["diff_max_age"] or params["max_age"]) <= ages["full_max_age"]:
        raise BadInput(
            "pgbackrest.full_max_age: it must not be below pgbackrest.diff_max_age, nor that below max_age; raise it."
        )
    return Policy(max_age=params["max_age"], force=bool(params.get("force")), **ages)


def due(stanza: Stanza, policy: Policy, now: datetime) -> tuple[Optional[str], str]:
    """The kind of backup that is due, and why; None when the newest ones are young enough. Pure."""
    limits: list[tuple[str, tuple[str, ...], float]] = [("full", ("full",), policy.full_max_age)]
    if policy.diff_max_age is not None:
        limits.append(("diff", ("full", "diff"), policy.diff_max_age))
    limits.append(("incr", (), policy.max_age))
    for kind, enough, limit in limits:
        last = stanza.newest(*enough)
        if last is None:
            damaged = len(stanza.backups) - len(stanza.good)
            why = f"; {count(damaged, 'backup')} with damaged pages do not count" if damaged else ""
            return kind, f"there is no full backup of this server{why}"
        if last.age(now) >= limit:
            what = {"full": "full backup", "diff": "full or differential backup", "incr": "backup"}[kind]
            return kind, f"the newest {what} is {duration(last.age(now))} old (threshold {duration(limit)})"
    if policy.force:
        return "incr", "it was asked for"
    last = stanza.good[-1]
    return (
        None,
        f"the newest backup, {last.label}, is {duration(last.age(now))} old (threshold {duration(policy.max_age)})",
    )


def plan(stanza: Stanza, policy: Policy, now: datetime) -> list[Action]:
    """A backup, if one is due, and what pgBackRest's retention lets go of after it. Pure."""
    kind, why = due(stanza, policy, now)
    if kind is None:
        return []
    like = stanza.newest(kind) or stanza.newest()
    last = stanza.newest()
    predicted: dict[str, records.Scalar] = {"type": kind}
    if like:
        predicted.update(seconds=like.seconds, bytes=like.bytes)
    before: dict[str, records.Scalar] = {"set": last.label, "age_seconds": round(last.age(now))} if last else {}
    backup = types.BACKUP.plan(stanza.name, f"a {NAMES[kind]} backup: {why}", predicted=predicted, before=before)
    expire = types.EXPIRE.plan(
        stanza.name,
        "after a backup pgBackRest's own retention decides what goes",
        before={"sets": len(stanza.backups)},
    )
    if stanza.busy:
        records.defer(backup, "another backup of this stanza is running")
    return [backup, records.defer(expire, "no new backup was taken") if backup["status"] == "deferred" else expire]


def summary(stanza: Stanza, policy: Policy, now: datetime) -> str:
    kind, why = due(stanza, policy, now)
    return f"A {NAMES[kind]} backup is due: {why}." if kind else f"Nothing is due: {why}."


def checks(stanza: Stanza, archiver: Optional[wal.Archiver], policy: Policy, now: datetime) -> list[Check]:
    """How old the newest state is that can be restored, the newest full backup, and the WAL. Pure."""
    found = [engine_check("pgbackrest", stanza.version, [] if stanza.code == 0 else [stanza.message])]
    last = stanza.newest()
    pieces = wal.check(archiver, stanza.newest_wal, policy.max_wal_age) if archiver else None
    reach = last.ended if last else None
    if last and pieces and pieces["value"] is not None:
        reach = max(last.ended, clock.after(now, -pieces["value"]))
    found.append(age_check("pgbackrest", last.label if last else None, reach, policy.max_age, now))
    full = stanza.newest("full")
    found.append(full_check(full.label if full else None, full.began if full else None, policy.full_max_age, now))
    return found + ([pieces] if pieces else [])


def engine_check(source: str, version: str, failed: list[str]) -> Check:
    text = f"{source} reports: {'; '.join(failed)}." if failed else f"{source} finds nothing wrong."
    return types.ENGINE(
        source, len(failed), warn=1, summary=text, advice=f"Look at it with {source}.", source=source, version=version,
        failed="; ".join(failed) or None,
    )  # fmt: skip


def age_check(source: str, label: Optional[str], reach: Optional[datetime], limit: float, now: datetime) -> Check:
    """How much would be lost by going back: the age of the newest state that can be restored."""
    if reach is None:
        text, advice = f"{source} has nothing that can be restored.", "Let it take a full backup."
        return shared.BACKUP_AGE("database", None, status="crit", summary=text, advice=advice, source=source)
    age = max(0, round((now - reach).total_seconds()))
    return shared.BACKUP_AGE(
        "database",
        age,
        warn=limit,
        crit=2 * limit,
        summary=f"The newest state that {source} can restore is {duration(age)} old.",
        advice=f"Look why {source} has ceased to save.",
        set=label,
        taken=clock.iso(reach),
        source=source,
    )


def full_check(label: Optional[str], taken: Optional[datetime], limit: float, now: datetime, **more: Any) -> Check:
    """The age of what everything else builds on."""
    if taken is None:
        text = "No full backup is known."
        return types.FULL_AGE("server", None, status="crit", summary=text, advice="Take a full backup.", **more)
    age = max(0, round((now - taken).total_seconds()))
    return types.FULL_AGE(
        "server", age, warn=limit, crit=2 * limit, summary=f"The newest full backup is {duration(age)} old ({label}).",
        advice="Take a full backup.", set=label, taken=clock.iso(taken), **more,
    )  # fmt: skip


def backup(run: Run) -> Result:
    """The work of module ``postgresql_backup`` with ``engine: pgbackrest``."""
    policy = policy_of(run.params)
    settings = stanzas.settings_of(run.params["pgbackrest"], "pgbackrest")
    result: Result = {"checks": [], "actions": [], "plan_summary": "", "set": None}
    # The guard is forked before there is any connection.
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(Guard())
        session = stack.enter_context(contextlib.closing(connect(run, "backup")))
        server, found = preflight.preflight(run, session, GRANTS)
        locks = stack.enter_context(contextlib.closing(Locks(run, server.oid)))
        locks.take("backup")
        archiver = wal.read_archiver(session)
        stanza = stanzas.read(run, guard, settings)
        stanzas.require_same_server(stanza, server.system_identifier, session.place)
        now = clock.now()
        actions = plan(stanza, policy, now)
        settle(run, actions, together=True)
        result.update(actions=actions, plan_summary=summary(stanza, policy, now))
        try:
            if not run.check_mode:
                result["set"] = act(run, guard, settings, policy, actions)
        except OpsError as error:
            error.result = {**result, "checks": found + checks(stanza, archiver, policy, now), **error.result}
            raise
        if result["set"]:
            archiver = wal.read_archiver(session)
            stanza = stanzas.read(run, guard, settings)
        result["checks"] = found + checks(stanza, archiver, policy, clock.now())
    return result


def act(run: Run, guard: Guard, settings: Settings, policy: Policy, actions: list[Action]) -> Optional[str]:
    """Carry out what :func:`plan` planned; the label of the new backup, if there is one."""
    made: Optional[Backup] = None
    for action in actions:
        if action["status"] != "planned":
            continue
        try:
            run.deadline.check()
            if action["action"] == types.BACKUP.name:
                made = _take(run, guard, settings, action)
            else:
                _expire(run, guard, settings, policy, action, made)
        except (Deferred, Stopped) as error:
            for one in actions:
                if one["status"] == "planned":
                    records.defer(one, str(error).rstrip("."))
            if isinstance(error, Stopped):
                raise
        except OpsError as error:
            records.fail(action, str(error))
            for one in actions:
                if one["status"] == "planned":
                    records.skip(one, "no new backup was taken")
            raise
    return made.label if made else None


def _share(line: str) -> Optional[float]:
    found = _SHARE.search(line)
    return float(found.group(1)) / 100 if found else None


def _take(run: Run, guard: Guard, settings: Settings, action: Action) -> Optional[Backup]:
    seconds = action["predicted"].get("seconds") or 0
    if not run.deadline.fits(seconds):
        raise Deferred(f"the last one took {duration(seconds)}, and the deadline comes first")
    records.begin(action)
    began = time.monotonic()

    # What expires is decided when the new backup is known to be good; the levels send errors to stderr.
    command = settings.command(
        "backup", f"--type={action['predicted']['type']}", "--no-expire-auto", "--no-log-timestamp",
        "--log-level-console=detail", "--log-level-stderr=error",
    )  # fmt: skip
    stanzas.call(run, guard, settings, command, f"back up the stanza {settings.stanza}", share=_share)
    last = stanzas.read(run, guard, settings).newest()
    if last is None or last.label == action["before"].get("set"):
        raise OpsError(
            f"Failed to back up the stanza {settings.stanza}: pgBackRest reports no new backup without damaged pages; "
            "look at pgbackrest info."
        )
    after: dict[str, records.Scalar] = {
        "type": last.kind,
        "set": last.label,
        "bytes": last.bytes,
        "repository_bytes": last.copied,
    }
    after["seconds"] = round(time.monotonic() - began, 1)
    records.finish(action, types.BACKUP.measured(after))
    return last


def _expire(run: Run, guard: Guard, settings: Settings, policy: Policy, action: Action, made: Optional[Backup]) -> None:
    """Nothing is let go while the newest full backup is older than allowed."""
    full = stanzas.read(run, guard, settings).newest("full")
    if made is None or full is None or full.age(clock.now()) >= policy.full_max_age:
        records.skip(action, "the newest full backup is older than allowed")
        return
    records.begin(action)
    command = settings.command("expire", "--no-log-timestamp", "--log-level-stderr=error")
    stanzas.call(run, guard, settings, command, f"expire backups of the stanza {settings.stanza}")
    left = len(stanzas.read(run, guard, settings).backups)
    gone = action["before"]["sets"] + 1 - left
    records.finish(action, types.EXPIRE.measured({"sets": left, "removed": gone}))
