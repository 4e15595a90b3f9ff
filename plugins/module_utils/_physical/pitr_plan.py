# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To a point in time: which backup, whether the archive reaches that far, and what the server's log proves. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.records import Action, Check
from ansible_collections.day2.ops.plugins.module_utils._physical import types
from ansible_collections.day2.ops.plugins.module_utils._physical.pgbackrest import NAMES
from ansible_collections.day2.ops.plugins.module_utils._physical.stanza import Backup, Stanza
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration, size

_STAMP = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)?([+-]\d\d)(?::?(\d\d))?"
_STOPPED = re.compile(r"recovery stopping before (?:commit|abort) of .*?time " + _STAMP)
_ENDED_EARLY = "recovery ended before configured recovery target was reached"
TOO_SMALL = "insufficient parameter settings"
_FATAL = re.compile(r"(?:FATAL|PANIC): +(.*)")
_FILE = re.compile(r"DETAIL: restore file .*?( - exists and .*?)? \((\d+(?:\.\d+)?)([KMGTP]?B), (\d+(?:\.\d+)?)%\)")
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "PB": 1 << 50}
# What the copy must offer at least as much of as the server did whose WAL it replays.
NEEDED = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


@dataclass(frozen=True)
class Span:
    """The times to which a recovery can go; ``last`` is the end of the last transaction, or when that was archived."""

    first: Optional[datetime]
    last: Optional[datetime]
    exact: bool = True

    def told(self) -> str:
        if self.first is None or self.last is None:
            return "nothing can be restored yet: there is no good backup, or no WAL after it"
        about = "" if self.exact else " at most"
        return f"possible are times from {_iso(self.first)} until before {_iso(self.last)}{about}"


@dataclass
class Copied:
    """What a restore copied and what it found in place, by pgBackRest's lines; sizes are as rounded as those."""

    files: int = 0
    kept: int = 0
    bytes: int = 0

    def read(self, line: str) -> Optional[float]:
        """Take in a line; the share of the restore that is done with it."""
        match = _FILE.search(line)
        if match is None:
            return None
        if match.group(1):
            self.kept += 1
        else:
            self.files += 1
            self.bytes += int(float(match.group(2)) * _UNITS[match.group(3)])
        return float(match.group(4)) / 100


def span_of(stanza: Stanza, last: Optional[datetime], exact: bool) -> Span:
    """pgBackRest tells whole seconds: a backup that ended within one is sure to be over with the next."""
    first = min((one.ended for one in stanza.good), default=None)
    return Span(None if first is None else first + timedelta(seconds=1), last, exact)


def choose(stanza: Stanza, target: datetime, span: Span) -> Backup:
    """The newest good backup that was over before ``target``; :class:`BadInput` for a time out of the span."""
    if span.first is None or target < span.first:
        raise BadInput(f"target_time: {_iso(target)} is before the end of the first backup; {span.told()}.")
    if span.last is None or target >= span.last:
        raise BadInput(
            f"target_time: no transaction after {_iso(target)} is in the WAL archive, so nobody could tell that it was "
            f"reached; {span.told()}. For something this recent let the server archive first: SELECT pg_switch_wal()."
        )
    fitting = [one for one in stanza.good if one.ended + timedelta(seconds=1) <= target]
    return max(fitting, key=lambda one: one.ended)


def plan(path: str, port: int, backup: Backup, target: datetime, action: str, *, delta: bool) -> list[Action]:
    """Restore, then replay to the target."""
    how = "what is there already is kept where it is the same" if delta else "into a new folder"
    age = (target - backup.ended).total_seconds()
    restore = types.RESTORE.plan(
        path,
        f"{backup.label} ({NAMES[backup.kind]}, {size(backup.bytes)}) is the newest one before {_iso(target)}; {how}",
        predicted={
            "set": backup.label,
            "bytes": backup.bytes,
            "seconds": backup.seconds,
            "delta": delta,
            "backup_age_seconds": round(age),
        },
    )
    then = "it is a server of its own then" if action == "promote" else "it can be read then, and waits"
    reason = f"the {duration(age)} of WAL from the backup to {_iso(target)} are missing; {then}"
    replay = types.REPLAY.plan(path, reason, predicted={"target": _iso(target), "port": port})
    return [restore, replay]


