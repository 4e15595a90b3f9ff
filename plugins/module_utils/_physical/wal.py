# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server's WAL is safe: how much of it, and of what age, is not in the archive yet.

The archive itself says which segment is its newest; the server says what it has written since and when its archiver
last had success. Only both together tell an archive that keeps up from an archive_command that throws away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._physical import types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import duration, size

_NAME = re.compile(r"[0-9A-F]{24}")
_ARCHIVER = """
SELECT clock_timestamp() AS now, current_setting('archive_mode') AS mode,
       (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout') AS timeout,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes,
       left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline,
       (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS position,
       last_archived_wal AS archived_wal, last_archived_time AS archived_at,
       last_failed_wal AS failed_wal, last_failed_time AS failed_at
  FROM pg_stat_archiver
"""


@dataclass(frozen=True)
class Archiver:
    """What a primary says of its archiver. ``position`` is where its WAL ends, in bytes; ``timeline`` as in names."""

    now: datetime
    mode: str
    timeout: int
    segment_bytes: int
    timeline: str
    position: int
    archived_wal: Optional[str] = None
    archived_at: Optional[datetime] = None
    failed_wal: Optional[str] = None
    failed_at: Optional[datetime] = None


@dataclass(frozen=True)
class Lag:
    """How far the archive is behind. ``seconds`` is None when there is no saying; ``fault`` then says why."""

    seconds: Optional[float]
    pending_bytes: int = 0
    fault: str = ""
    advice: str = ""


def read_archiver(session: Session) -> Archiver:
    """Read this before the archive is listed: what the server then calls archived must be in the list."""
    return Archiver(**session.rows(_ARCHIVER)[0])


def is_segment(name: Optional[str]) -> bool:
    """
    >>> is_segment("0000000100000000000000FE"), is_segment("00000002.history"), is_segment(None)
    (True, False, False)
    """
    return bool(name) and _NAME.fullmatch(str(name)) is not None


def number(name: str, segment_bytes: int) -> int:
    """The place of a segment in the sequence, whatever its timeline.

    >>> number("000000010000000200000003", 16 << 20)
    515
    """
    return int(name[8:16], 16) * (0x100000000 // segment_bytes) + int(name[16:24], 16)


def name(timeline: str, place: int, segment_bytes: int) -> str:
    """
    >>> name("00000001", 515, 16 << 20)
    '000000010000000200000003'
    """
    high, low = divmod(place, 0x100000000 // segment_bytes)
    return f"{timeline}{high:08X}{low:08X}"


def lag(archiver: Archiver, newest: Optional[str]) -> Lag:
    """How old the oldest change is that the archive, with ``newest`` as its newest segment, does not hold. Pure."""
    if archiver.mode == "off":
        return Lag(None, fault="the server does not archive its WAL", advice="Set archive_mode to on.")
    look = f"Look into the server's log, and at {archiver.failed_wal}." if archiver.failed_wal else ""
    if newest is None or not is_segment(newest):
        return Lag(None, fault="the archive holds no WAL", advice=look or "Check archive_command.")
    if newest[:8] > archiver.timeline:
        fault = f"the archive has {newest}, of a timeline the server does not know: another server archives there"
        return Lag(None, fault=fault, advice="Give the other server an archive of its own.")
    behind = archiver.position - (number(newest, archiver.segment_bytes) + 1) * archiver.segment_bytes
    claimed = archiver.archived_wal
    if claimed is not None and is_segment(claimed) and claimed > newest:
        fault = f"the server calls {claimed} archived, but the newest in the archive is {newest}"
        return Lag(None, max(behind, 0), fault=fault, advice="Check archive_command: it leads elsewhere.")
    if behind <= 0:
        return Lag(0.0)
    if archiver.archived_at is None:
        return Lag(
            None, behind, fault="the server's archiver had no success yet", advice=look or "Check archive_command."
        )
    waited = max(0.0, (archiver.now - archiver.archived_at).total_seconds())
    failing = archiver.failed_at is not None and archiver.failed_at > archiver.archived_at
    if behind < archiver.segment_bytes and archiver.timeout and not failing:
        # A segment with a change in it would have been closed by now; an idle server closes none.
        waited = min(waited, float(archiver.timeout))
    advice = look if failing else "" if archiver.timeout else "Set archive_timeout, so that segments close in time."
    return Lag(waited, behind, advice=advice)


def check(archiver: Archiver, newest: Optional[str], max_age: float) -> Check:
    """Crit when a loss of the server would lose changes older than ``max_age`` seconds, or nobody can tell."""
    found = lag(archiver, newest)
    if found.fault:
        summary = f"The WAL is not safe: {found.fault}."
    elif not found.pending_bytes:
        summary = "All WAL that was written is in the archive."
    else:
        summary = (
            f"{size(found.pending_bytes)} of WAL, at most {duration(found.seconds or 0)} old, wait for the archive."
        )
    failing = archiver.failed_at is not None and (not archiver.archived_at or archiver.failed_at > archiver.archived_at)
    return types.WAL_AGE(
        "server",
        None if found.seconds is None else round(found.seconds, 1),
        crit=max_age,
        status="crit" if found.fault else None,
        summary=summary,
        advice=found.advice or "Look why archiving is slow, or lower archive_timeout.",
        newest=newest,
        pending_bytes=found.pending_bytes,
        archived=clock.iso(archiver.archived_at) if archiver.archived_at else None,
        archive_timeout=archiver.timeout,
        failed_wal=archiver.failed_wal if failing else None,
    )
