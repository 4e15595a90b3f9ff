# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: what the store says to a run at work: stop orders, and whether the lease is ours."""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Stopped, StoreError

RENEW_SECONDS = 60.0


class Orders:
    """Asked every few seconds while a module works. Heavy imports wait until then: short tasks do not pay for them."""

    def __init__(self, target: str, store: Mapping[str, Any], lease: Optional[Mapping[str, Any]]) -> None:
        self._target = target
        self._options = store
        self._lease = lease
        self._store: Any = None
        self._renewed = 0.0
        self._heard = time.monotonic()

    def __call__(self) -> Optional[str]:
        """Why the work must stop, or None. A store that does not answer stops the work once the lease has run out."""
        from ansible_collections.day2.ops.plugins.module_utils._store import lease as leases
        from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

        try:
            if self._store is None:
                self._store = open_store(self._options, read_only=False)
            order = leases.read_stop(self._store, self._target, clock.now())
            if order is not None:
                return f"a stop was ordered for {order.scope}: {order.reason}"
            if self._lease and time.monotonic() - self._renewed >= RENEW_SECONDS:
                leases.renew(self._store, self._target, leases.Holder(**self._lease), clock.now())
                self._renewed = time.monotonic()
            self._heard = time.monotonic()
        except Stopped as lost:
            return str(lost)
        except StoreError as error:
            if self._lease and time.monotonic() - self._heard >= leases.TTL_SECONDS:
                return f"the lease ran out because the store does not answer: {error}"
        return None
