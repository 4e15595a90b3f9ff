# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""UTC times as the records hold them: ISO 8601, to the second, ending in Z."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

DAY = 86400.0  # seconds


def now() -> datetime:
    """The present time, aware, in UTC. Only effects call this; plans are given their time."""
    return datetime.now(timezone.utc)


def iso(moment: datetime) -> str:
    """``2026-11-21T02:00:00Z`` for an aware ``datetime``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_iso() -> str:
    return iso(now())


def parse(text: str, option: str = "time") -> datetime:
    """An aware ``datetime`` from ISO 8601 text with a zone; :class:`BadInput` naming ``option`` otherwise."""
    try:
        # Python 3.9 and 3.10 do not read a trailing Z.
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput(f"{option}: {text!r} is not a time with a zone; write it like 2026-11-21T02:00:00Z.")
    return moment.astimezone(timezone.utc)


def zone(given: object, option: str) -> tzinfo:
    """A time zone by its IANA name, UTC for none; :class:`BadInput` for one that is not known here."""
    name = str(given or "UTC")
    if name.upper() in ("UTC", "Z"):  # known without a time zone database
        return timezone.utc
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(
            f"{option}: {name!r} is not known here; use a name like Europe/Berlin "
            f"(where there is no time zone database, install the Python package tzdata)."
        ) from error


def after(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)
