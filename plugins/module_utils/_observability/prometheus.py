# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus, or what speaks its API: one number for one query."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Mapping, NoReturn, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._observability.service import Answer, Service

QUERY = "/api/v1/query"


@dataclass(frozen=True)
class Number:
    """What a query came to. Without a value, ``why`` says in half a sentence what it came to instead."""

    value: Optional[float]
    why: str = ""


class Prometheus:
    """Asks questions of the server that option ``option`` describes (see ``service.http_options``)."""

    def __init__(self, params: Mapping[str, Any], option: str = "prometheus") -> None:
        self._service = Service("Prometheus", option, params)
        self._timeout = params["timeout"]

    def number(self, query: str) -> Number:
        """The one number that ``query`` comes to now.

        Raises :class:`BadInput` for a query that the server refuses, :class:`Refused` where it refuses us, and
        :class:`Unreachable` when it gives no answer.
        """
        asked = {"query": query, "timeout": f"{self._timeout:g}s"}
        return one_number(self._data(self._service.get(QUERY, asked)))

    def _data(self, answer: Answer) -> Any:
        """What a good answer holds; an error with one clear sentence for every other one."""
        if answer.status != 200:
            self._refused(answer)
        try:
            return json.loads(answer.body)["data"]
        except (ValueError, KeyError, TypeError):
            self._fail(OpsError, f"what answers is not Prometheus; check {self._service.option}.url")

    def _refused(self, answer: Answer) -> NoReturn:
        option, status = self._service.option, answer.status
        if status in (400, 422):
            self._fail(BadInput, f"it does not take the query: {_said(answer) or f'HTTP {status}'}")
        if status in (401, 403):
            how = f"{option}.token, or {option}.username and {option}.password"
            self._fail(Refused, f"it does not let us in (HTTP {status}); check {how}")
        if status == 429 or status >= 500:
            said = _said(answer)
            self._fail(Unreachable, f"it cannot answer now (HTTP {status}{f': {said}' if said else ''})")
        self._fail(OpsError, f"it has no such page (HTTP {status}); check {option}.url")

    def _fail(self, kind: type[OpsError], why: str) -> NoReturn:
        raise kind(f"Failed to ask Prometheus at {self._service.url}: {why}.")


def one_number(data: Any) -> Number:
    """The number in the ``data`` of an answer, or why there is none. Pure.

    >>> one_number({"resultType": "vector", "result": []})
    Number(value=None, why='the query finds nothing')
    """
    try:
        kind, result = data["resultType"], data["result"]
        if kind not in ("vector", "scalar"):
            return Number(None, f"the query comes to a {kind}, not to a number")
        if kind == "vector" and len(result) != 1:
            many = f"the query finds {len(result)} series; make them one, with min() or sum()"
            return Number(None, many if result else "the query finds nothing")
        if kind == "vector" and "value" not in result[0]:
            return Number(None, "the query comes to a histogram, not to a number")
        value = float(result[1] if kind == "scalar" else result[0]["value"][1])
    except (KeyError, IndexError, TypeError, ValueError):
        return Number(None, "the answer has an unknown form")
    return Number(value) if math.isfinite(value) else Number(None, f"the query comes to {value}, not to a number")


def _said(answer: Answer) -> str:
    """The server's own words, on one line and not too many of them."""
    try:
        return " ".join(str(json.loads(answer.body)["error"]).split())[:300].rstrip(".")
    except (ValueError, KeyError, TypeError):
        return ""
