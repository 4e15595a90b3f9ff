# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which set is to be proven and why, and what a proof says. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import inert, types
from ansible_collections.day2.ops.plugins.module_utils._backup.archive import Toc
from ansible_collections.day2.ops.plugins.module_utils._backup.catalogue import BackupSet, taken_of
from ansible_collections.day2.ops.plugins.module_utils._backup.drill import Place
from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.given import all_above_zero, none_negative
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, duration, listed


def check_options(params: Mapping[str, Any]) -> None:
    """:class:`BadInput` for a value that cannot be meant."""
    all_above_zero(params, "rto", "rpo")
    none_negative(params, "max_age")
    if not 1 <= params["jobs"] <= 32:
        raise BadInput(f"jobs: {params['jobs']} workers are not possible; give a number from 1 to 32.")
    names = [one["name"] for one in params["assertions"]]
    for one in params["assertions"]:
        if not one["query"].strip():
            raise BadInput(f"assertions: {one['name']} has no query; write one that returns one row with true.")
        if names.count(one["name"]) > 1:
            raise BadInput(f"assertions: {one['name']} is there twice; give each a name of its own.")
    if params["verify_on_source"] and not params["verify_host"]:
        raise BadInput("verify_on_source: it needs verify_host, which says how to connect to the source.")


def choose(
    sets: Sequence[BackupSet], now: datetime, target: str, wanted: Optional[str], max_age: float, force: bool
) -> tuple[Optional[BackupSet], str]:
    """The set that is due, or None; and why. Raises :class:`OpsError` when there is none that could be proven.

    By default that is the newest one that may be relied on. A proof is good for ``max_age``: it is one of the way back,
    not only of one set.
    """
    if wanted:
        chosen = _named(sets, wanted)
        if chosen.verified and chosen.verified_at and not force:
            age = (now - chosen.verified_at).total_seconds()
            if age < max_age:
                return None, f"set {wanted} was verified {duration(age)} ago (max_age {duration(max_age)})"
        return chosen, "it was asked for"
    usable = [each for each in sets if each.counts]
    if not usable:
        why = "every complete set was refuted" if any(each.complete for each in sets) else "there is no complete set"
        raise Refused(f"Failed to verify a backup of {target}: {why}; take one with day2.ops.postgresql_backup first.")
    chosen = max(usable, key=lambda each: (each.taken, each.id))
    due, reason = is_due(sets, now, max_age, force)
    return (chosen if due else None), reason


def is_due(sets: Sequence[BackupSet], now: datetime, max_age: float, force: bool) -> tuple[bool, str]:
    """Whether a proof of the newest set is due, and why or why not."""
    last = last_proof(sets)
    if force:
        return True, "a verification was asked for (force)"
    if last is None or last.verified_at is None:
        return True, "no set was ever verified"
    age = (now - last.verified_at).total_seconds()
    if age < max_age:
        return False, f"set {last.id} was verified {duration(age)} ago (max_age {duration(max_age)})"
    return True, f"the last verification is {duration(age)} old (max_age {duration(max_age)})"


def is_coming(actions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an earlier step has planned a set, of which a rehearsal only knows that it will be the newest."""
    return any(one.get("action") == types.BACKUP.name and one.get("status") == "planned" for one in actions)


def _named(sets: Sequence[BackupSet], wanted: str) -> BackupSet:
    taken_of(wanted)
    for each in sets:
        if each.id == wanted and each.complete:
            return each
        if each.id == wanted:
            raise OpsError(f"Failed to verify {wanted}: it has no manifest, so its upload was never completed.")
    raise BadInput(f"set: there is no set {wanted}; day2.ops.postgresql_backup_info lists those there are.")


def last_proof(sets: Sequence[BackupSet]) -> Optional[BackupSet]:
    """The set that was verified last."""
    proven = [(each.verified_at, each) for each in sets if each.complete and each.verified_at is not None]
    return max(proven, key=lambda one: (one[0], one[1].id), default=(None, None))[1]


def known(subject: str, last: BackupSet, why: str) -> Check:
    """What an earlier proof said still holds."""
    verdict = last.verdict or {}
    return types.RESTORED(
        subject, None, status="ok", summary=f"A backup was restored and compared: {why}.",
        set=last.id, taken=clock.iso(last.taken), verified=verdict.get("at"), server=verdict.get("server"),
    )  # fmt: skip


def unknown(chosen: BackupSet, why: str) -> Check:
    return types.RESTORED(
        chosen.target, None, status="unknown",
        summary=f"Nobody knows whether set {chosen.id} can be restored: {why}.",
        advice="Give identity_file on the host that verifies.",
        set=chosen.id, taken=clock.iso(chosen.taken),
    )  # fmt: skip


def restored(subject: str, chosen: BackupSet, measured: Mapping[str, Any]) -> Check:
    text = (
        f"Set {chosen.id} was restored on PostgreSQL {measured['server']} in {duration(measured['restore_seconds'])}: "
        f"{count(measured['tables'], 'table')}, {count(measured['rows'], 'row')}."
    )
    return types.RESTORED(
        subject, None, status="ok", summary=text,
        set=chosen.id, taken=clock.iso(chosen.taken), verified=clock.now_iso(), server=measured["server"],
        tables=measured["tables"], rows=measured["rows"],
    )  # fmt: skip


def refuted(chosen: BackupSet, reason: str) -> Check:
    return types.RESTORED(
        chosen.target, None, status="crit", summary=f"Set {chosen.id} cannot be relied on: {reason}.",
        advice="Take another backup now, and verify it.", set=chosen.id, taken=clock.iso(chosen.taken),
    )  # fmt: skip


def times(
    subject: str, chosen: BackupSet, measured: Mapping[str, Any], last: Optional[BackupSet], params: Mapping[str, Any]
) -> list[Check]:
    """How long the way back takes, and how much it loses; with the value before, to see where it goes."""
    before = (last.verdict or {}) if last else {}
    seconds, age = measured["restore_seconds"], measured["data_age_seconds"]
    return [
        types.RESTORE_SECONDS(
            subject, seconds, crit=params["rto"],
            summary=f"From fetching the set to the first query answered it took {duration(seconds)}.",
            advice="More jobs, a faster disk or a store that is nearer make it shorter.",
            set=chosen.id, previous=before.get("restore_seconds"),
        ),
        types.DATA_AGE(
            subject, age, crit=params["rpo"],
            summary=f"What was restored is {duration(age)} old.",
            advice="Take backups more often, or archive WAL.",
            set=chosen.id, taken=clock.iso(chosen.taken), previous=before.get("data_age_seconds"),
        ),
    ]  # fmt: skip


def isolation(subject: str, toc: Toc, place: Place) -> Check:
    """What was kept from reaching others, and what could try."""
    out = inert.left_out(toc, own=place.own).values()
    reaching = [] if place.isolated else inert.could_reach_out(toc)
    names = sorted(f"{entry.desc.lower()} {entry.tag}" for entry in out)
    network = "no network" if place.isolated else "the network of its host"
    text = f"The restored database had {network}; {amount(len(names))} of its entries were left out"
    text += f": {listed(names)}." if names else ", because none could reach others."
    if reaching:
        text += f" It could reach others through: {listed(reaching)}."
    return types.ISOLATION(
        subject, len(reaching), warn=1, summary=text,
        advice="Verify as root on Linux, with unshare: the server then has no network.",
        network=not place.isolated, left_out=listed(names), reaching=listed(reaching),
    )  # fmt: skip
