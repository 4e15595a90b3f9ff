# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State beside: which set, whether it can be restored here, and the restore itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue, codec, fetch
from ansible_collections.day2.ops.plugins.module_utils._backup import types as set_types
from ansible_collections.day2.ops.plugins.module_utils._backup.archive import BrokenArchive, Toc
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Tools, find_tools
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake, brake_of
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count, duration
from ansible_collections.day2.ops.plugins.module_utils._restore import beside, facts, rescue, types
from ansible_collections.day2.ops.plugins.module_utils._restore import needs as restore_needs
from ansible_collections.day2.ops.plugins.module_utils._restore import plan as restore_plan
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import NEW, RESCUE, Mark
from ansible_collections.day2.ops.plugins.module_utils._restore.way import Way, require_rights
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store


@dataclass(frozen=True)
class Ready:
    """A restore that can be begun: the set, what the database will be given, the programs."""

    chosen: catalogue.BackupSet
    source: beside.Source
    wanted: facts.Facts
    tools: Tools


def plan(way: Way) -> list[restore_plan.Step]:
    """Raises BadInput and Refused for whatever would keep the restore from succeeding, before anything is made."""
    run = way.run
    store = open_store(run.params, read_only=True, deadline=run.deadline)
    chosen = catalogue.choose(catalogue.read(store, run.target), run.params["set"], verified=run.params["verified"])
    manifest = catalogue.manifest_of(store, chosen)
    about = restore_plan.Chosen(
        chosen.id,
        clock.iso(chosen.taken),
        {table["name"]: int(table["rows"]) for table in manifest["tables"]},
        int(manifest.get("database_bytes") or manifest["logical_bytes"]),
    )
    steps = restore_plan.beside(
        way.family,
        about,
        named=bool(run.params["set"]),
        tables=run.params["tables"],
        replace=run.params["replace"],
    )
    if steps:
        way.extra = _ready(way, store, chosen, manifest, about.bytes)
    return steps