def needed_settings(controldata: str) -> dict[str, str]:
    """What pg_controldata says the original was set to, by the names of settings."""
    told = {
        key.strip(): value.strip() for key, _colon, value in (line.partition(":") for line in controldata.splitlines())
    }
    return {name: told[label] for name, label in NEEDED.items() if label in told}


def stopped_before(log: str) -> Optional[datetime]:
    """When the transaction ended at which the replay stopped, by the server's log; None when it did not stop.

    >>> stopped_before("LOG:  recovery stopping before commit of transaction 7, time 2026-11-21 06:19:05.12+02")
    datetime.datetime(2026, 11, 21, 4, 19, 5, 120000, tzinfo=datetime.timezone.utc)
    """
    found = list(_STOPPED.finditer(log))
    if not found:
        return None
    day, fraction, hours, minutes = found[-1].groups()
    micro = (fraction or ".0")[1:].ljust(6, "0")[:6]
    text = f"{day}.{micro}{hours}:{minutes or '00'}"
    return datetime.fromisoformat(text).astimezone(timezone.utc)


def trouble_in(log: str) -> Optional[str]:
    """Why the replay does not go on, in words; None when nothing says so."""
    if _ENDED_EARLY in log:
        return "the WAL archive ends before the target, or a segment is missing in it"
    if TOO_SMALL in log:
        return "the original's limits were raised meanwhile; give at least as much in settings, as the log names it"
    fatal = _FATAL.findall(log)
    # While it starts, the server turns us away with a FATAL of its own.
    told = [text for text in fatal if "system is" not in text and "not yet accepting" not in text]
    return told[-1].rstrip(".") if told else None


def stop_check(
    target: datetime, last: Optional[datetime], following: Optional[datetime], backup: str, timeline: int, state: str
) -> Check:
    """Ok when the replay went up to the target and no further: the next transaction was seen, and left out."""
    proven = following is not None and following > target and (last is None or last <= target)
    gap = None if last is None else round(max(0.0, (target - last).total_seconds()), 3)
    if following is None:
        summary = "Nothing proves where the replay ended: the log tells of no transaction at which it stopped."
    elif not proven:
        summary = (
            f"The replay went past {_iso(target)}: the last transaction in the copy is of {_iso(last or following)}."
        )
    else:
        before = "no transaction since the backup" if last is None else f"the last one of {_iso(last)}"
        summary = (
            f"Replayed to {_iso(target)}: {before} is in the copy, the next one, of {_iso(following)}, is not; "
            "there was none in between."
        )
    return types.STOP_POINT(
        "server",
        gap,
        status="ok" if proven else "crit",
        summary=summary,
        advice="Do not use the copy; look into its log.",
        target=_iso(target),
        last_transaction=_iso(last) if last else None,
        next_transaction=_iso(following) if following else None,
        set=backup,
        timeline=timeline,
        state=state,
    )


def seconds_check(restore: float, replay: float, copied: int) -> Check:
    total = round(restore + replay, 1)
    text = f"From the first file to the first answer it took {duration(total)} ({duration(replay)} of them to replay)."
    return types.PITR_SECONDS(
        "server", total, summary=text, restore_seconds=round(restore, 1), replay_seconds=round(replay, 1), bytes=copied
    )


def lacking(needed: int, free: int) -> Optional[str]:
    """Why the disk is too small, or None. Replaying and the server itself need some room beside the data."""
    wanted = needed + needed // 20 + (256 << 20)
    return None if free >= wanted else f"it takes {size(wanted)}, and {size(max(free, 0))} are free"


def text(moment: Optional[datetime]) -> Optional[str]:
    """To the microsecond where there are any: transactions are that close."""
    return None if moment is None else _iso(moment)


def _iso(moment: datetime) -> str:
    utc = moment.astimezone(timezone.utc)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z" if utc.microsecond else clock.iso(utc)
