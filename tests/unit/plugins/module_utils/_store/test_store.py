# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The promises of a store, kept by both."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    Expired,
    StoreConflict,
    StoreError,
    StoreMissing,
)
from ansible_collections.day2.ops.plugins.module_utils._store.base import MIB, Store, check_key, probe_conditional
from ansible_collections.day2.ops.plugins.module_utils._store.s3 import PART_BYTES
from ansible_collections.day2.ops.plugins.module_utils._store.spec import (
    FolderLocation,
    S3Location,
    open_store,
    parse_location,
    store_spec,
)


class Ticks:
    """A clock that jumps past any deadline after some readings."""

    def __init__(self, readings: int) -> None:
        self.left = readings

    def __call__(self) -> float:
        self.left -= 1
        return 0.0 if self.left > 0 else 1e9


def keys(store: Store, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix)]


def test_what_is_put_comes_back(store: Store) -> None:
    stored = store.put("v1/a/b.json", b"hello")
    assert (stored.key, stored.size, stored.sha256) == ("v1/a/b.json", 5, hashlib.sha256(b"hello").hexdigest())
    got = store.get("v1/a/b.json")
    assert (got.data, got.etag) == (b"hello", stored.etag)
    assert b"".join(store.stream("v1/a/b.json", sha256=stored.sha256)) == b"hello"


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 5])
def test_sizes_around_a_part(store: Store, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    pieces = (data[start : start + 700_001] for start in range(0, size, 700_001))
    stored = store.put("big", pieces)
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert b"".join(store.stream("big", sha256=stored.sha256)) == data
    assert [(entry.key, entry.size) for entry in store.list("")] == [("big", size)]


def test_a_put_replaces(store: Store) -> None:
    store.put("a", b"1")
    store.put("a", b"2")
    assert store.get("a").data == b"2"


@pytest.mark.parametrize("size", [3, 2 * PART_BYTES])
def test_if_none_match_writes_once(store: Store, size: int) -> None:
    store.put("a", b"1" * size, if_none_match=True)
    with pytest.raises(StoreConflict, match=r"^Failed to write .*a: .*\.$"):
        store.put("a", b"2" * size, if_none_match=True)
    assert next(iter(store.stream("a")))[:1] == b"1"
    assert list(store.partials("")) == []


def test_if_match_writes_over_what_is_known(store: Store) -> None:
    first = store.put("a", b"1")
    second = store.put("a", b"2", if_match=first.etag)
    with pytest.raises(StoreConflict):
        store.put("a", b"3", if_match=first.etag)
    with pytest.raises(StoreConflict):
        store.put("missing", b"3", if_match=first.etag)
    assert store.get("a").data == b"2"
    assert store.put("a", b"4", if_match=second.etag).size == 1
    assert list(store.partials("")) == []


def test_delete(store: Store) -> None:
    stored = store.put("a", b"1")
    with pytest.raises(StoreConflict):
        store.delete("a", if_match="0" * 64)
    for _ in range(2):
        store.delete("a", if_match=stored.etag)
    store.delete("a")
    assert keys(store) == []


def test_conditions_are_proven(store: Store) -> None:
    store.put("a", b"1")
    probe_conditional(store, "a", b"1")
    assert store.get("a").data == b"1"


def test_missing(store: Store) -> None:
    with pytest.raises(StoreMissing, match=r"^Failed to read .*nothing"):
        store.get("nothing")
    with pytest.raises(StoreMissing):
        list(store.stream("nothing"))
    assert keys(store, "v1/nothing/") == []


def test_get_is_for_small_objects(store: Store) -> None:
    store.put("a", b"x" * (MIB + 1))
    with pytest.raises(StoreError, match="larger than the 1 MiB"):
        store.get("a")


def test_a_wrong_checksum_is_an_error_at_the_end(store: Store) -> None:
    store.put("a", b"1")
    stream = store.stream("a", sha256="0" * 64)
    assert next(stream) == b"1"
    with pytest.raises(StoreError, match="sha256 differs"):
        next(stream)


def test_list_is_ordered_like_s3_and_takes_any_prefix(store: Store) -> None:
    for key in ("a/b", "a-b", "a/b/c", "a.b", "b", "a/\u00e9", "a/z"):
        if key != "a/b":  # a folder cannot hold a file and a folder of one name
            store.put(key, b"12")
    assert keys(store) == ["a-b", "a.b", "a/b/c", "a/z", "a/\u00e9", "b"]
    assert keys(store, "a/") == ["a/b/c", "a/z", "a/\u00e9"]
    assert keys(store, "a") == ["a-b", "a.b", "a/b/c", "a/z", "a/\u00e9"]
    assert keys(store, "a/b") == ["a/b/c"]
    assert keys(store, "a/b/c") == ["a/b/c"]
    entry = next(iter(store.list("b")))
    assert entry.size == 2 and entry.modified.tzinfo is not None


def test_a_failing_source_leaves_nothing(store: Store) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * MIB
        raise ConnectionError("the dump broke")

    with pytest.raises(ConnectionError, match="the dump broke"):
        store.put("a", source())
    assert keys(store) == [] and list(store.partials("")) == []


def test_the_deadline_ends_transfers(params: dict[str, Any]) -> None:
    store = open_store(params, read_only=False)
    store.put("a", (b"x" * MIB for _ in range(20)))

    late = Deadline.parse("2999-01-01T00:00:00Z")
    late._ticks = Ticks(3)  # type: ignore[assignment]
    store = open_store(params, read_only=False, deadline=late)
    late._stop, late._ticks = 10.0, Ticks(3)  # type: ignore[assignment]
    with pytest.raises(Expired):
        store.put("b", (b"x" * MIB for _ in range(40)))
    late._ticks = Ticks(3)  # type: ignore[assignment]
    with pytest.raises(Expired):
        list(store.stream("a"))
    assert keys(store) == ["a"] and list(store.partials("")) == []

    late._ticks = Ticks(0)  # type: ignore[assignment]
    store.put("small", b"how it ended")
    assert store.get("small").data == b"".join(store.stream("small"))


def test_read_only_refuses_every_change(params: dict[str, Any]) -> None:
    open_store(params, read_only=False).put("a", b"1")
    store = open_store(params, read_only=True)
    assert store.get("a").data == b"1" and keys(store) == ["a"] and list(store.partials("")) == []
    for change in (
        lambda: store.put("a", b"2"),
        lambda: store.put("b", b"2" * 2 * PART_BYTES),
        lambda: store.delete("a"),
    ):
        with pytest.raises(AssertionError, match="contract violation"):
            change()
    assert store.get("a").data == b"1" and keys(store) == ["a"]


NO_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "a/./b",
    ".lock",
    "a/.partial-x",
    "a\\b",
    "a\nb",
    "a\0",
    "x" * 201,
    "a/" * 500 + "a",
]


