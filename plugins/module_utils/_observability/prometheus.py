# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus, or what speaks its API: one number for one query, the series that it finds, or their points over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._observability import series
from ansible_collections.day2.ops.plugins.module_utils._observability.api import Api

QUERY = "/api/v1/query"
QUERY_RANGE = "/api/v1/query_range"


@dataclass(frozen=True)
class Number:
    """What a query came to. Without a value, ``why`` says in half a sentence what it came to instead."""

    value: Optional[float]
    why: str = ""


class Prometheus:
    """Asks questions of the server that option ``option`` describes (see ``service.http_options``)."""

    def __init__(self, params: Mapping[str, Any], option: str = "prometheus") -> None:
        self._api = Api("Prometheus", option, params)
        self._timeout = params["timeout"]

    def number(self, query: str) -> Number:
        """The one number that ``query`` comes to now. Errors are those of :meth:`Api.ask`."""
        return one_number(self._told(QUERY, {"query": query})["data"])

    def instant(self, query: str, at: Optional[float] = None) -> series.Found:
        """What ``query`` finds, now or at a time (seconds of the epoch)."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        return self._found([self._told(QUERY, {"query": query, **moment})])

    def points(self, query: str, span: series.Span) -> series.Found:
        """What ``query`` comes to over time, asked for in as many parts as the server's limit takes."""
        asked = (
            {"query": query, "start": f"{part.start:.3f}", "end": f"{part.end:.3f}", "step": f"{part.step:.3f}"}
            for part in span.parts()
        )
        return self._found([self._told(QUERY_RANGE, one) for one in asked])

    def _told(self, path: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
        told = self._api.ask(path, {**asked, "timeout": f"{self._timeout:g}s"})
        if not isinstance(told, Mapping) or "data" not in told:
            raise self._api.another()
        return told

    def _found(self, answers: list[Mapping[str, Any]]) -> series.Found:
        try:
            return series.merge([series.parse(told) for told in answers])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise self._api.another() from None


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
