# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers as people read them. Pure."""

from __future__ import annotations

from typing import Optional, Sequence


def amount(number: float) -> str:
    """
    >>> amount(1203111)
    '1 203 111'
    """
    return f"{number:,.0f}".replace(",", " ")


def count(number: int, what: str) -> str:
    """
    >>> count(1, "table"), count(2, "index")
    ('1 table', '2 indexes')
    """
    plural = f"{what}es" if what.endswith("x") else f"{what}s"
    return f"{amount(number)} {what if number == 1 else plural}"


def percent(ratio: float) -> str:
    """
    >>> percent(0.384), percent(0.003), percent(0)
    ('38 %', '0.3 %', '0 %')
    """
    return f"{ratio * 100:.0f} %" if ratio >= 0.1 or not ratio else f"{ratio * 100:.1f} %"


def size(count: float) -> str:
    """
    >>> size(10 << 20), size(512)
    ('10.0 MiB', '512 bytes')
    """
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """
    >>> duration(42), duration(600), duration(7300)
    ('42 s', '10 min', '2.0 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def so_far(seconds: Optional[float]) -> str:
    """For how long something has been open by now; nothing where nobody knows.

    >>> so_far(300), so_far(None)
    (', for 5 min now', '')
    """
    return "" if seconds is None else f", for {duration(seconds)} now"


def listed(names: Sequence[str], shown: int = 5) -> str:
    """The first of them, and how many more there are.

    >>> listed(["a", "b", "c"], 2), listed(["a"])
    ('a, b and 1 more', 'a')
    """
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def milliseconds(seconds: float) -> str:
    """A time as the server's settings take it.

    >>> milliseconds(0.5)
    '500ms'
    """
    return f"{int(seconds * 1000)}ms"
