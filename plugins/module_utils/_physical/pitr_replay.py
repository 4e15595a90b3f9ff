# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy being made: restored, started, followed until the target, and asked where it stopped."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._core import records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Deferred, OpsError, Stopped, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action
from ansible_collections.day2.ops.plugins.module_utils._physical import copy_place, pitr_plan, pitr_server, types
from ansible_collections.day2.ops.plugins.module_utils._physical import stanza as stanzas
from ansible_collections.day2.ops.plugins.module_utils._physical.copy_place import Place
from ansible_collections.day2.ops.plugins.module_utils._physical.stanza import Backup, Settings, Stanza
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight, trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect

POLL_SECONDS = 0.2
_STATE = """
SELECT pg_is_in_recovery() AS recovering, pg_last_xact_replay_timestamp() AS last,
       CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END AS pause,
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline
"""


@dataclass(frozen=True)
class Wanted:
    """The options, read."""

    target: datetime
    action: str
    port: int
    listen: str
    user: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Site:
    """Where the work is done, with the server programs in ``folder``."""

    run: Run
    guard: Guard
    place: Place
    wanted: Wanted
    folder: str


@dataclass(frozen=True)
class Reached:
    """Where a replay ended: the last transaction in the copy, and the first that was left out."""

    last: Optional[datetime]
    following: Optional[datetime]
    timeline: int


def carry_out(
    site: Site, settings: Settings, stanza: Stanza, chosen: Backup, actions: list[Action]
) -> Mapping[str, Any]:
    """Restore, replay and prove; the marker of the copy.

    What fails stays, for a look and for the next try, but is never called proven.
    """
    restore, replay = actions
    at_work = restore
    try:
        began = time.monotonic()
        copied = _restore(site, settings, stanza, chosen, restore)
        restored = time.monotonic()
        values: dict[str, records.Scalar] = {"set": chosen.label, "seconds": round(restored - began, 1)}
        values.update(files=copied.files, files_kept=copied.kept, bytes_copied=copied.bytes)
        records.finish(restore, types.RESTORE.measured(values))
        at_work = records.begin(replay)
        site.run.deadline.check()
        marker, reached = _replay(site, stanza, chosen, began, restored, copied)
    except (Deferred, Stopped) as error:
        for action in actions:
            if action["status"] == "planned":
                records.defer(action, str(error).rstrip("."))
        raise
    except OpsError as error:
        records.fail(at_work, str(error))
        if at_work is restore:
            records.skip(replay, "nothing was restored")
        raise
    done: dict[str, records.Scalar] = {"seconds": round(time.monotonic() - restored, 1), "port": site.wanted.port}
    done.update(timeline=reached.timeline, last_transaction=pitr_plan.text(reached.last))
    records.finish(replay, types.REPLAY.measured(done))
    return marker


def _restore(site: Site, settings: Settings, stanza: Stanza, chosen: Backup, action: Action) -> pitr_plan.Copied:
    run, place, wanted = site.run, site.place, site.wanted
    records.begin(action)
    delta = bool(action["predicted"]["delta"])
    about = {"target": pitr_plan.text(wanted.target), "action": wanted.action, "stanza": stanza.name}
    copy_place.write_marker(place, {**about, "set": chosen.label, "status": "restoring", "checks": []})
    if delta:  # a server that was killed leaves this behind, and pgBackRest takes it for one that runs
        with contextlib.suppress(FileNotFoundError), place.account.files():
            os.unlink(os.path.join(place.path, "postmaster.pid"))
    copied = pitr_plan.Copied()
    # Tablespaces would else go to the places of the original's own.
    command = settings.command(
        "restore", f"--pg1-path={place.path}", f"--set={chosen.label}", "--type=time",
        f"--target={wanted.target:%Y-%m-%d %H:%M:%S.%f}+00", f"--target-action={wanted.action}", "--archive-mode=off",
        f"--tablespace-map-all={place.file('tablespaces')}", "--no-link-all", "--no-log-timestamp",
        "--log-level-console=detail", "--log-level-stderr=error", *(["--delta"] if delta else []),
    )  # fmt: skip
    stanzas.call(run, site.guard, settings, command, f"restore {chosen.label} into {place.path}", share=copied.read)
    copy_place.write_marker(place, {"status": "restored"}, inner=True)
    return copied


