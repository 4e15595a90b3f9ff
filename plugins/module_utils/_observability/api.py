# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that answers questions in JSON: the answer, or an error with one clear sentence for every other outcome."""

from __future__ import annotations

import json
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._observability.service import Answer, Service


class Api:
    """Asks the service ``name`` that option ``option`` describes (see ``service.http_options``)."""

    def __init__(self, name: str, option: str, params: Mapping[str, Any]) -> None:
        self._service = Service(name, option, params)

    def ask(self, path: str, query: Mapping[str, Any], asked: str = "the query") -> Any:
        """What the answer holds. ``asked``: what the service may find fault with.

        Raises :class:`BadInput` for what the service does not understand, :class:`Refused` where it refuses us, and
        :class:`Unreachable` when it gives no answer.
        """
        answer = self._service.get(path, query)
        if answer.status != 200:
            raise self._refused(answer, asked)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise self.another() from None

    def another(self) -> OpsError:
        """The error for an answer of another form than the service's."""
        return self._error(OpsError, f"what answers is not {self._service.name}; check {self._service.named('url')}")

    def _error(self, kind: type[OpsError], why: str) -> OpsError:
        return kind(f"Failed to ask {self._service.name} at {self._service.url}: {why}.")

    def _refused(self, answer: Answer, asked: str) -> OpsError:
        named, status = self._service.named, answer.status
        if status in (400, 422):
            return self._error(BadInput, f"it does not take {asked}: {_said(answer) or f'HTTP {status}'}")
        if status in (401, 403):
            how = f"{named('token')}, or {named('username')} and {named('password')}"
            return self._error(Refused, f"it does not let us in (HTTP {status}); check {how}")
        if status == 429 or status >= 500:
            said = _said(answer)
            return self._error(Unreachable, f"it cannot answer now (HTTP {status}{f': {said}' if said else ''})")
        return self._error(OpsError, f"it has no such page (HTTP {status}); check {named('url')}")


def _said(answer: Answer) -> str:
    """The server's own words, on one line and not too many of them."""
    try:
        told = json.loads(answer.body)
        words = told if isinstance(told, str) else str(told["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return " ".join(words.split())[:300].rstrip(".")
