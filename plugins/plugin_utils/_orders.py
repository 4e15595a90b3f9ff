# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: what the store says to a run at work: stop orders, and whether the lease is ours."""

from __future__ import annotations

import time
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Stopped
from ansible_collections.day2.ops.plugins.module_utils._store.stop import read_stop

RENEW_SECONDS = 60.0
# A store that does not answer must not keep a stop order of the next poll waiting.
PATIENCE_SECONDS = 8.0


class Orders:
    """Asked when a module starts and every few seconds while it works. Imports are heavy, so they wait until then."""

    def __init__(self, target: str, store: Mapping[str, Any], lease: Optional[Mapping[str, Any]]) -> None:
        self._target = target
        self._options = store
        self._lease = lease
        self._store: Any = None
        self._renewed: Optional[float] = None
        self._began = time.monotonic()

    def __call__(self) -> Optional[str]:
        """Why the work must stop, or None. A store that does not answer stops the work before the lease runs out."""
        from ansible_collections.day2.ops.plugins.module_utils._store import lease as leases
        from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

        try:
            if self._store is None:
                patience = Deadline(clock.after(clock.now(), PATIENCE_SECONDS))
                self._store = open_store(self._options, read_only=False, deadline=patience)
            order = read_stop(self._store, self._target, clock.now())
            if order is not None:
                return f"a stop was ordered for {order.scope}: {order.reason}"
            if self._lease and (self._renewed is None or time.monotonic() - self._renewed >= RENEW_SECONDS):
                began = time.monotonic()
                leases.renew(self._store, self._target, leases.Holder(**self._lease), clock.now())
                self._renewed = began
        except Stopped as lost:
            return str(lost)
        except OpsError as error:
            held = time.monotonic() - (self._began if self._renewed is None else self._renewed)
            if self._lease and held >= leases.TTL_SECONDS - RENEW_SECONDS:
                return f"the lease runs out because the store does not answer: {error}"
        return None
