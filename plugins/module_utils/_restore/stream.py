# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set straight from the store into pg_restore, with no copy on disk; one table after the other, as it comes."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import archive, codec, fetch
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, take_census
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.load import (
    ACTION,
    LoadFailed,
    LoadResult,
    conninfo,
    elsewhere,
    judge,
)
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program, Tools, environment
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import TICK_SECONDS
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import size
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store


def load(
    run: Run,
    guard: Guard,
    tools: Tools,
    store: Store,
    prefix: str,
    manifest: fetch.Manifest,
    identities: Optional[Sequence[Any]],
    database: str,
    *,
    listed: str,
    settings: Mapping[str, str],
    look: Callable[[], None],
) -> LoadResult:
    """Restore the set into ``database``, which is there and empty. ``listed``: a file that names the entries.

    Raises :class:`fetch.BrokenSet` when the set proves unusable, at its end at the latest; the database is then of no
    use either. Raises :class:`LoadFailed`, Stopped and Expired as the parallel restore does.
    """
    arguments = [tools.path("pg_restore"), "--no-password", f"--dbname={conninfo(database)}"]
    arguments += [f"--use-list={listed}"]
    variables = environment(run, run.params, ACTION, database)
    variables["PGOPTIONS"] = " ".join(f"-c {setting}={value}" for setting, value in settings.items())
    census, began = Census(), time.monotonic()
    name = fetch.part_of(manifest, fetch.DUMP)
    pieces = take_census(fetch.opened(store, prefix, manifest, name, identities), census)
    with Program(run, guard, arguments, variables, reads=True) as program:
        try:
            whole = _feed(run, program, pieces, int(manifest["logical_bytes"]), census, look)
        except (codec.Unreadable, archive.BrokenArchive) as error:
            raise fetch.BrokenSet(f"its part {name} is unusable: {error}") from None
        if whole:
            fetch.compare_census(manifest, census)
        while program.process.poll() is None:
            run.live.check()
            run.deadline.check()
            look()
            run.live.progress("restoring: building indexes and constraints")
            time.sleep(0.1)
        with contextlib.suppress(OpsError):  # what it said is judged below
            program.finish()
        said = judge(program.said, program.process.returncode)
    if said.errors or not whole:
        errors = said.errors or ["it ended before the set did."]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise LoadFailed(f"pg_restore failed: {errors[0]}{more}", errors, environment=any(map(elsewhere, errors)))
    return LoadResult(round(time.monotonic() - began, 3), said.warnings)


def _feed(
    run: Run,
    program: Program,
    pieces: Iterable[bytes],
    total: int,
    census: Census,
    look: Callable[[], None],
) -> bool:
    """Write all pieces to the program; False when it ended before."""
    stream = program.process.stdin
    if stream is None:
        raise AssertionError("Contract violation: a program without input")
    os.set_blocking(stream.fileno(), False)
    for piece in pieces:
        view = memoryview(piece)
        while view:
            run.live.check()
            run.deadline.check()
            look()
            done = census.size
            run.live.progress(f"restoring: {size(done)} of {size(total)}", done / total if total else None)
            if not select.select([], [stream], [], TICK_SECONDS)[1]:
                if program.process.poll() is not None:
                    return False
                continue
            try:
                view = view[os.write(stream.fileno(), view) :]
            except BrokenPipeError:
                return False
            except BlockingIOError:
                continue
    stream.close()
    return True