def test_keys_that_are_none(store: Store) -> None:
    for key in NO_KEYS:
        for call in (store.get, store.delete, lambda key: store.put(key, b"")):
            with pytest.raises(BadInput, match=r"^key: "):
                call(key)


def test_a_key_is_returned_as_it_is() -> None:
    assert check_key("v1/backups/db-1.example.com:5432/20261121T020000Z/base.tar.zst")


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("s3://bucket", S3Location("bucket", "")),
        ("s3://bucket/", S3Location("bucket", "")),
        ("s3://my.bucket/a/b/", S3Location("my.bucket", "a/b")),
        ("/", FolderLocation("/")),
        ("/var/lib/day2/", FolderLocation("/var/lib/day2")),
    ],
)
def test_locations(text: str, location: object) -> None:
    assert parse_location(text) == location


@pytest.mark.parametrize(
    "text",
    [
        "",
        "var/day2",
        "~/day2",
        "s3:/bucket",
        "s3://",
        "s3:///a",
        "s3://b",
        "s3://key:hunter2@bucket/a",
        "gs://bucket",
        "https://key:hunter2@s3/b",
        "/a/../b",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/a\nb",
    ],
)
def test_locations_that_are_none_name_the_option_and_no_secret(text: str) -> None:
    with pytest.raises(BadInput, match=r"^store: .*; write it like s3://my-bucket/day2") as error:
        parse_location(text)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("params", [{}, {"store": None}, {"store": ""}])
def test_no_store(params: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"^store: no store is given"):
        open_store(params, read_only=True)


def test_secrets_are_not_logged() -> None:
    options = store_spec().argument_spec
    assert {name for name, option in options.items() if option.get("no_log")} == {"secret_key", "session_token"}
    assert options["access_key"]["no_log"] is False
    assert all(re.fullmatch(r"[a-z_0-9]+", name) for name in options)
