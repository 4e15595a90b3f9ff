# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set restored into a database of its own beside the live one, and compared there with what was backed up."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import compare, drill, fetch, inert, load
from ansible_collections.day2.ops.plugins.module_utils._backup import types as set_types
from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Entry, Toc
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard, workplace
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Tools
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    Deferred,
    OpsError,
    Refused,
    Stopped,
    name_failure,
)
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, Scalar
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import size
from ansible_collections.day2.ops.plugins.module_utils._restore import facts, stream, types
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import (
    Database,
    Mark,
    marking,
    read_family,
    statement,
    together,
)
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

# What a restored database must not inherit while it is filled: settings of the role that restores.
FILLING = {"maintenance_work_mem": "256MB", "synchronous_commit": "off", "default_transaction_read_only": "off"}
PREFIX = "day2-restore-"
CREATE_SECONDS = 600.0
_FULL = re.compile(r"No space left on device|Disk quota exceeded|could not extend file .* wrote only")
DROP_SECONDS = 120.0


@dataclass(frozen=True)
class Source:
    """A set, opened: what it holds (``toc``), which entries are restored, and those left out by dump id."""

    store: Store
    prefix: str
    manifest: Mapping[str, Any]
    identities: Any
    toc: Toc
    keep: Callable[[Entry], bool]
    out: Mapping[int, Entry]


@dataclass(frozen=True)
class Bench:
    """Who does the work: ``worker`` acts and ``control`` reads, both on lock_db."""

    run: Run
    control: Session
    worker: Session
    brake: Brake
    tools: Tools
    guard: Guard
    same_server: Callable[[], None]


def restore(
    bench: Bench, source: Source, wanted: facts.Facts, name: str, mark: Mark
) -> tuple[list[Check], dict[str, Scalar]]:
    """Make, fill, analyze and compare the database; it is complete once its mark says so. Checks and measures.

    What fails for a reason that will not pass is dropped at once; what is stopped is left to the next run.
    """
    bench.brake.clear()
    made = create(bench, wanted, name, mark)
    try:
        with workplace(bench.guard, bench.run.params["spool_dir"], "spool_dir", PREFIX) as folder:
            result = _fill(bench, source, name, folder)
        _analyze(bench, name)
        checks = _compare(bench, source, name, rescue=bool(mark.tables))
        refuted = [one for one in checks if one["status"] == "crit"]
        if refuted:
            raise OpsError(f"Failed to restore {name}: {refuted[0]['summary']}", checks=checks)
        bench.same_server()
    except fetch.BrokenSet as error:
        drop(bench.run, bench.worker, name, force=True)
        raise OpsError(
            f"Failed to restore the set {mark.set}: {str(error).rstrip('.')}. Restore another set."
        ) from error
    except Stopped:
        raise
    except OpsError as error:
        with contextlib.suppress(OpsError):
            drop(bench.run, bench.worker, name, force=True)
        if _disk_full(error):
            raise _no_room(name) from error
        if not isinstance(error, Deferred):
            name_failure(error, f"restore {name}")
        raise
    bench.worker.run(marking(made.marked(replace(mark, complete=True, at=clock.now_iso()))), timeout=CREATE_SECONDS)
    rows = next(one for one in checks if one["check"] == set_types.ROWS.name)
    taken = bench.control.rows("SELECT pg_database_size(oid) AS bytes FROM pg_database WHERE datname = %s", [name])
    after: dict[str, Scalar] = {
        "set": mark.set,
        "taken": mark.taken,
        "seconds": result.seconds,
        "tables": rows["evidence"]["tables"],
        "rows": rows["evidence"]["rows"],
        "bytes": taken[0]["bytes"],
        "warnings": "; ".join(result.warnings) or None,
    }
    return checks, after


def _disk_full(error: OpsError) -> bool:
    """Whether the server says so; pg_restore passes on no SQLSTATE."""
    if isinstance(error, load.LoadFailed):
        return any(_FULL.search(one) for one in error.errors)
    return isinstance(error, trouble.SqlError) and error.sqlstate == trouble.DISK_FULL


def _no_room(name: str) -> OpsError:
    return OpsError(f"Failed to restore {name}: no space is left on the server's disk; make room there first.")


