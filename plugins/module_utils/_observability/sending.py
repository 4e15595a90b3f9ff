# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a service that speaks HTTP: never in check mode, and as patiently as the service asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._observability.service import Answer, Service

# What a service answers that has taken nothing, and may later. After any other answer, sending again could send twice.
BUSY = (429, 503)
_PAUSE = 1.0


class Sender(Service):
    """A service to which something is sent.

    ``read_only`` (check mode) makes any sending an AssertionError. With ``secret_url`` whoever knows the address may
    send, as with the webhooks of chats: of such an address only the host is ever told, and it needs https.
    """

    def __init__(
        self, name: str, option: str, params: Mapping[str, Any], *, read_only: bool, secret_url: bool = False
    ) -> None:
        if secret_url and not _is_address(str(params["url"])):
            raise BadInput(f"{option}.url: this is no address; give the whole one, as https://hooks.example.com/…")
        given = {**params, "secret_headers": True} if secret_url else params
        super().__init__(name, option, given, page=secret_url)
        self._read_only = read_only
        if secret_url:
            self.url = "{0.scheme}://{0.netloc}".format(urlsplit(self._address))

    def send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        patience: float,
        wait: Callable[[float], object],
    ) -> Answer:
        """The last answer. While the service is busy it is asked again, when it says, for ``patience`` seconds."""
        if self._read_only:
            raise AssertionError(f"Contract violation: something would be sent to {self.name} in check mode")
        with self.session() as session:
            while True:
                answer = self._ask(session, method, self._address + path, self._end(), data=body, headers=headers)
                if answer.status not in BUSY:
                    return answer
                pause = pause_of(answer.retry_after, clock.now())
                if pause is None and answer.status != 429:
                    return answer
                pause = _PAUSE if pause is None else pause
                if pause > patience:
                    raise OpsError(
                        f"Failed to send to {self.name} at {self.url}: it is busy ({answer.status}) and asks to wait "
                        f"{pause:g} s, which is longer than the {patience:g} s that are left for it."
                    )
                patience -= max(pause, 0.1)
                wait(pause)


def pause_of(retry_after: str, now: datetime) -> Optional[float]:
    """The seconds that a ``Retry-After`` asks for, which is a number or a date; None for what is neither.

    >>> pause_of("30", clock.now()), pause_of("", clock.now()), pause_of("Sat, 21 Nov 2020 00:00:00 GMT", clock.now())
    (30.0, None, 0.0)
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except (TypeError, ValueError, IndexError):  # which of them depends on the version of Python
            return None
        if moment.tzinfo is None:  # "-0000": no zone is known
            return None
        seconds = (moment - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        return False
