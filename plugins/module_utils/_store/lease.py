# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run's claim on a target, kept in the store, so that two incompatible runs never overlap on it; and stop orders.

A lease is one object that only a conditional put can write. It expires by itself; its holder renews it. Clocks of hosts
that share a store must agree within the lease's length less the time between two renewals (nine minutes by default).
"""

from __future__ import annotations

import os
import re
import socket
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    Refused,
    Stopped,
    StoreConflict,
    StoreError,
)
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    ConditionalPutUnsupported,
    Store,
    find,
    from_json,
    probe_conditional,
    to_json,
)

SCHEMA = "day2.ops/lease/1"
TTL_SECONDS = 600.0
LEASES = "v1/leases/"
_ATTEMPTS = 5
_NAME = "lease.json"


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: the run, and the controller's process. ``claim`` is random, one for each claim.

    ``process_start`` is in clock ticks since boot, ``pid_ns`` the PID namespace (containers of one host share its boot
    id, not its process ids). Where there is no /proc they are empty, and only expiry frees the lease.
    """

    owner: str
    playbook: str
    host: str
    boot_id: str
    pid_ns: str
    pid: int
    process_start: int
    claim: str


@dataclass(frozen=True)
class Lease:
    target: str
    holder: Holder
    taken: datetime
    expires: datetime
    etag: str = ""

    @property
    def key(self) -> str:
        return lease_key(self.target)

    def held_by(self) -> str:
        """For people: owner, playbook, since and until when."""
        return (
            f"{self.holder.owner} (playbook {self.holder.playbook or 'unknown'}, on {self.holder.host}) since "
            f"{clock.iso(self.taken)}, until {clock.iso(self.expires)} unless renewed"
        )

    def over(self, now: datetime) -> str:
        """Why the lease does not hold any more, or the empty text."""
        if self.expires <= now:
            return f"expired {clock.iso(self.expires)}"
        return "its process is gone" if gone(self.holder) else ""

    def body(self) -> bytes:
        about = {"schema": SCHEMA, "taken": clock.iso(self.taken), "expires": clock.iso(self.expires)}
        return to_json({**about, **asdict(self.holder)})


def target_name(target: str) -> str:
    """``target`` itself if it can be a segment of a key; :class:`BadInput` otherwise."""
    if not re.fullmatch(r"[^\W_][\w.:@+=,-]*", target, re.ASCII) or len(target) > 200:
        raise BadInput(
            f"target_id: {target!r} cannot name a target in the store; use letters, digits and . _ : @ + = , - only, "
            "beginning with a letter or digit."
        )
    return target


def lease_key(target: str) -> str:
    return f"{LEASES}{target_name(target)}/{_NAME}"


def identity(owner: str, playbook: str = "", pid: Optional[int] = None) -> Holder:
    """A new claim of ``owner`` (``day2/<run_id>``), bound to the controller's process ``pid`` (default: this one)."""
    pid = pid or os.getpid()
    return Holder(
        owner=owner,
        playbook=playbook,
        host=socket.gethostname(),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        pid_ns=_pid_namespace(),
        pid=pid,
        process_start=_process(pid)[1],
        claim=uuid.uuid4().hex,
    )


def gone(holder: Holder) -> bool:
    """Whether the process is known to be gone: taken on this host, in this PID namespace, and not there any more."""
    if not holder.boot_id or holder.boot_id != _text("/proc/sys/kernel/random/boot_id"):
        return False
    if not holder.pid_ns or holder.pid_ns != _pid_namespace() or holder.process_start <= 0:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, so it is there; /proc may hide it
        pass
    state, start = _process(holder.pid)
    return state in ("Z", "X") or (start > 0 and start != holder.process_start)