def _replay(
    site: Site, stanza: Stanza, chosen: Backup, began: float, restored: float, copied: pitr_plan.Copied
) -> tuple[Mapping[str, Any], Reached]:
    """Start the server, follow it to the target and prove where it stopped; only then is it let go of."""
    needed = _needed(site)
    process = pitr_server.start(site.guard, site.place, _command(site, needed))
    try:
        reached = _reach(site, process, stanza)
        state = "promoted" if site.wanted.action == "promote" else "paused"
        check = pitr_plan.stop_check(
            site.wanted.target, reached.last, reached.following, chosen.label, reached.timeline, state
        )
        if check["status"] != "ok":
            raise OpsError(f"Failed to prove the copy in {site.place.path}: {check['summary']}", checks=[check])
        took = pitr_plan.seconds_check(restored - began, time.monotonic() - restored, copied.bytes)
        about = {"status": "proven", "checks": [check, took], "port": site.wanted.port, "needed": needed}
        marker = copy_place.write_marker(site.place, {**about, "version": stanza.version})
        pitr_server.release(site.guard, site.place, process, site.wanted.listen)
    except OpsError:
        pitr_server.end(process)
        site.guard.process_ended(process.pid)
        raise
    return marker, reached


def start_again(site: Site) -> Mapping[str, Any]:
    """Start a copy that was proven; its marker."""
    process = pitr_server.start(site.guard, site.place, _command(site, site.place.marker["needed"]))
    try:
        session_of(site, process, "the copy starts").close()
        marker = copy_place.write_marker(site.place, {"port": site.wanted.port})
        pitr_server.release(site.guard, site.place, process, site.wanted.listen)
    except OpsError:
        pitr_server.end(process)
        site.guard.process_ended(process.pid)
        raise
    return marker


def _command(site: Site, needed: Mapping[str, str]) -> list[str]:
    wanted = site.wanted
    return pitr_server.command(site.place, site.folder, wanted.port, wanted.listen, needed, wanted.settings)


def _needed(site: Site) -> dict[str, str]:
    account = site.place.account
    said = subprocess.run(
        [os.path.join(site.folder, "pg_controldata"), site.place.path],
        env=account.environment(), capture_output=True, text=True, check=True, **account.process(),
    )  # fmt: skip
    return pitr_plan.needed_settings(said.stdout)


def session_of(site: Site, process: subprocess.Popen[bytes], meanwhile: str) -> Session:
    """A session on the copy as soon as it takes one; :class:`OpsError` when it has ended or cannot go on."""
    params = {**site.run.params, **pitr_server.login(site.place, site.wanted.port, site.wanted.user)}
    there = replace(site.run, params=params)
    while True:
        site.run.deadline.check()
        site.run.live.check()
        _alive(site, process)
        try:
            return connect(there, "copy")
        except Unreachable:
            site.run.live.progress(meanwhile)
            site.run.live.sleep(POLL_SECONDS)


def _alive(site: Site, process: subprocess.Popen[bytes]) -> None:
    log = pitr_server.log_of(site.place)
    if process.poll() is not None:
        why = pitr_plan.trouble_in(log) or f"the server ended; look into {site.place.file(pitr_server.LOG)}"
        raise OpsError(f"Failed to replay in {site.place.path}: {why}.")
    if pitr_plan.TOO_SMALL in log:
        raise OpsError(f"Failed to replay in {site.place.path}: {pitr_plan.trouble_in(log)}.")


def _reach(site: Site, process: subprocess.Popen[bytes], stanza: Stanza) -> Reached:
    """Wait until the target is reached, and read where that was."""
    while True:
        try:
            with contextlib.closing(session_of(site, process, "replaying WAL")) as session:
                server = preflight.read_server(session)
                if server.system_identifier != stanza.system_identifier:
                    raise OpsError(f"Failed to restore into {site.place.path}: it is another server than the stanza's.")
                return _follow(site, process, session)
        except (Unreachable, trouble.SqlError):  # the promotion cut a look short, or the next one tells of its end
            site.run.live.sleep(POLL_SECONDS)


def _follow(site: Site, process: subprocess.Popen[bytes], session: Session) -> Reached:
    while True:
        row = session.rows(_STATE)[0]
        last = None if row["last"] is None else row["last"].astimezone(timezone.utc)
        if not row["recovering"] or row["pause"] == "paused":
            timeline = preflight.read_server(session).timeline or int(row["timeline"])
            return Reached(last, pitr_plan.stopped_before(pitr_server.log_of(site.place)), timeline)
        site.run.live.progress(f"replaying WAL, at {pitr_plan.text(last) if last else 'the end of the backup'}")
        site.run.deadline.check()
        _alive(site, process)
        site.run.live.sleep(POLL_SECONDS)
