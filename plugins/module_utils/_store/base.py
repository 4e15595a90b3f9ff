# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store is, whichever it is: objects under keys, written whole or not at all; and the sets made of them.

Keys are relative to the store's location, with ``/`` between their segments (``v1/history/db1.json``). A set is the
objects under one prefix; it is complete once its ``manifest.json``, written last, is there.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Protocol, Union

from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    StoreConflict,
    StoreError,
    StoreMissing,
)

MIB = 1024 * 1024
GET_LIMIT = 1 * MIB
CHUNK = 1 * MIB
MANIFEST = "manifest.json"
MANIFEST_LIMIT = 64 * MIB
# How often another's change is waited out: those who write the same object at the same time are few.
TRIES = 5
Data = Union[bytes, Iterable[bytes]]


class ConditionalPutUnsupported(StoreError):
    """The store does not refuse a put whose condition does not hold, so it cannot say who was first."""


@dataclass(frozen=True)
class Stored:
    """What a put wrote: ``size`` in bytes, ``sha256`` in hex, ``etag`` for later conditions."""

    key: str
    size: int
    sha256: str
    etag: str


@dataclass(frozen=True)
class Got:
    data: bytes
    etag: str


@dataclass(frozen=True)
class Entry:
    """One object of a listing: ``size`` in bytes, ``modified`` aware."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Partial:
    """What an unfinished put left: ``kind`` is upload (S3) or file (folder), ``key`` where it was to go."""

    kind: str
    key: str
    id: str
    started: datetime


class Store(Protocol):
    """A bucket's prefix or a folder. Failures are the ``Store*`` errors; a wrong key is :class:`BadInput`."""

    location: str

    def put(self, key: str, data: Data, *, if_none_match: bool = False, if_match: Optional[str] = None) -> Stored:
        """Write an object whole or not at all, in bounded memory; :class:`StoreConflict` when the condition fails."""

    def get(self, key: str) -> Got:
        """A small object (up to 1 MiB); :class:`StoreMissing` without it."""

    def stream(self, key: str, *, sha256: Optional[str] = None) -> Iterator[bytes]:
        """An object of any size in chunks; :class:`StoreError` at the end when it does not have that checksum."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """The objects whose keys start with ``prefix``, in order of their keys."""

    def delete(self, key: str, *, if_match: Optional[str] = None) -> None:
        """Remove an object; one that is gone already is fine, another one than ``if_match`` a conflict."""

    def locked_until(self, key: str) -> Optional[datetime]:
        """Until when the store refuses to remove an object (object lock); the end of time for a legal hold."""

    def partials(self, prefix: str) -> Iterator[Partial]:
        """What unfinished puts to keys starting with ``prefix`` left, of running puts too."""

    def drop(self, partial: Partial) -> None:
        """Remove what an unfinished put left; gone already is fine."""


def check_key(key: str) -> str:
    """``key`` itself if it is one: no empty or hidden segment (so no ``..``), no leading slash, 900 bytes at most."""
    segments = key.split("/")
    if (
        not all(segment and segment[0] != "." and len(segment.encode()) <= 200 for segment in segments)
        or len(key.encode()) > 900
        or "\\" in key
        or not key.isprintable()
    ):
        raise BadInput(
            f"key: {key!r} cannot name an object; use segments that do not begin with a dot, with a slash between them."
        )
    return key


def chunks(data: Data) -> Iterable[bytes]:
    return [data] if isinstance(data, bytes) else data


def to_json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()


def from_json(data: bytes, what: str) -> dict[str, Any]:
    """The object in ``data``; :class:`StoreError` saying that ``what`` is none."""
    try:
        value = json.loads(data)
    except ValueError:  # neither JSON nor UTF-8
        value = None
    if not isinstance(value, dict):
        raise StoreError(f"Failed to read {what}: it is not a JSON object.")
    return value


def probe_conditional(store: Store, key: str, data: bytes) -> None:
    """Prove that the store refuses a put on the existing ``key``, which holds ``data``, when the condition fails.

    Some stores say they know the conditions and some ignore them: :class:`ConditionalPutUnsupported` for both.
    """
    for condition in ({"if_none_match": True}, {"if_match": '"00000000000000000000000000000000"'}):
        try:
            store.put(key, data, **condition)
        except StoreConflict:
            continue
        raise ConditionalPutUnsupported(
            f"Failed to write {store.location}/{key} safely: the store ignores the conditions of a put. "
            "Use a store that supports If-None-Match and If-Match."
        )


def find(store: Store, key: str) -> Optional[Got]:
    """A small object, or None where there is none."""
    try:
        return store.get(key)
    except StoreMissing:
        return None


def change_json(
    store: Store, key: str, change: Callable[[Optional[dict[str, Any]]], Optional[Mapping[str, Any]]]
) -> Mapping[str, Any]:
    """Write what ``change`` makes of a JSON object, which is None where there is none; the object as it is then.

    ``change`` makes None of what is to stay as it is. When somebody else wrote meanwhile it is asked again, with what
    is there then.
    """
    for _try in range(TRIES):
        got = find(store, key)
        old = from_json(got.data, f"{store.location}/{key}") if got else None
        value = change(old)
        if value is None:
            return old or {}
        # Without indentation: such objects hold many small points, and what is read back is 1 MiB at most.
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        try:
            if got is None:
                store.put(key, data, if_none_match=True)
            else:
                store.put(key, data, if_match=got.etag)
        except StoreConflict:
            continue
        return value
    raise StoreError(f"Failed to write {store.location}/{key}: it changes under our hands.")


def write_set(
    store: Store, prefix: str, parts: Mapping[str, Iterable[bytes]], manifest: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Write ``parts`` (name to content) under ``prefix``, then the manifest, which makes the set complete.

    ``manifest`` is called once the parts are written. Returns the manifest as written: what it says, with
    ``parts: {name: {size, sha256}}``. A set that is complete already is :class:`StoreConflict`. When it fails, the
    parts that are there are taken away again as far as the store lets us.
    """
    if any(entry.key for entry in store.list(f"{prefix}/{MANIFEST}")):
        raise StoreConflict(f"Failed to write {store.location}/{prefix}: this set is complete already.")
    written: dict[str, Stored] = {}
    with contextlib.ExitStack() as undo:
        undo.callback(_take_back, store, written)
        for name, content in parts.items():
            if name == MANIFEST:
                raise BadInput(f"parts: {MANIFEST} is the manifest's own name; call the part something else.")
            written[name] = store.put(f"{prefix}/{name}", content)
        whole = {**manifest(), "parts": {name: {"size": p.size, "sha256": p.sha256} for name, p in written.items()}}
        store.put(f"{prefix}/{MANIFEST}", to_json(whole))
        undo.pop_all()
    return whole