def claim(store: Store, target: str, me: Holder, now: datetime, ttl: float = TTL_SECONDS) -> Lease:
    """Take the lease of ``target`` for ``ttl`` seconds; :class:`Refused` with the holder when somebody has it.

    A lease that is over is taken over. Claiming again with the same ``me`` renews it. :class:`Stopped` when the process
    that it would be bound to is gone: nobody would ever give it back.
    """
    if me.boot_id and me.process_start <= 0:
        raise Stopped("Stopped: the controller of this run is gone.")
    lease = Lease(target, me, now, now + timedelta(seconds=ttl))
    try:
        for _attempt in range(_ATTEMPTS):
            held = read_lease(store, target)
            if held is not None and held.holder.claim != me.claim and not held.over(now):
                raise Refused(
                    f"Failed to claim {target}: it is held by {held.held_by()}. Wait for that run or stop it."
                )
            try:
                stored = store.put(
                    lease.key, lease.body(), if_none_match=held is None, if_match=held.etag if held else None
                )
            except StoreConflict:  # somebody was faster, or the reply to our own put got lost: look again
                continue
            probe_conditional(store, lease.key, lease.body())
            return Lease(target, me, lease.taken, lease.expires, stored.etag)
    except ConditionalPutUnsupported:
        release(store, target, me, conditional=False)
        raise Refused(
            f"Failed to claim {target}: the store {store.location} ignores conditional puts (If-None-Match, If-Match), "
            "so two runs could overlap. Use a store that keeps them, or set ops_lease to false: then only the locks in "
            "the database keep runs apart."
        ) from None
    raise Refused(f"Failed to claim {target}: others claim and release it at this moment. Try again.")


def renew(store: Store, target: str, me: Holder, now: datetime, ttl: float = TTL_SECONDS) -> Lease:
    """Hold the lease for ``ttl`` more seconds; :class:`Stopped` when it is not ours any more."""
    for _attempt in range(2):
        held = read_lease(store, target)
        if held is None:
            raise Stopped(f"Stopped: the lease of {target} is lost; it is not in the store any more.")
        if held.holder.claim != me.claim:
            raise Stopped(f"Stopped: the lease of {target} is lost to {held.held_by()}.")
        lease = Lease(target, me, held.taken, now + timedelta(seconds=ttl))
        try:
            etag = store.put(lease.key, lease.body(), if_match=held.etag).etag
        except StoreConflict:
            continue
        return Lease(target, me, lease.taken, lease.expires, etag)
    raise Stopped(f"Stopped: the lease of {target} changes under our hands.")


def release(store: Store, target: str, me: Holder, *, conditional: bool = True) -> bool:
    """Give the lease back if it is ours; whether it was. ``conditional=False`` for a store without conditions."""
    held = read_lease(store, target)
    if held is None or held.holder.claim != me.claim:
        return False
    try:
        store.delete(held.key, if_match=held.etag if conditional else None)
    except StoreConflict:  # it had expired, and somebody took it over just now
        return False
    return True


def read_lease(store: Store, target: str) -> Optional[Lease]:
    """The lease as it is in the store, or None; :class:`StoreError` when it is none that we understand."""
    key = lease_key(target)
    got = find(store, key)
    if got is None:
        return None
    value = from_json(got.data, f"{store.location}/{key}")
    try:
        if value["schema"] != SCHEMA:
            raise ValueError
        holder = Holder(**{each.name: value[each.name] for each in fields(Holder)})
        return Lease(target, holder, clock.parse(value["taken"]), clock.parse(value["expires"]), got.etag)
    except (KeyError, ValueError, AttributeError, BadInput):
        raise StoreError(
            f"Failed to read {store.location}/{key}: this is not a lease that this version understands. "
            "Make sure that no run holds it, then delete it."
        ) from None


def leased_targets(store: Store) -> Iterator[str]:
    """The targets that have a lease object, over or not."""
    for entry in store.list(LEASES):
        target, _slash, name = entry.key[len(LEASES) :].partition("/")
        if name == _NAME:
            yield target


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, int]:
    """State letter and start time of a process; empty and 0 when they cannot be read."""
    # The command's name, in brackets, may hold anything, brackets and spaces too.
    values = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (values[0], int(values[19])) if len(values) > 19 else ("", 0)