def create(bench: Bench, wanted: facts.Facts, name: str, mark: Mark) -> Database:
    """An empty database with the live one's shape and owner, which nobody else may connect to."""
    version = bench.worker.version
    made = facts.creation(name, wanted.owner, wanted.shape, bench.run.params["template"], version)
    bench.run.live.progress(f"creating {name}")
    try:
        bench.worker.run(made, timeout=CREATE_SECONDS)
    except trouble.SqlError as error:
        raise _no_room(name) if _disk_full(error) else OpsError(f"Failed to create {name}: {error}.") from error
    family = read_family(bench.control, mark.of)
    database = family.named(name)
    if database is None:
        raise OpsError(f"Failed to create {name}: it is not there.")
    marked = database.marked(mark)
    bench.worker.run(
        together(
            [
                *facts.beginning(name, wanted),
                marking(marked),
                statement("ALTER DATABASE {name} CONNECTION LIMIT -1", name=name),
                statement("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=name),
            ]
        )
    )
    return marked


def _fill(bench: Bench, source: Source, name: str, folder: str) -> load.LoadResult:
    run = bench.run
    # pg_restore has many server processes; the brake looks at what all of them do to others.
    look = _looking(bench)
    if run.params["spool_dir"]:
        spooled = fetch.spool(run, source.store, source.prefix, source.manifest, source.identities, folder)
        return load.load(
            run,
            bench.guard,
            bench.tools,
            spooled,
            run.params,
            name,
            jobs=run.params["jobs"],
            keep=source.keep,
            settings=FILLING,
            look=look,
        )
    listed = os.path.join(folder, "entries")
    with open(listed, "w", encoding="ascii") as file:
        file.writelines(f"{entry.dump_id};\n" for entry in source.toc.entries if source.keep(entry))
    return stream.load(
        run,
        bench.guard,
        bench.tools,
        source.store,
        source.prefix,
        source.manifest,
        source.identities,
        name,
        listed=listed,
        settings=FILLING,
        look=look,
    )


def _looking(bench: Bench) -> Callable[[], None]:
    return lambda: bench.brake.watch(0)


def _analyze(bench: Bench, name: str) -> None:
    """Without statistics of its rows the database would be slow for whoever comes after a swap."""
    bench.run.live.progress(f"analyzing {name}")
    with contextlib.closing(connect(bench.run, "analyze", database=name, act=True)) as session:
        session.control = bench.control
        session.run("ANALYZE", settings={"lock_timeout": "0"}, watch=_looking(bench))


def _compare(bench: Bench, source: Source, name: str, *, rescue: bool) -> list[Check]:
    """What was restored, against the manifest and the archive."""
    run, manifest, toc = bench.run, source.manifest, source.toc
    out = {**inert.left_out(toc), **source.out}
    with contextlib.closing(connect(run, "compare", database=name)) as session:
        session.configure(statement_timeout="0")
        checks = [compare.rows(run, session, name, manifest, toc, source.out)]
        if rescue:
            return checks
        checks += [
            compare.sequences(session, name, toc, out),
            compare.large_objects(session, name, manifest),
            compare.extensions(session, name, manifest),
        ]
    run.live.progress(f"comparing what {name} defines")
    place = drill.Place(run, name, False, False, "")
    found = drill.dump_structure(run, bench.guard, bench.tools, place)
    same = bench.tools.version == manifest["tools"]["version"]
    return [*checks, compare.structure(name, toc, found, out, owners=True, comparable=same)]


def drop(run: Run, worker: Session, name: str, *, force: bool) -> None:
    """Heeds a stop that has come: what is left then is found by the next run."""
    words = " WITH (FORCE)" if force else ""
    try:
        worker.run(statement(f"DROP DATABASE IF EXISTS {{name}}{words}", name=name), timeout=DROP_SECONDS)
    except trouble.SqlError as error:
        raise Refused(f"Failed to drop {name}: {error}.") from error


def space_check(need: int, free: Optional[float], name: str) -> Check:
    """Whether the server has room for another copy; nobody knows where its disk's size was not given."""
    if free is None:
        text = f"Nobody can say whether the server has room for {size(need)} more."
        advice = "Give the size of its disk as brake.disk_capacity_bytes."
        return types.SPACE(name, None, summary=text, advice=advice, needed=need)
    text = f"{size(max(free, 0))} are free on the server, and {size(need)} are needed."
    return types.SPACE(name, round(free), crit=need, summary=text, advice="Make room first.", needed=need)
