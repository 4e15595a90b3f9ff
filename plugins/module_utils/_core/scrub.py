# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes out of free text what must not be passed on: credentials, keys, addresses of people, values of rows.

No text that we write holds any of it. But errors of servers and libraries are passed on, and they quote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), put)
    for pattern, put in (
        (r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)", HIDDEN),
        (r"(\w://[^\s:/@]*):[^\s/]+@", rf"\1:{HIDDEN}@"),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", rf"\1 {HIDDEN}"),
        (r"(password|passwd|pwd|secret|secret_key|token|api_?key|passphrase|authorization|signature|credential)"
         r"(['\"]?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|(?!bearer|basic|\[hidden)[^\s,;)}&]+)", rf"\1\2{HIDDEN}"),
        (r"\b(AKIA|ASIA)[0-9A-Z]{16}\b", HIDDEN),
        (r"\bAGE-SECRET-KEY-1[0-9A-Z]+", HIDDEN),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", HIDDEN),
        # PostgreSQL quotes the row that it did not want.
        (r"(\bKey \([^)]*\)=)\(.*?\)(?= (?:already|is|conflicts)|$)", rf"\1({HIDDEN})"),
        (r"(\bFailing row contains )\(.*?\)(?=\.|$)", rf"\1({HIDDEN})"),
        (r"(\binvalid input syntax for [\w ]+: )\".*?\"(?=\s|$)", rf"\1{HIDDEN}"),
        (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+", HIDDEN),
    )
)  # fmt: skip
# Without one of these there is nothing to find. Plain searches: a pattern of all of them takes a hundred times as long.
_SUSPECT = (
    "private key", "://", "bearer", "basic", "passw", "pwd", "secret", "token", "apikey", "api_key", "passphrase",
    "authorization", "signature", "credential", "akia", "asia", "age-", "eyj", "key (", "failing row",
    "invalid input syntax", "@",
)  # fmt: skip


def suspect(text: str) -> bool:
    """Whether there may be something in ``text``; quick."""
    lowered = text.lower()
    return any(word in lowered for word in _SUSPECT)


def scrub(text: str) -> str:
    """``text`` without what must not be passed on.

    >>> scrub("connection to postgresql://app:hunter2@db/shop failed: password=hunter2")
    'connection to postgresql://app:[hidden]@db/shop failed: password=[hidden]'
    """
    if suspect(text):
        for pattern, put in _RULES:
            text = pattern.sub(put, text)
    return text


def flat(values: Any) -> dict[str, Any]:
    """Evidence and measures: one level of plain values, with their texts scrubbed; anything else is dropped."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(key): scrub(value) if isinstance(value, str) else value
        for key, value in values.items()
        if value is None or isinstance(value, (str, int, float, bool))
    }