def _take_back(store: Store, written: Mapping[str, Stored]) -> None:
    # Without a manifest they are no set; the error that matters is the first one.
    with contextlib.suppress(StoreError):
        for part in written.values():
            store.delete(part.key)


def read_manifest(store: Store, prefix: str) -> dict[str, Any]:
    """The manifest of a set; :class:`StoreMissing` when the set is not complete."""
    key = f"{prefix}/{MANIFEST}"
    data = bytearray()
    try:
        for chunk in store.stream(key):
            data += chunk
            if len(data) > MANIFEST_LIMIT:
                raise StoreError(f"Failed to read {store.location}/{key}: it is larger than a manifest can be.")
    except StoreMissing:
        raise StoreMissing(
            f"Failed to read the set {store.location}/{prefix}: it has no manifest, so it was never completed."
        ) from None
    manifest = from_json(bytes(data), f"{store.location}/{key}")
    if not isinstance(manifest.get("parts"), dict):
        raise StoreError(f"Failed to read {store.location}/{key}: it does not say which parts the set has.")
    return manifest


@dataclass(frozen=True)
class SetInfo:
    """A complete set, for :func:`keepers`: ``taken`` is aware."""

    id: str
    taken: datetime
    verified: bool = False


_PERIODS: dict[str, Callable[[datetime], str]] = {
    "daily": lambda day: day.strftime("%Y-%m-%d"),
    "weekly": lambda day: "{}-W{:02}".format(*day.isocalendar()[:2]),
    "monthly": lambda day: day.strftime("%Y-%m"),
}


def keepers(
    sets: Iterable[SetInfo], *, daily: int = 0, weekly: int = 0, monthly: int = 0, prefer_verified: bool = True
) -> dict[str, str]:
    """The ids of the complete sets that must stay, each with the reason.

    Of each of the newest ``daily`` days that have sets (UTC; likewise ISO weeks and months) the newest verified set
    stays, or the newest if none is verified. The newest set and the newest verified one stay whatever the numbers say.
    Days without sets do not count: when backups cease, the old ones stay.
    """
    newest_first = sorted(sets, key=lambda each: (each.taken, each.id), reverse=True)
    reasons: dict[str, list[str]] = {}
    for each in newest_first[:1]:
        reasons.setdefault(each.id, []).append("newest")
    for each in [each for each in newest_first if each.verified][:1]:
        reasons.setdefault(each.id, []).append("newest verified")
    for (word, label), count in zip(_PERIODS.items(), (daily, weekly, monthly)):
        best: dict[str, SetInfo] = {}
        for each in newest_first:
            period = label(each.taken.astimezone(timezone.utc))
            held = best.setdefault(period, each)
            if prefer_verified and each.verified and not held.verified:
                best[period] = each
        for period in list(best)[: max(count, 0)]:
            reasons.setdefault(best[period].id, []).append(f"{word} {period}")
    return {id_: ", ".join(why) for id_, why in reasons.items()}
