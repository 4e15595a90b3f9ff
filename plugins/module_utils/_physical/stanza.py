# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pgBackRest as it is: running the program, and what it says of a stanza, its backups and its WAL.

Where the repository is and how it is encrypted stands in pgBackRest's own configuration; no secret passes through us.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup.account import Account, by_id, chosen
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Deferred, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run

# What "info" calls the status of a stanza that is not there.
NO_STANZA = (1, 3)
_WORDS = re.compile(r"^(?:\S+ \S+ )?(?:P\d+\s+)?(?:ERROR|WARN): (?:\[(\d+)\]: )?(.*)")


@dataclass(frozen=True)
class Settings:
    """How to call pgBackRest: the program, as whom, and the options every command gets."""

    program: str
    stanza: str
    repo: int
    config: Optional[str]
    account: Account

    def command(self, name: str, *options: str, repo: bool = True) -> list[str]:
        general = [f"--stanza={self.stanza}"]
        if self.config:
            general.append(f"--config={self.config}")
        if repo:
            general.append(f"--repo={self.repo}")
        return [self.program, *general, name, *options]


@dataclass(frozen=True)
class Backup:
    """One backup of a stanza. ``bytes`` is the size of the data, ``copied`` what it added to the repository."""

    label: str
    kind: str
    began: datetime
    ended: datetime
    prior: Optional[str]
    bytes: int
    copied: int
    damaged: bool
    wal_from: str
    wal_to: str

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds()

    def age(self, now: datetime) -> float:
        """From when it began, so that one a day stays one a day."""
        return (now - self.began).total_seconds()


@dataclass(frozen=True)
class Stanza:
    """What the repository holds of one server: its backups, oldest first, and its WAL."""

    name: str
    code: int
    message: str
    busy: bool
    system_identifier: str
    version: str
    archive_id: str
    oldest_wal: Optional[str]
    newest_wal: Optional[str]
    backups: tuple[Backup, ...]

    @property
    def good(self) -> tuple[Backup, ...]:
        """Those without pages that failed their checksum, in themselves or in what they build on."""
        bad = {one.label for one in self.backups if one.damaged}
        good: list[Backup] = []
        for one in self.backups:
            if one.label not in bad and one.prior not in bad:
                good.append(one)
            else:
                bad.add(one.label)
        return tuple(good)

    def newest(self, *kinds: str) -> Optional[Backup]:
        fitting = [one for one in self.good if not kinds or one.kind in kinds]
        return fitting[-1] if fitting else None


def program_options() -> dict[str, Any]:
    """The suboptions that say how to call pgBackRest."""
    return {
        "program": {"type": "str", "default": "pgbackrest"},
        "config": {"type": "path"},
        "stanza": {"type": "str", "required": True},
        "repo": {"type": "int", "default": 1},
        "user": {"type": "str"},
    }


def settings_of(
    given: Mapping[str, Any], option: str, *, reads: bool = False, account: Optional[Account] = None
) -> Settings:
    """From the suboptions of ``option``. What only ``reads`` may be root; ``account`` stands over the suboption."""
    found = shutil.which(given["program"])
    if found is None:
        raise BadInput(
            f"{option}.program: there is no program {given['program']} here; install pgBackRest on this host."
        )
    if given["config"] and not os.path.exists(given["config"]):
        raise BadInput(f"{option}.config: there is no file {given['config']}; give pgBackRest's configuration.")
    if not re.fullmatch(r"[\w.-]+", given["stanza"]):
        raise BadInput(f"{option}.stanza: {given['stanza']!r} is not a stanza's name; give one of pgBackRest's.")
    if account is None:
        root = reads and given["user"] is None
        account = by_id(os.geteuid()) if root else chosen(given["user"], f"{option}.user")
    return Settings(found, given["stanza"], given["repo"], given["config"], account)


class _Child(Program):
    """Shows what it is at also while it says nothing, as when it waits for a checkpoint or for WAL."""

    doing = ""
    share: Optional[float] = None

    def _look(self) -> None:
        super()._look()
        self._run.live.progress(self.doing, self.share)


def call(
    run: Run,
    guard: Guard,
    settings: Settings,
    arguments: Sequence[str],
    what: str,
    *,
    share: Optional[Callable[[str], Optional[float]]] = None,
) -> bytes:
    """Run it; what it wrote. ``what`` completes "Failed to ...".

    With ``share`` nothing is kept: it is given each line, and tells from it how far the work is.
    """
    kept = bytearray()
    more = settings.account.process()
    child = _Child(run, guard, arguments, settings.account.environment(), cwd="/", **more)
    child.doing = what
    with child:
        try:
            for piece in child.output():
                kept += piece
                if share is not None:
                    *lines, rest = kept.split(b"\n")
                    kept = bytearray(rest)
                    for each in lines:
                        child.share = share(each.decode(errors="replace")) or child.share
        except OpsError as error:
            if child.process.poll() in (None, 0):  # it was stopped, or out of time
                raise
            raise failure(what, child.said, child.process.returncode) from error
    return bytes(kept)


