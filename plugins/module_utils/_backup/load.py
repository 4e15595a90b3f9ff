# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_restore, watched: an archive goes into a database, and what it complains about is judged, not counted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry
from ansible_collections.day2.ops.plugins.module_utils._backup.fetch import (
    Spooled,
)
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import (
    LAST_WORDS,
    Program,
    Tools,
    environment,
    last_words,
)
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration, size

ACTION = "restore"
TICK_SECONDS = 0.1
PROGRESS_SECONDS = 3.0
WARNINGS = 20
# From so many bytes on, what pg_restore said may not be all it said.
KEPT_BYTES = LAST_WORDS - 4
# For servers whose data nobody else needs, and which may be lost in a crash.
SCRATCH = {"maintenance_work_mem": "256MB", "synchronous_commit": "off"}

# What may fail without the database being any less what it was. By the statement: messages come in many languages.
_HARMLESS = (
    (re.compile(r"SET transaction_timeout\b"), "the server does not know transaction_timeout, which 17 brought"),
    (re.compile(r"COMMENT ON EXTENSION\b"), "the comment on an extension belongs to the extension's owner"),
    (re.compile(r"CREATE SCHEMA public;"), "the schema public was there already"),
    (re.compile(r"COMMENT ON SCHEMA public\b"), "the comment on the schema public belongs to its owner"),
)
# What tells of the place where the archive goes to, and nothing of the archive.
_ELSEWHERE = re.compile(
    r"server closed the connection|connection to server|could not connect|connection not open|SSL SYSCALL|no connection"
    r"|terminating connection|the database system is|No space left on device|could not extend file|out of memory"
    r"|out of shared memory|Disk quota exceeded|could not resize shared memory|Input/output error"
    r"|canceling statement due to|lost synchronization|a worker process died|could not fork|Cannot allocate memory"
    r"|could not access file|could not load library|could not open extension control file|is not available"
    r'|collation ".*" .*does not exist|could not create locale|not supported by this build'
)
_REFRESH = re.compile(r"REFRESH MATERIALIZED VIEW (.+?);")
_OTHER_SERVER = re.compile(r"could not connect to server|could not establish connection|user mapping not found")
_ERROR = re.compile(r"^pg_restore: (?:error|fatal): ", re.MULTILINE)
_COMMAND = re.compile(r"^Command was: (.*?)(?=^pg_restore: |\Z)", re.MULTILINE | re.DOTALL)
_IGNORED = re.compile(r"errors ignored on restore: (\d+)")


class LoadFailed(OpsError):
    """pg_restore failed, with these ``errors``. ``environment``: for a reason that says nothing about the archive."""

    def __init__(self, message: str, errors: list[str], *, environment: bool) -> None:
        super().__init__(message)
        self.errors = errors
        self.environment = environment


@dataclass(frozen=True)
class LoadResult:
    seconds: float
    warnings: list[str]


