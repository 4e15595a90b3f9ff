# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the work of retention stands on: who works, who watches, what holds the place, and what allows to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import preflight
from ansible_collections.day2.ops.plugins.module_utils._postgresql.brake import Brake
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session, connect
from ansible_collections.day2.ops.plugins.module_utils._postgresql.copying import SETTINGS
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import application_name
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.preflight import Server
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

_DURABLE = "SELECT reset_val AS value FROM pg_settings WHERE name = 'synchronous_commit'"
# A record that belongs to a transaction: its COMMIT waits until everything before it is safe, too.
_FLUSH = "SELECT pg_logical_emit_message(true, 'day2', '')"


@dataclass
class Site:
    """``worker`` changes things; ``control`` only reads and stops others. ``recipients``: the library's age keys.
    ``durable``: the value of synchronous_commit with which a COMMIT waits for the disk. ``doing``: the kind of action.
    """

    run: Run
    server: Server
    control: Session
    worker: Session
    locks: Locks
    brake: Brake
    store: Optional[Store] = None
    recipients: Sequence[Any] = ()
    durable: str = "on"
    doing: str = "work"
    same_server: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        self.same_server = preflight.same_server(self.run, self.server, fresh=preflight.IDENTITY_SECONDS)
        self.worker.control = self.control

    @property
    def chunks(self) -> Store:
        if self.store is None:
            raise AssertionError("Contract violation: an archive without a store")
        return self.store

    def begin(self, kind: str) -> None:
        """Whoever looks at the server's sessions sees what is being done."""
        self.doing = kind
        self.worker.configure(application_name=application_name(self.run.id, kind))

    def prepare(self, settings: Mapping[str, str]) -> None:
        """Set the worker up for one policy."""
        value = str(self.worker.rows(_DURABLE)[0]["value"])
        self.durable = "on" if value in ("off", "local") else value
        self.worker.configure(**settings, lc_monetary=SETTINGS["lc_monetary"])

    def allowed(self) -> None:
        """Whether the next batch may begin: raises Stopped, Expired, Braked or Unreachable when not."""
        self.run.live.check()
        self.run.deadline.check()
        self.locks.still_held()
        self.same_server()
        self.brake.clear()

    def look(self) -> None:
        """The same while nothing but waiting is done."""
        self.run.live.check()
        self.run.deadline.check()

    def reconnect(self, settings: Mapping[str, str]) -> Session:
        """A new worker, on the same server, which is asked anew."""
        self.worker.close()
        self.locks.still_held()
        preflight.same_server(self.run, self.server)()
        self.worker = connect(self.run, self.doing, act=True)
        self.worker.control = self.control
        self.prepare(settings)
        return self.worker

    def close(self) -> None:
        """The present worker, whichever it is."""
        self.worker.close()

    def flush(self) -> None:
        """Wait until everything that the worker has committed is safe on disk, and on synchronous standbys."""
        self.worker.configure(synchronous_commit=self.durable)
        self.worker.rows(_FLUSH)
        self.worker.configure(synchronous_commit="off")