def failure(what: str, said: str, status: int) -> OpsError:
    """pgBackRest's error as one sentence, with its first hint as the remedy. Pure."""
    lines = [each.strip() for each in said.splitlines() if each.strip()]
    found = next((match for match in map(_WORDS.match, lines) if match and match.group(1)), None)
    words = found.group(2).rstrip(".:") if found else (lines[-1].rstrip(".") if lines else f"exit status {status}")
    hint = next((each[len("HINT: ") :] for each in lines if each.startswith("HINT: ")), "")
    # 50: another one works on this stanza and holds its lock.
    kind = Deferred if found and found.group(1) == "050" else OpsError
    return kind(f"Failed to {what}: {words}." + (f" {hint[:1].upper()}{hint[1:].rstrip('.')}." if hint else ""))


def read(run: Run, guard: Guard, settings: Settings) -> Stanza:
    """The stanza as the repository has it. Raises :class:`BadInput` when there is none of that name."""
    what = f"read the stanza {settings.stanza}"
    command = settings.command("info", "--output=json", "--log-level-stderr=error", "--no-log-timestamp")
    said = call(run, guard, settings, command, what)
    try:
        return parse(json.loads(said), settings.stanza, settings.repo)
    except (ValueError, KeyError, TypeError) as error:
        raise OpsError(f"Failed to {what}: pgBackRest's answer has another form than expected ({error}).") from None


def parse(told: Sequence[Mapping[str, Any]], name: str, repo: int) -> Stanza:
    """What ``pgbackrest info --output=json`` says of a stanza in one repository. Pure."""
    entry: Optional[Mapping[str, Any]] = next((one for one in told if one["name"] == name), None)
    status: Mapping[str, Any] = entry["status"] if entry else {"code": 1, "message": "missing stanza path"}
    if entry is None or status["code"] in NO_STANZA or not entry["db"]:
        raise BadInput(
            f"pgbackrest.stanza: the repository has no stanza {name} ({status['message']}); check the name and the "
            "configuration, or run pgbackrest stanza-create."
        )
    # After an upgrade the stanza knows the old server too; its backups restore another one.
    database = max((one for one in entry["db"] if one["repo-key"] == repo), key=lambda one: one["id"], default=None)
    if database is None:
        raise BadInput(
            f"pgbackrest.repo: the stanza {name} is not in repository {repo}; give the number of one it is in."
        )
    mine = {"id": database["id"], "repo-key": repo}
    wal = next((one for one in entry["archive"] if one["database"] == mine), {"id": "", "min": None, "max": None})
    here = next((one["status"] for one in entry["repo"] if one["key"] == repo), status)
    return Stanza(
        name=name,
        code=here["code"],
        message=here["message"],
        busy=bool(status.get("lock", {}).get("backup", {}).get("held")),
        system_identifier=str(database["system-id"]),
        version=str(database["version"]),
        archive_id=str(wal["id"]),
        oldest_wal=wal["min"],
        newest_wal=wal["max"],
        backups=tuple(_backup(one) for one in entry["backup"] if one["database"] == mine),
    )


def _backup(entry: Mapping[str, Any]) -> Backup:
    def moment(seconds: int) -> datetime:
        return datetime.fromtimestamp(seconds, timezone.utc)

    return Backup(
        label=entry["label"],
        kind=entry["type"],
        began=moment(entry["timestamp"]["start"]),
        ended=moment(entry["timestamp"]["stop"]),
        prior=entry["prior"],
        bytes=int(entry["info"]["size"]),
        copied=int(entry["info"]["repository"].get("delta", 0)),
        damaged=bool(entry.get("error")),
        wal_from=entry["archive"]["start"] or "",
        wal_to=entry["archive"]["stop"] or "",
    )


def require_same_server(stanza: Stanza, system_identifier: Optional[str], place: str) -> None:
    """:class:`BadInput` when the stanza holds backups of another server than the one connected to."""
    if system_identifier is not None and stanza.system_identifier != system_identifier:
        raise BadInput(
            f"pgbackrest.stanza: {stanza.name} holds the server with system identifier {stanza.system_identifier}, but "
            f"{place} is {system_identifier}; give the stanza of this server, or run pgbackrest stanza-upgrade."
        )
