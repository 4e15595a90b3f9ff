# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump, streamed: pg_dump at an exported snapshot, through compression and encryption, into the store."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Iterable, Iterator, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue, codec, manifest
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, take_census
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program, Tools, environment
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import TICK_SECONDS
from ansible_collections.day2.ops.plugins.module_utils._postgresql.preflight import Server
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import milliseconds, size
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, write_set

SECRETS_READABLE = "SELECT has_table_privilege('pg_authid', 'SELECT') AS readable"
_OWN = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND backend_type = 'client backend' LIMIT 1"


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot; it can be taken up for as long as ``session`` keeps its transaction open."""

    session: Session
    name: str
    taken: datetime
    began: float


@dataclass
class Sealing:
    """How parts are protected: ``method`` age or none, ``recipients`` the public keys as they were given."""

    method: str
    recipients: list[str]
    keys: list[Any]


def sealing_of(params: Mapping[str, Any]) -> Sealing:
    """From the options; raises BadInput."""
    keys = codec.recipients_of(params["recipients"], "recipients") if params["recipients"] else []
    return Sealing(params["backup_encryption"], list(params["recipients"]), keys)


@contextlib.contextmanager
def snapshot(run: Run) -> Iterator[Snapshot]:
    """A read-only transaction whose snapshot the dump takes up."""
    with contextlib.closing(connect(run, "snapshot")) as session:
        session.configure(idle_in_transaction_session_timeout="0")
        session.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = session.rows("SELECT pg_export_snapshot() AS name, now() AS taken")[0]
        yield Snapshot(session, row["name"], row["taken"], time.monotonic())


def take(
    run: Run, store: Store, tools: Tools, server: Server, sealing: Sealing, brake: Brake, predicted: int
) -> dict[str, Any]:
    """Take a set; returns its manifest. What cannot be finished is taken away again, or swept by the next backup."""
    with Guard() as guard, snapshot(run) as held:
        id_ = catalogue.new_id(held.taken, secrets.token_hex(2))
        known = manifest.facts(held.session)
        passwords = sealing.method == "age" and bool(held.session.rows(SECRETS_READABLE)[0]["readable"])
        dump_env = environment(run, run.params, "dump", server.database)
        globals_env = environment(run, run.params, "globals", run.params["lock_db"])
        with contextlib.ExitStack() as stack:
            dump = stack.enter_context(Program(run, guard, _dump_arguments(run, tools, held), dump_env))
            watched = stack.enter_context(contextlib.closing(connect(run, "watch")))
            looking = _Look(run, brake, watched, dump, dump_env["PGAPPNAME"], held.began)
            stack.enter_context(looking.watching(predicted))
            census = Census()
            parts = {
                manifest.part("database.dump", sealing.method): codec.seal(
                    take_census(looking.through(dump.output()), census), sealing.keys
                ),
                manifest.part("globals.sql", sealing.method): codec.seal(
                    _globals(run, guard, tools, globals_env, passwords), sealing.keys
                ),
            }
            return write_set(
                store,
                f"{catalogue.BACKUPS}{run.target}/{id_}",
                parts,
                lambda: manifest.build(
                    known,
                    census,
                    server,
                    id_=id_,
                    target=run.target,
                    run_id=run.id,
                    taken=held.taken,
                    tools=tools.version,
                    seconds=looking.held,
                    encryption={"method": sealing.method, "recipients": sealing.recipients},
                    passwords=passwords,
                ),
            )


def _dump_arguments(run: Run, tools: Tools, held: Snapshot) -> list[str]:
    return [
        tools.path("pg_dump"),
        "--format=custom",
        "--compress=0",
        "--no-password",
        f"--snapshot={held.name}",
        f"--lock-wait-timeout={milliseconds(run.params['lock_timeout'])}",
    ]


def _globals(run: Run, guard: Guard, tools: Tools, env: Mapping[str, str], passwords: bool) -> Iterator[bytes]:
    """Roles, their settings and tablespaces."""
    arguments = [tools.path("pg_dumpall"), "--globals-only", "--no-password", f"--database={run.params['lock_db']}"]
    with Program(run, guard, arguments + ([] if passwords else ["--no-role-passwords"]), env) as program:
        yield from program.output()


class _Look:
    """Watches the dump from a thread of its own: the brake, the snapshot's age, and what people are told.

    Not from the stream: when the store takes nothing, nothing passes, and the dump holds its locks all the same.
    """

    def __init__(self, run: Run, brake: Brake, session: Session, dump: Program, application: str, began: float) -> None:
        self._run = run
        self._brake = brake
        self._session = session
        self._dump = dump
        self._application = application
        self._began = began
        self._pid = 0
        self._passed = 0
        self._over = threading.Event()
        self._failure: Optional[OpsError] = None
        self.held = 0.0

    @contextlib.contextmanager
    def watching(self, predicted: int) -> Iterator[None]:
        thread = threading.Thread(target=self._watch, args=[max(predicted, 1)], daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self, predicted: int) -> None:
        try:
            while not self._over.wait(TICK_SECONDS):
                self._look(predicted)
        except OpsError as error:
            self._failure = error
            self._dump.process.terminate()

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The dump as it passes. What the watch found is why it ended, whatever the dump itself says."""
        try:
            for piece in pieces:
                self._passed += len(piece)
                yield piece
        except OpsError as error:
            raise self._failure or error from None
        self._over.set()
        self.held = time.monotonic() - self._began

    def _look(self, predicted: int) -> None:
        self._run.live.check()
        self._run.deadline.check()
        age, limit = time.monotonic() - self._began, self._run.params["max_snapshot_age"]
        if age > limit:
            raise OpsError(
                f"Failed to dump the database: its snapshot is {age:.0f} s old, and vacuum is held back meanwhile "
                f"(max_snapshot_age is {limit:.0f} s). Raise it, or back up with another engine."
            )
        if not self._pid:
            found = self._session.rows(_OWN, [self._application])
            self._pid = int(found[0]["pid"]) if found else 0
        self._brake.watch(self._pid)
        share = min(self._passed / predicted, 0.99)
        left = age / share - age if share > 0.02 else None
        self._run.live.progress(f"dumping: {size(self._passed)} of about {size(predicted)}", share, left)