def _ready(way: Way, store: Store, chosen: catalogue.BackupSet, manifest: dict[str, Any], need: int) -> Ready:
    run, live = way.run, way.family.live
    version = int(manifest["server"]["version_num"]) // 10000
    if way.server.version // 10000 < version:
        raise Refused(
            f"Failed to restore the set {chosen.id}: it comes from PostgreSQL {version}, and this server is "
            f"{way.server.version // 10000}; restore it on {version} or newer."
        )
    identities = fetch.keys_for(manifest, run.params["identity_file"])
    tools = find_tools(run.params["bin_dir"], max(way.server.version // 10000, version))
    try:
        toc = restore_needs.contents(store, chosen.prefix, manifest, identities)
    except (fetch.BrokenSet, BrokenArchive, codec.Unreadable) as error:
        raise OpsError(
            f"Failed to restore the set {chosen.id}: {str(error).rstrip('.')}. Restore another set."
        ) from error
    source = _source(way, store, chosen, manifest, identities, toc)
    entries = [entry for entry in toc.entries if source.keep(entry)]
    superuser, there = way.superuser, _extensions_there(way)
    restore_needs.require_roles(run, way.control, store, chosen.prefix, manifest, identities, entries)
    wanted = facts.read(way.control, live) if live else facts.from_manifest(way.control, manifest)
    require_rights(way, wanted, restore_needs.roles_of(entries), f"restore beside {way.family.name}")
    restore_needs.require_tablespace(way.control, wanted.shape.tablespace, f"restore beside {way.family.name}")
    if not run.params["tables"]:
        restore_needs.require_extensions(way.control, entries, there, superuser)
    if run.params["spool_dir"]:
        fetch.need_space(
            run.params["spool_dir"], int(manifest["logical_bytes"]) + fetch.MARGIN_BYTES, "spool_dir", "the set"
        )
    with contextlib.closing(Brake(run, way.control, brake_of(run.params))) as brake:
        space = beside.space_check(need, brake.disk_free(), way.family.name)
    way.checks.append(space)
    if space["status"] == "crit":
        raise Refused(f"Failed to restore beside {way.family.name}: {space['summary']} {space['advice']}")
    return Ready(chosen, source, wanted, tools)


def _source(
    way: Way, store: Store, chosen: catalogue.BackupSet, manifest: dict[str, Any], identities: Any, toc: Toc
) -> beside.Source:
    keep, out = restore_needs.keep(toc, restore_needs.foreign_owners(way.control, toc))
    wanted = way.run.params["tables"]
    if wanted:
        kept = rescue.entries_for(toc, rescue.tables_of(toc, wanted))
        if not way.superuser:
            there = _extensions_there(way)
            barred = restore_needs.barred(way.control, toc.entries, there)
            kept -= {entry.dump_id for entry in toc.entries if entry.desc == "EXTENSION" and entry.tag in barred}
        out = {entry.dump_id: entry for entry in toc.entries if entry.dump_id not in kept}
        return beside.Source(store, chosen.prefix, manifest, identities, toc, lambda entry: entry.dump_id in kept, out)
    return beside.Source(store, chosen.prefix, manifest, identities, toc, keep, out)


def _extensions_there(way: Way) -> list[str]:
    template = way.run.params["template"]
    if template == "template0":  # nobody connects to it, and it has nothing else
        return ["plpgsql"]
    with contextlib.closing(connect(way.run, "template", database=template)) as session:
        return [row["name"] for row in session.rows("SELECT extname AS name FROM pg_extension")]


def drop_incomplete(way: Way, step: restore_plan.Step) -> None:
    beside.drop(way.run, way.acting, step.name, force=True)


def restore(way: Way, step: restore_plan.Step) -> None:
    ready: Optional[Ready] = way.extra
    if ready is None or way.guard is None:
        raise AssertionError("Contract violation: a restore that was not made ready")
    run, tables, began = way.run, sorted(way.run.params["tables"]), clock.now()
    mark = Mark(
        owner=run.owner,
        of=way.family.name,
        role=RESCUE if tables else NEW,
        set=ready.chosen.id,
        taken=clock.iso(ready.chosen.taken),
        at=clock.now_iso(),
        complete=False,
        tables=", ".join(tables),
    )
    with contextlib.ExitStack() as stack:
        live, watch = way.family.live, way.control
        if live and live.open:  # stop orders are kept there
            watch = stack.enter_context(contextlib.closing(connect(run, "watch")))
        brake = stack.enter_context(contextlib.closing(Brake(run, watch, brake_of(run.params))))
        same_server = preflight.same_server(run, way.server, database=run.params["lock_db"])
        bench = beside.Bench(run, way.control, way.acting, brake, ready.tools, way.guard, same_server)
        try:
            checks, step.measured = beside.restore(bench, ready.source, ready.wanted, step.name, mark)
        finally:
            brake.tell(step.action, types.RESTORE)
        step.measured = {**step.measured, **step.action["after"]}
    way.checks += checks
    if tables:
        way.checks += _rescued(ready, step.name)
    else:
        way.checks += [*_left_out(ready, step.name), *_objectives(way, ready, began)]


def _left_out(ready: Ready, name: str) -> list[records.Check]:
    out = ready.source.out.values()
    checks = []
    left = [entry.tag for entry in out if entry.desc == "SUBSCRIPTION"]
    if left:
        text = f"{count(len(left), 'subscription')} of the set were not made, lest they read twice: {', '.join(left)}."
        checks.append(types.LEFT_OUT(name, len(left), warn=1, summary=text, advice="Make them again after a swap."))
    if any(entry.desc == "SCHEMA" for entry in out):
        text = f"The schema {restore_needs.STOP} for stop orders belongs to somebody else and was not made."
        advice = "Let an administrator make it again after a swap; see docs/grants."
        checks.append(types.LEFT_OUT(f"{name}.{restore_needs.STOP}", 1, warn=1, summary=text, advice=advice))
    return checks


def _objectives(way: Way, ready: Ready, began: datetime) -> list[records.Check]:
    """How long the way back took, and how old what it brought is, against what was promised."""
    params, name, now = way.run.params, way.family.name, clock.now()
    seconds, age = (now - began).total_seconds(), ready.chosen.age(began)
    return [
        set_types.RESTORE_SECONDS(
            name,
            round(seconds, 1),
            crit=params["rto"],
            summary=f"Restoring and comparing the set took {duration(seconds)}.",
            advice="Restore with more jobs and a spool_dir, or promise less.",
            set=ready.chosen.id,
        ),
        set_types.DATA_AGE(
            name,
            round(age),
            crit=params["rpo"],
            summary=f"The set was {duration(age)} old.",
            advice="Back up more often, or promise less.",
            set=ready.chosen.id,
            taken=clock.iso(ready.chosen.taken),
        ),
    ]


def _rescued(ready: Ready, name: str) -> list[records.Check]:
    """The rows that came back, table by table."""
    known = {table["name"]: int(table["rows"]) for table in ready.source.manifest["tables"]}
    names = [
        restore_needs.spelled(entry) for entry in ready.source.toc.tables() if entry.dump_id not in ready.source.out
    ]
    checks = []
    for table in names:
        text = f"{count(known[table], 'row')} of {table} are in {name}."
        checks.append(types.RESCUED_ROWS(table, known[table], summary=text, set_rows=known[table]))
    return checks