@dataclass(frozen=True)
class Said:
    """What pg_restore said: ``errors`` that count, and those that do not, put into ``warnings`` words."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def load(
    run: Run,
    guard: Guard,
    tools: Tools,
    spooled: Spooled,
    params: Mapping[str, Any],
    database: str,
    *,
    jobs: int,
    keep: Optional[Callable[[Entry], bool]] = None,
    owners: bool = True,
    tablespaces: bool = True,
    settings: Optional[Mapping[str, str]] = None,
    look: Optional[Callable[[], None]] = None,
) -> LoadResult:
    """Restore the archive into ``database``, which is there and empty, on the server of ``params`` (login_* options).

    ``keep`` says which entries; without ``owners`` whoever connects owns everything and no grants are made; without
    ``tablespaces`` everything goes to the default one; ``settings`` hold for the restoring sessions; ``look`` is called
    at each tick and may raise. Raises :class:`LoadFailed`, Stopped and Expired; the program has ended then.
    """
    arguments = [tools.path("pg_restore"), "--no-password", f"--jobs={max(jobs, 1)}", f"--dbname={conninfo(database)}"]
    if not owners:
        arguments += ["--no-owner", "--no-acl"]
    if not tablespaces:
        arguments += ["--no-tablespaces"]
    if keep is not None:
        listed = f"{spooled.path}.list"
        _write_list(listed, spooled, keep)
        arguments += [f"--use-list={listed}"]
    there = replace(run, params={**run.params, **params})
    variables = environment(there, there.params, ACTION, database)
    if settings:
        variables["PGOPTIONS"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(contextlib.closing(connect(there, "watch", database=database)))
        program = stack.enter_context(Program(run, guard, [*arguments, spooled.path], variables))
        _wait(run, program, watch, began, look)
        said = judge(program.said, program.process.returncode)
    if said.errors:
        more = f" (and {len(said.errors) - 1} more)" if len(said.errors) > 1 else ""
        environmental = any(map(elsewhere, said.errors)) or program.process.returncode < 0
        raise LoadFailed(f"pg_restore failed: {said.errors[0]}{more}", said.errors, environment=environmental)
    return LoadResult(round(time.monotonic() - began, 3), said.warnings)


def _wait(run: Run, program: Program, watch: Session, began: float, look: Optional[Callable[[], None]]) -> None:
    shown = began
    while program.process.poll() is None:
        run.live.check()
        run.deadline.check()
        if look is not None:
            look()
        if time.monotonic() - shown >= PROGRESS_SECONDS:
            shown = time.monotonic()
            found = watch.rows("SELECT pg_database_size(current_database()) AS bytes")[0]["bytes"]
            run.live.progress(f"restoring: {size(found)} so far, {duration(shown - began)}")
        time.sleep(TICK_SECONDS)
    # Workers of a pg_restore that was killed go on until they look up.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.process.pid, signal.SIGKILL)
    # Its exit status is judged with its words; here only its last ones are waited for.
    with contextlib.suppress(OpsError):
        program.finish()


def _write_list(path: str, spooled: Spooled, keep: Callable[[Entry], bool]) -> None:
    """A list for pg_restore: it reads the number that begins each line."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.writelines(f"{entry.dump_id};\n" for entry in spooled.toc.entries if keep(entry))


def conninfo(database: str) -> str:
    """A name that cannot be taken for anything else: programs read ``a=b`` and ``postgresql://`` as parameters. Pure.

    >>> conninfo("it's")
    "dbname='it\\\\'s'"
    """
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def judge(said: str, status: Optional[int]) -> Said:
    """Which of pg_restore's complaints matter. Pure.

    It goes on after an error and ends with status 1. An error whose statement cannot leave the database any different
    is a warning; everything else counts, and so does what was said too early to be kept.
    """
    if status is not None and status < 0:
        return Said([f"it was ended by signal {-status}."])
    starts = [match.start() for match in _ERROR.finditer(said)]
    errors: list[str] = []
    warnings: dict[str, None] = {}
    for start, end in zip(starts, [*starts[1:], len(said)]):
        text = said[start:end]
        command = _COMMAND.search(text)
        excuse = _excuse(text, command.group(1) if command else "")
        if excuse:
            warnings[excuse] = None
        else:
            errors.append(_sentence(text, command.group(1) if command else ""))
    # Its own count of errors may be too high; it only tells when words were lost.
    ignored = _IGNORED.search(said)
    if len(said.encode()) >= KEPT_BYTES and ignored and int(ignored.group(1)) > len(starts):
        errors.append(f"about {int(ignored.group(1)) - len(starts)} more errors came before these.")
    if status and not starts:
        errors.append(last_words(said, status))
    other = re.findall(r"^pg_restore: warning: (?!errors ignored)(.*)$", said, re.MULTILINE)
    return Said(errors, [*warnings, *other][:WARNINGS])


def _excuse(text: str, command: str) -> Optional[str]:
    """Why an error does not matter, or None."""
    view = _REFRESH.match(command)
    if view and _OTHER_SERVER.search(text):
        return f"{view.group(1)} was not filled: it reads from another server"
    return next((words for pattern, words in _HARMLESS if pattern.match(command)), None)


def _sentence(text: str, command: str) -> str:
    """One complaint in a line. Rows (DETAIL, CONTEXT) and what stands in quotes are left out: they may be secrets."""
    words = " ".join(_ERROR.sub("", text).split("\n", 1)[0].split())
    what = " ".join(command.split("'")[0].split())[:80]
    return f"{words.rstrip('.')}{f' (at: {what})' if what else ''}."


def elsewhere(text: str) -> bool:
    """Whether an error tells of the server or the disk, not of what was restored. Pure."""
    return bool(_ELSEWHERE.search(text))
