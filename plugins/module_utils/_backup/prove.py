# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof itself: fetch, restore, ask, compare. What it finds goes to the caller; what it made is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import (
    catalogue,
    compare,
    drill,
    fetch,
    inert,
    load,
    scratch,
    verify_plan,
)
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard, workplace
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Tools
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import compose
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

# On a server where we are nobody special, these tell of what we may there.
_RIGHTS = re.compile(r'permission denied|must be (?:owner|superuser|able)|role ".*" does not exist')


@dataclass
class Found:
    """What one run knows, kept together for the result, also of a run that fails."""

    checks: list[records.Check] = field(default_factory=list)
    actions: list[records.Action] = field(default_factory=list)
    summary: str = ""
    id: Optional[str] = None
    verified: Optional[bool] = None
    remarks: list[str] = field(default_factory=list)

    def result(self) -> Result:
        return {
            "checks": self.checks,
            "actions": self.actions,
            "plan_summary": self.summary,
            "set": self.id,
            "verified": self.verified,
            "remarks": self.remarks,
        }


@dataclass
class Site:
    """What a proof needs: the set with its manifest and keys, the last proof, and the programs."""

    store: Store
    chosen: catalogue.BackupSet
    manifest: fetch.Manifest
    keys: Optional[list[Any]]
    last: Optional[catalogue.BackupSet]
    server_tools: Tools
    tools: Tools
    subject: str
    measured: dict[str, Any] = field(default_factory=dict)
    # What the brake said, however it ends.
    braked: dict[str, Any] = field(default_factory=dict)


class Refuted(OpsError):
    """The restored database is not what was backed up."""


def prove(run: Run, site: Site, found: Found) -> None:
    """Raises :class:`BrokenSet` or :class:`Refuted` when the set is to blame, whatever else when it is not."""
    began, manifest = time.monotonic(), site.manifest
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(Guard())
        folder = stack.enter_context(workplace(guard, run.params["scratch_dir"], "scratch_dir", scratch.PREFIX))
        need = int(manifest["logical_bytes"]) + fetch.MARGIN_BYTES
        own = not run.params["verify_host"]
        fetch.need_space(folder, need + (scratch.need(manifest) if own else 0), "scratch_dir", "the restore")
        if own:
            scratch.check_reachable(folder, scratch.account_of(run.params["scratch_user"]))
        spooled, roles = _fetch(run, site, folder)
        name = f"{drill.PREFIX}{site.chosen.id.lower()}"
        place = stack.enter_context(
            drill.on_own_server(run, guard, site.server_tools, folder, name, manifest, roles)
            if own
            else drill.on_other_server(run, run.params["verify_host"], name, manifest)
        )
        if place.brake is not None:
            stack.callback(_tell, site, place.brake)
            place.brake.clear()
        found.checks.append(verify_plan.isolation(site.subject, spooled.toc, place))
        _restore(run, guard, site, place, spooled)
        found.remarks += place.warnings
        _first_answer(run, site, place, spooled)
        site.measured["restore_seconds"] = round(time.monotonic() - began, 1)
        site.measured["data_age_seconds"] = round((clock.now() - site.chosen.taken).total_seconds())
        _compare(run, guard, site, place, spooled, found)
    judge(found.checks)
    site.measured.update(
        seconds=round(time.monotonic() - began, 1),
        bytes=site.chosen.size,
        tables=len(manifest["tables"]),
        rows=sum(table["rows"] for table in manifest["tables"]),
        server=place.version,
        verified=True,
    )
    found.checks += verify_plan.times(site.subject, site.chosen, site.measured, site.last, run.params)
    found.checks.insert(0, verify_plan.restored(site.subject, site.chosen, site.measured))


def _tell(site: Site, brake: Brake) -> None:
    site.braked.update(brake.told())


def _fetch(run: Run, site: Site, folder: str) -> tuple[fetch.Spooled, str]:
    """A set is not called broken for what the way from the store has done to it: it is read a second time."""
    arguments = (run, site.store, site.chosen.prefix, site.manifest, site.keys)
    for last in (False, True):
        try:
            return fetch.spool(*arguments, folder, option="scratch_dir"), fetch.read_globals(*arguments)
        except fetch.BrokenSet:
            if last:
                raise
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, fetch.ARCHIVE))
    raise AssertionError("Contract violation: a last try that neither returned nor raised")


def _restore(run: Run, guard: Guard, site: Site, place: drill.Place, spooled: fetch.Spooled) -> None:
    try:
        loaded = load.load(
            run, guard, site.tools, spooled, place.params, place.database,
            jobs=run.params["jobs"], keep=inert.keep(spooled.toc, own=place.own), owners=place.own, tablespaces=False,
            settings=load.SCRATCH, look=place.look,
        )  # fmt: skip
    except load.LoadFailed as error:
        ours = place.own or (_alike(site, place) and not any(map(_RIGHTS.search, error.errors)))
        if error.environment or not ours:
            raise
        raise Refuted(f"it cannot be restored: {error}") from error
    place.warnings += loaded.warnings


def _alike(site: Site, place: drill.Place) -> bool:
    """Whether the set comes from a server of the same version."""
    return int(place.version.split(".")[0]) == int(site.manifest["server"]["version_num"]) // 10000


def _first_answer(run: Run, site: Site, place: drill.Place, spooled: fetch.Spooled) -> None:
    """The moment from which an application could work: its first query is answered."""
    with contextlib.closing(drill.session_of(place)) as session:
        if run.params["assertions"]:
            compare.assertions(session, site.subject, run.params["assertions"][:1])
            return
        out = inert.left_out(spooled.toc, own=place.own)
        table = next((entry for entry in spooled.toc.tables() if entry.dump_id not in out), None)
        statement = "SELECT 1"
        if table is not None:
            statement = compose("SELECT * FROM ONLY {table} LIMIT 1", table=(table.namespace, table.tag))
        session.rows(statement)


def _compare(run: Run, guard: Guard, site: Site, place: drill.Place, spooled: fetch.Spooled, found: Found) -> None:
    manifest, subject, toc = site.manifest, site.subject, spooled.toc
    out = inert.left_out(toc, own=place.own)
    alike = _alike(site, place)
    same = alike and site.tools.version == manifest["tools"]["version"]
    run.live.progress("comparing definitions, owners and grants")
    there = drill.dump_structure(run, guard, site.tools, place)
    checks = found.checks
    checks.append(compare.structure(subject, toc, there, out, owners=place.own, comparable=same, binding=alike))
    workers = {"max_parallel_workers_per_gather": str(run.params["jobs"])}
    with contextlib.closing(drill.session_of(place, workers)) as session:
        checks.append(compare.rows(run, session, subject, manifest, toc, out))
        checks.append(compare.extensions(session, subject, manifest))
        checks.append(compare.collations(session, subject, manifest, place.locale_differs))
        checks.append(compare.sequences(session, subject, toc, out))
        checks.append(compare.large_objects(session, subject, manifest))
        if run.params["assertions"]:
            checks.append(compare.assertions(session, subject, run.params["assertions"]))


def judge(checks: list[records.Check]) -> None:
    """:class:`Refuted` by the first critical check. Pure."""
    for check in checks:
        if check["status"] == "crit":
            raise Refuted(f"{check['summary'][0].lower()}{check['summary'][1:].rstrip('.')}")
