# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set is proven by restoring it: fetch, restore, ask, compare, and keep what came of it.

Only what the set itself is to blame for refutes it. A store that does not answer, a full disk or a stop leave it as
unproven as it was.
"""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup import (
    catalogue,
    drill,
    fetch,
    prove,
    scratch,
    types,
    verify_plan,
)
from ansible_collections.day2.ops.plugins.module_utils._backup import manifest as manifests
from ansible_collections.day2.ops.plugins.module_utils._backup.prove import Found, Site
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import find_tools
from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    Braked,
    Expired,
    OpsError,
    Refused,
    StoreConflict,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreUnreachable,
    name_failure,
)
from ansible_collections.day2.ops.plugins.module_utils._core.module import Result, Run
from ansible_collections.day2.ops.plugins.module_utils._core.saved_plan import settle
from ansible_collections.day2.ops.plugins.module_utils._postgresql.spec import postgresql_spec
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST, Store, from_json
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

# What a rehearsal calls the set that the step before it will take.
NEXT = "the next set"


def options() -> ArgumentSpec:
    """The options of the module, but for those of the store and the brake."""
    asked = {"name": {"type": "str", "required": True}, "query": {"type": "str", "required": True}}
    host = dict(postgresql_spec().argument_spec)
    del host["lock_db"]
    return ArgumentSpec(
        {
            "set": {"type": "str"},
            "identity_file": {"type": "path"},
            "max_age": {"type": "float", "default": 604800.0},
            "force": {"type": "bool", "default": False},
            "bin_dir": {"type": "path"},
            "scratch_dir": {"type": "path"},
            "scratch_user": {"type": "str"},
            "jobs": {"type": "int", "default": 2},
            "verify_host": {"type": "dict", "options": host},
            "verify_on_source": {"type": "bool", "default": False},
            "assertions": {"type": "list", "elements": "dict", "options": asked, "default": []},
            "rto": {"type": "float"},
            "rpo": {"type": "float"},
            "assume_actions": {"type": "list", "elements": "dict", "default": []},
        }
    )


def verify(run: Run) -> Result:
    """The work of module ``postgresql_backup_verify``."""
    found = Found()
    try:
        _verify(run, found)
    except OpsError as error:
        error.result = {**found.result(), **error.result}
        raise
    return found.result()


def _verify(run: Run, found: Found) -> None:
    verify_plan.check_options(run.params)
    store = open_store(run.params, read_only=run.check_mode, deadline=run.deadline)
    sets = catalogue.read_all(store, run.target)
    if run.check_mode and not run.params["set"] and verify_plan.is_coming(run.params["assume_actions"]):
        _rehearse(run, sets, found)
        return
    chosen, reason = verify_plan.choose(
        sets, clock.now(), run.target, run.params["set"], run.params["max_age"], run.params["force"]
    )
    last = verify_plan.last_proof(sets)
    if chosen is None:
        found.summary = f"Nothing is due: {reason}."
        if last is not None:
            found.checks.append(verify_plan.known(run.target, last, reason))
        return
    found.id = chosen.id
    predicted: dict[str, records.Scalar] = {"bytes": chosen.size, "taken": clock.iso(chosen.taken)}
    action = types.VERIFY_BACKUP.plan(chosen.id, reason, predicted=predicted)
    found.actions.append(action)
    found.summary = f"Set {chosen.id} is to be restored and compared: {reason}."
    # Whoever approves the proof of the newest set means the one that this run takes.
    settle(run, found.actions, any_subject=not run.params["set"])
    if action["status"] != "planned":
        return
    try:
        manifest = _read_manifest(store, chosen)
        if manifest["encryption"]["method"] != "none" and not run.params["identity_file"]:
            why = "it is encrypted, and there is no identity_file to open it with"
            found.checks.append(verify_plan.unknown(chosen, why))
            found.summary = f"Set {chosen.id} was not verified: {why}."
            records.skip(action, why)
            return
        site = _site(run, store, chosen, manifest, last)
        if not run.check_mode:
            records.begin(action)
            try:
                prove.prove(run, site, found)
            finally:
                action["after"] = types.VERIFY_BACKUP.measured(site.braked)
            found.verified = True
            found.summary = f"Set {chosen.id} was restored and is what was backed up."
            catalogue.put_verdict(store, chosen, _verdict(run, found, None, site.measured))
            records.finish(action, types.VERIFY_BACKUP.measured({**site.measured, **site.braked}))
    except (fetch.BrokenSet, prove.Refuted) as error:
        _refute(run, store, chosen, found, action, str(error))
    except (Braked, Expired) as error:
        records.defer(action, str(error))
    except OpsError as error:
        found.verified = None
        if action["started"]:
            records.fail(action, str(error))
        name_failure(error, f"verify {chosen.id} of {run.target}")
        raise


def _rehearse(run: Run, sets: list[catalogue.BackupSet], found: Found) -> None:
    """The set that is to be proven is not taken yet."""
    due, reason = verify_plan.is_due(sets, clock.now(), run.params["max_age"], run.params["force"])
    if not due:
        found.summary = f"Nothing is due: {reason}."
        return
    found.actions.append(types.VERIFY_BACKUP.plan(NEXT, reason, predicted={"bytes": None}))
    found.summary = f"The set that is taken before is to be restored and compared: {reason}."
    settle(run, found.actions, any_subject=True)


def _read_manifest(store: Store, chosen: catalogue.BackupSet) -> fetch.Manifest:
    """:class:`BrokenSet` for one that the store gives us and nobody can read."""
    try:
        return fetch.checked(manifests.read(store, chosen.prefix))
    except StoreError as error:
        if isinstance(error, (StoreConflict, StoreDenied, StoreMissing, StoreUnreachable)):
            raise
        key = f"{chosen.prefix}/{MANIFEST}"
        text = b"".join(store.stream(key))
        try:
            from_json(text, key)
        except StoreError:
            raise fetch.BrokenSet("its manifest is damaged") from None
        raise


def _site(
    run: Run, store: Store, chosen: catalogue.BackupSet, manifest: fetch.Manifest, last: Optional[catalogue.BackupSet]
) -> Site:
    """Everything that can be wrong before anything is fetched."""
    if manifest.get("engine", "pg_dump") != "pg_dump":
        raise Refused(f"Failed to verify {chosen.id}: sets of {manifest['engine']} are proven in another way.")
    keys = fetch.keys_for(manifest, run.params["identity_file"])
    major = int(manifest["server"]["version_num"]) // 10000
    # An archive is read by the pg_restore of the pg_dump that wrote it, or a newer one.
    server_tools = find_tools(run.params["bin_dir"], major)
    tools = find_tools(run.params["bin_dir"], max(major, int(manifest["tools"]["version"].split(".")[0])))
    for program in ("pg_restore", "pg_dump"):
        tools.path(program)
    if run.params["verify_host"]:
        drill.look(run, run.params["verify_host"], manifest)
    else:
        scratch.check_programs(server_tools, major)
        scratch.account_of(run.params["scratch_user"])
    return Site(store, chosen, manifest, keys, last, server_tools, tools, run.target)


def _refute(
    run: Run, store: Store, chosen: catalogue.BackupSet, found: Found, action: records.Action, reason: str
) -> None:
    """The set does not count any more: the store says so, unless this is a rehearsal."""
    reason = reason.rstrip(".")
    found.checks.insert(0, verify_plan.refuted(chosen, reason))
    found.verified = False
    found.summary = f"Set {chosen.id} cannot be relied on: {reason}."
    message = f"Failed to verify {chosen.id} of {run.target}: {reason}."
    if not run.check_mode:
        catalogue.put_verdict(store, chosen, _verdict(run, found, reason, {}))
    if not action["started"] and not run.check_mode:
        records.begin(action)
    records.fail(action, reason)
    raise OpsError(message)


def _verdict(run: Run, found: Found, reason: Optional[str], measured: dict[str, Any]) -> dict[str, Any]:
    kept = ("server", "restore_seconds", "data_age_seconds", "tables", "rows")
    return {
        "verified": found.verified,
        "at": clock.now_iso(),
        "run_id": run.id,
        "reason": reason,
        "checks": {check["check"]: check["status"] for check in found.checks},
        **{name: measured.get(name) for name in kept},
    }
