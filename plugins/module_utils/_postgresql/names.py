# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as data: how they are written for people and in statements we print, and how options name tables. Pure.

What is executed is quoted by the driver (``connect.compose``), not here.
"""

from __future__ import annotations

import re

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".\s]+))\s*(\.|$)')
MAX_BYTES = 63


def quote(name: str) -> str:
    """An identifier as one would write it: plain where that is unmistakable, else in double quotes.

    >>> quote("orders"), quote('Or"ders')
    ('orders', '"Or""ders"')
    """
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def spell(schema: str, name: str) -> str:
    """A qualified name; two relations never share one.

    >>> spell("public", "a.b")
    'public."a.b"'
    """
    return f"{quote(schema)}.{quote(name)}"


def parse(text: str, option: str) -> tuple[str, ...]:
    """``table``, ``schema.table`` or ``"Sch.ema"."Table"`` as its parts. Case is kept: names are data.

    >>> parse('app."a.b"', "tables")
    ('app', 'a.b')
    """
    parts: list[str] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None or len(parts) == 2:
            raise BadInput(
                f"{option}: {text!r} is not a table; write table or schema.table, in double quotes if need be."
            )
        parts.append(match.group(1).replace('""', '"') if match.group(1) else match.group(2))
        at = match.end()
        if not match.group(3):
            return tuple(parts)


def is_leftover(name: str) -> bool:
    """Whether the name is one that REINDEX CONCURRENTLY gives its working copies."""
    return re.fullmatch(r".+_cc(?:new|old)\d*", name, re.DOTALL) is not None
