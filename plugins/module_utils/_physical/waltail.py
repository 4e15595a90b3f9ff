# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a WAL archive reaches: the time of the last transaction in it, read from its newest segments.

A recovery to a later time would end without having reached it, after all the work of a restore.
"""

from __future__ import annotations

import bz2
import json
import os
import re
import tempfile
import zlib
from datetime import datetime, timezone
from typing import Any, Callable, Iterable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._physical import stanza as stanzas
from ansible_collections.day2.ops.plugins.module_utils._physical.stanza import Settings, Stanza

# So many segments are looked into before the time at which the newest was archived has to do.
SEGMENTS = 8
_ENDED = re.compile(r"desc: (?:COMMIT|ABORT)\S* (?:.*?)(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}) UTC")
_STORED = re.compile(r"([0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?")


def last_transaction(
    run: Run, guard: Guard, settings: Settings, stanza: Stanza, bin_dir: str
) -> tuple[Optional[datetime], bool]:
    """When the last transaction in the archive ended, and whether that is exact or only no later than that."""
    if stanza.newest_wal is None:
        return None, True
    folder = f"archive/{stanza.name}/{stanza.archive_id}/{stanza.newest_wal[:16]}"
    what = "look into the WAL archive"
    listing = settings.command("repo-ls", folder, "--output=json", "--log-level-stderr=error", "--no-log-timestamp")
    told: Mapping[str, Any] = json.loads(stanzas.call(run, guard, settings, listing, what))
    stored = sorted((name for name in told if _STORED.fullmatch(name)), reverse=True)
    if not stored:
        return None, True
    for name in stored[:SEGMENTS]:
        run.live.progress(f"looking for the last transaction, in {name[:24]}")
        getting = settings.command("repo-get", f"{folder}/{name}", "--log-level-stderr=error", "--no-log-timestamp")
        content = unpack(stanzas.call(run, guard, settings, getting, what))
        if content is None:
            break
        found = latest(_dump(run, guard, os.path.join(bin_dir, "pg_waldump"), name[:24], content))
        if found is not None:
            return found, True
    return datetime.fromtimestamp(told[stored[0]]["time"], timezone.utc), False


def unpack(data: bytes) -> Optional[bytes]:
    """A segment as the server wrote it, from any form in which pgBackRest hands it out; None for one we cannot read.

    >>> unpack(bz2.compress(b"wal"))
    b'wal'
    """
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd(data)
    if data.startswith(b"\x1f\x8b"):
        return zlib.decompress(data, 31)
    if data.startswith(b"BZh"):
        return bz2.decompress(data)
    return None if data.startswith(b"\x04\x22\x4d\x18") else data


def _zstd(data: bytes) -> Optional[bytes]:
    try:
        import zstandard
    except ImportError:  # a host that has to help now is not sent away for this
        return None
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _dump(run: Run, guard: Guard, program: str, name: str, content: bytes) -> list[str]:
    """What pg_waldump says of the transactions in one segment."""
    with tempfile.TemporaryDirectory(prefix="day2-wal-") as folder:
        guard.folder(folder)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
        arguments = [program, "--rmgr=Transaction", f"--path={folder}", name]
        said = bytearray()
        with Program(run, guard, arguments, {**os.environ, "TZ": "UTC", "LC_ALL": "C"}, cwd=folder) as child:
            try:
                for piece in child.output():
                    said += piece
            except OpsError:
                # The end of a segment that was closed early is an error to it.
                if child.process.poll() in (None, 0):
                    raise
        guard.folder_removed(folder)
    return said.decode(errors="replace").splitlines()


def latest(lines: Iterable[str]) -> Optional[datetime]:
    """The latest end of a transaction that pg_waldump tells. Pure.

    >>> latest(["rmgr: Transaction len: 34, desc: COMMIT 2026-11-21 04:19:04.870413 UTC"]).isoformat()
    '2026-11-21T04:19:04.870413+00:00'
    """
    ends = [match.group(1) for match in map(_ENDED.search, lines) if match]
    parse: Callable[[str], datetime] = lambda text: datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")  # noqa: E731
    return max((parse(text).replace(tzinfo=timezone.utc) for text in ends), default=None)
