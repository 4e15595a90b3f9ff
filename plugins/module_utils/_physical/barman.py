# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Barman has saved of a server, as its own commands tell it in JSON. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup.account import Account
from ansible_collections.day2.ops.plugins.module_utils._backup.guard import Guard
from ansible_collections.day2.ops.plugins.module_utils._backup.tools import Program
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run


@dataclass(frozen=True)
class Backup:
    label: str
    ended: datetime
    full: bool


@dataclass(frozen=True)
class Saved:
    """``failed`` names what ``barman check`` finds wrong; ``newest_wal`` is the newest segment it holds."""

    backups: tuple[Backup, ...]
    newest_wal: Optional[str]
    system_identifier: Optional[str]
    version: str
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Barman:
    """How to call it."""

    program: str
    config: Optional[str]
    server: str
    account: Account


def read(run: Run, guard: Guard, barman: Barman) -> Saved:
    """Raises :class:`BadInput` when Barman does not know the server."""
    listed = _ask(run, guard, barman, "list-backups")
    done = [one for one in listed if one.get("status") == "DONE"]
    shown = _ask(run, guard, barman, "show-backup", max(one["backup_id"] for one in done)) if done else {}
    checked, about = _ask(run, guard, barman, "check"), _ask(run, guard, barman, "show-server")
    try:
        return parse(done, shown, checked, about)
    except (KeyError, TypeError, ValueError) as error:
        raise OpsError(
            f"Failed to read the backups of {barman.server}: Barman's answer has another form ({error})."
        ) from None


def newest_wal(run: Run, guard: Guard, barman: Barman, label: str) -> Optional[str]:
    """The newest segment, looked up again; segments that arrived are taken in by Barman's cron."""
    return _newest_wal(_ask(run, guard, barman, "show-backup", label))


def parse(
    done: Sequence[Mapping[str, Any]], shown: Mapping[str, Any], checked: Mapping[str, Any], about: Mapping[str, Any]
) -> Saved:
    """The answers of list-backups (those that are done), show-backup of the newest, check and show-server. Pure."""
    backups = [
        Backup(
            label=one["backup_id"],
            ended=datetime.fromtimestamp(int(one["end_time_timestamp"]), timezone.utc),
            full=one.get("backup_type") != "incremental",
        )
        for one in done
    ]
    failed = [
        name.replace("_", " ") + (f" ({one['hint']})" if one.get("hint") else "")
        for name, one in checked.items()
        if one["status"] not in ("OK", "WARNING")
    ]
    identifier = about.get("postgres_systemid") or about.get("streaming_systemid")
    return Saved(
        backups=tuple(sorted(backups, key=lambda one: one.ended)),
        newest_wal=_newest_wal(shown),
        system_identifier=str(identifier) if identifier else None,
        version=str(about.get("server_txt_version") or ""),
        failed=tuple(failed),
    )


def _newest_wal(shown: Mapping[str, Any]) -> Optional[str]:
    return shown.get("wal_information", {}).get("last_available") or None


def _ask(run: Run, guard: Guard, barman: Barman, command: str, *more: str) -> Any:
    """The answer of one command about our server. ``check`` answers in full and fails, when it finds something."""
    config = ["--config", barman.config] if barman.config else []
    arguments = [barman.program, *config, "--format", "json", command, barman.server, *more]
    account, said = barman.account, bytearray()
    with Program(run, guard, arguments, account.environment(), cwd="/", **account.process()) as child:
        try:
            for piece in child.output():
                said += piece
        except OpsError:
            if child.process.poll() in (None, 0) or not said:
                raise
    try:
        answer = json.loads(said)
    except ValueError:
        raise OpsError(
            f"Failed to ask Barman ({command}): it answers {said[:200].decode(errors='replace')!r}."
        ) from None
    if "_ERROR" in answer:
        why = "; ".join(answer["_ERROR"]).rstrip(".")
        if "Unknown server" in why:
            raise BadInput(f"external.server: Barman says: {why}; check the name and external.config.")
        raise OpsError(f"Failed to ask Barman ({command}): {why}.")
    return answer[barman.server]
