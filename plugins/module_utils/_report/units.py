# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers as people read them. Units are those of the records: bytes, seconds, ratio, count, or any noun."""

from __future__ import annotations

import math
import re
from datetime import datetime, tzinfo
from typing import Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._core import clock

Scalar = Union[str, int, float, bool, None]

# C0 and C1 controls, and the marks that reorder text: in a terminal or a page they could say what is not so.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def visible(text: str) -> str:
    """``text`` on one line, without characters that control or reorder what is shown."""
    return _UNSEEN.sub(" ", text)


def clean(text: object) -> str:
    """Anything as text that is :func:`visible`, without spaces around it."""
    return visible(str(text)).strip()


def show(value: Scalar, unit: str = "") -> str:
    """A value with its unit.

    >>> show(2040109466, "bytes"), show(0.873, "ratio"), show(4350, "seconds"), show(1204331, "rows")
    ('1.9 GiB', '87.3 %', '1 h 12 min', '1,204,331 rows')
    """
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean(value)
    if not math.isfinite(value):
        return "not a number"
    sign, size = ("−" if value < 0 else ""), abs(value)
    if unit == "bytes":
        return sign + _bytes(size)
    if unit == "seconds":
        return sign + _seconds(size)
    if unit == "ratio":
        return f"{sign}{_short(size * 100)} %"
    number = sign + _number(size)
    return number if unit in ("", "count") else f"{number} {clean(unit)}"


def _number(size: Union[int, float]) -> str:
    if isinstance(size, int) or float(size).is_integer():
        return f"{int(size):,}"
    return f"{size:,.1f}" if size >= 100 else _short(size)


def _short(size: float) -> str:
    """Up to three digits that matter, without trailing zeros."""
    if size == 0:
        return "0"
    digits = max(0, min(6, (1 if size >= 1 else 2 - math.ceil(math.log10(size)))))
    text = f"{size:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bytes(size: float) -> str:
    # 1024-based and named so: the same numbers as pg_size_pretty, df -h and Kubernetes.
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1023.95:
            break
        size, unit = size / 1024, larger
    if unit == "B":
        return f"{int(size)} B"
    return f"{_short(round(size, 1) if size < 99.95 else round(size))} {unit}"


def _seconds(size: float) -> str:
    if size and size < 0.9995:
        return f"{_short(round(size * 1000, 1 if size < 0.01 else 0))} ms"
    if size < 59.95:
        return f"{_short(round(size, 1))} s"
    whole = round(size)
    for upper, lower, large, small, limit in (
        (60, 1, "min", "s", 3600),
        (3600, 60, "h", "min", 172800),
        (86400, 3600, "d", "h", 30 * 86400),
    ):
        if whole < limit:
            rest = (whole % upper) // lower
            return f"{whole // upper} {large} {rest} {small}" if rest else f"{whole // upper} {large}"
    return f"{whole // 86400:,} d"


_UNITS = {"bytes": "bytes", "seconds": "seconds", "ratio": "ratio", "bloat": "ratio"}


def unit_of(key: str) -> str:
    """The unit that a measure's name begins or ends with (``bytes_reclaimed``, ``lag_seconds``), else none."""
    words = key.split("_")
    return _UNITS.get(words[-1]) or _UNITS.get(words[0]) or ""


def label_of(key: str) -> str:
    """A measure's name in words, without its unit.

    >>> label_of("index_size_bytes"), label_of("bytes_reclaimed"), label_of("bytes"), label_of("dead_rows")
    ('index size', 'reclaimed', 'size', 'dead rows')
    """
    words = clean(key).split("_")
    for place in (-1, 0):
        if words[place] in ("bytes", "seconds") and len(words) > 1:
            words.pop(place)
    return {"bytes": "size", "seconds": "time"}.get(" ".join(words), " ".join(words))


def measure(key: str, value: Scalar) -> str:
    return show(value, unit_of(key))


def between(started: Optional[str], ended: Optional[str]) -> Optional[float]:
    """Seconds from one ISO time to another; None when either is missing."""
    if not started or not ended:
        return None
    return (clock.parse(ended) - clock.parse(started)).total_seconds()


def when(text: Optional[str], zone: tzinfo, form: str = "%Y-%m-%d %H:%M") -> str:
    """An ISO time in ``zone``; a dash for none."""
    return "–" if not text else clock.parse(text).astimezone(zone).strftime(form)


def zone_name(moment: Optional[str], zone: tzinfo) -> str:
    """What the zone is called then (UTC, CET, CEST)."""
    reference = clock.parse(moment) if moment else datetime(2026, 1, 1, tzinfo=zone)
    return reference.astimezone(zone).tzname() or "UTC"
