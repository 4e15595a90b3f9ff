# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Demands on the body of an answer: JSON values, and a text that it must hold. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput

DEMANDS = ("equals", "matches", "above", "below", "present")
LONGEST = 80


class Missing(Exception):
    """There is nothing at a path; the message says what is missing."""


def assertion_options() -> dict[str, Any]:
    return {
        "path": {"type": "str", "required": True},
        "equals": {"type": "raw"},
        "matches": {"type": "str"},
        "above": {"type": "float"},
        "below": {"type": "float"},
        "present": {"type": "bool"},
    }


def checked(assertions: Sequence[Mapping[str, Any]], option: str) -> None:
    """:class:`BadInput` for a demand that cannot be meant."""
    for number, one in enumerate(assertions):
        given = [name for name in DEMANDS if one.get(name) is not None]
        if len(given) != 1:
            named = f"{option}[{number}]"
            raise BadInput(f"{named}: has {len(given)} demands; give exactly one of {', '.join(DEMANDS)}.")
        if one.get("matches") is not None:
            pattern(one["matches"], f"{option}[{number}].matches")


def pattern(text: str, option: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise BadInput(f"{option}: {text!r} is no regular expression ({error}); correct it.") from error


def failures(body: bytes, assertions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the body, one half sentence for each demand that is not met."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return [f"the answer is no JSON ({len(body)} bytes)"]
    return [why for one in assertions for why in [_failure(document, one)] if why]


def at(document: Any, path: str) -> Any:
    """The value at a JSON pointer (``/a/0/b``) or a dotted path (``a.0.b``; ``.`` is the whole).

    >>> at({"a": [{"b": 1}]}, "a.0.b"), at({"a/b": {"c.d": 2}}, "/a~1b/c.d"), at([5], "-1")
    (1, 2, 5)
    """
    if path.startswith("/"):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    else:
        steps = [step for step in path.split(".") if step]
    for step in steps:
        try:
            document = document[int(step)] if isinstance(document, list) else document[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Missing(f"there is no {step} in it") from None
    return document


def _failure(document: Any, one: Mapping[str, Any]) -> Optional[str]:
    path = one["path"]
    try:
        found = at(document, path)
    except Missing as missing:
        return None if one.get("present") is False else f"{path}: {missing}"
    if one.get("present") is not None:
        return None if one["present"] else f"{path} is there"
    shown = f"{path} is {_shown(found)}"
    if one.get("equals") is not None:
        return None if _same(found, one["equals"]) else f"{shown}, not {_shown(one['equals'])}"
    if one.get("matches") is not None:
        return None if re.search(one["matches"], _text(found)) else f"{shown}, which does not match {one['matches']}"
    number = _number(found)
    if number is None:
        return f"{shown}, which is no number"
    if one.get("above") is not None:
        return None if number > one["above"] else f"{shown}, not above {one['above']:g}"
    return None if number < one["below"] else f"{shown}, not below {one['below']:g}"


def _same(found: Any, wanted: Any) -> bool:
    """Templates and the command line make texts of numbers and truths, so those compare as they are written."""
    if isinstance(found, (list, dict)) or isinstance(wanted, (list, dict)):
        return bool(found == wanted)
    if isinstance(found, bool) or isinstance(wanted, bool):
        return _text(found).lower() == _text(wanted).lower()
    numbers = _number(found), _number(wanted)
    return _text(found) == _text(wanted) or (None not in numbers and numbers[0] == numbers[1])


def _number(found: Any) -> Optional[float]:
    if isinstance(found, bool):
        return None
    try:
        number = float(found)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found)


def _shown(found: Any) -> str:
    """A value short enough for a sentence; of lists and dictionaries only how long they are."""
    if isinstance(found, (list, dict)):
        return f"a {'list' if isinstance(found, list) else 'dictionary'} of {len(found)}"
    text = _text(found)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."
