# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of objects, and which of them must stay."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    StoreConflict,
    StoreError,
    StoreMissing,
)
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    SetInfo,
    Store,
    keepers,
    read_manifest,
    write_set,
)

SET = "v1/backups/db1/20261121T020000Z"


def test_a_set_is_closed_by_its_manifest(store: Store) -> None:
    written = write_set(store, SET, {"base.tar": iter([b"ab", b"c"]), "wal/000.gz": [b""]}, lambda: {"schema": "x/1"})
    assert written == {
        "schema": "x/1",
        "parts": {
            "base.tar": {"size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()},
            "wal/000.gz": {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()},
        },
    }
    assert read_manifest(store, SET) == written
    assert [entry.key for entry in store.list(SET)] == [
        f"{SET}/base.tar",
        f"{SET}/manifest.json",
        f"{SET}/wal/000.gz",
    ]


def test_a_complete_set_is_not_written_over(store: Store) -> None:
    write_set(store, SET, {"base": [b"1"]}, dict)
    with pytest.raises(StoreConflict, match="complete already"):
        write_set(store, SET, {"base": [b"2"]}, dict)
    assert store.get(f"{SET}/base").data == b"1"


def test_a_set_that_fails_is_taken_away(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield b"1"
        raise ConnectionError("the dump broke")

    with pytest.raises(ConnectionError):
        write_set(store, SET, {"a": [b"1"], "b": broken()}, dict)
    assert list(store.list("")) == []
    with pytest.raises(StoreMissing, match="never completed"):
        read_manifest(store, SET)


def test_a_part_cannot_be_the_manifest(store: Store) -> None:
    with pytest.raises(BadInput, match=r"^parts: manifest\.json"):
        write_set(store, SET, {"manifest.json": [b"{}"]}, dict)


def test_a_manifest_that_is_none(store: Store) -> None:
    for data in (b"", b"{", b"[]", b'"x"', b"\xff", b"{}", b'{"parts": []}'):
        store.put(f"{SET}/manifest.json", data)
        with pytest.raises(StoreError, match=r"^Failed to read "):
            read_manifest(store, SET)


def backup(text: str) -> SetInfo:
    """``2026-11-20T02`` or ``2026-11-20T02 v`` for a verified one."""
    moment, _space, verified = text.partition(" ")
    return SetInfo(moment, datetime.strptime(moment, "%Y-%m-%dT%H").replace(tzinfo=timezone.utc), bool(verified))


@pytest.mark.parametrize(
    ("sets", "numbers", "kept"),
    [
        ([], {"daily": 7}, {}),
        (["2026-11-20T02"], {}, {"2026-11-20T02": "newest"}),
        (["2026-11-20T02 v"], {}, {"2026-11-20T02": "newest, newest verified"}),
        # The newest verified one stays, however old.
        (
            ["2020-01-01T02 v", "2026-11-19T02", "2026-11-20T02"],
            {"daily": 1},
            {"2020-01-01T02": "newest verified", "2026-11-20T02": "newest, daily 2026-11-20"},
        ),
        # Of a day, the newest; if one is verified, the newest verified.
        (
            ["2026-11-20T02", "2026-11-20T08", "2026-11-20T14"],
            {"daily": 3},
            {"2026-11-20T14": "newest, daily 2026-11-20"},
        ),
        (
            ["2026-11-20T02 v", "2026-11-20T08 v", "2026-11-20T14"],
            {"daily": 3},
            {"2026-11-20T14": "newest", "2026-11-20T08": "newest verified, daily 2026-11-20"},
        ),
        (
            ["2026-11-20T08 v", "2026-11-20T14"],
            {"daily": 3, "prefer_verified": False},
            {"2026-11-20T14": "newest, daily 2026-11-20", "2026-11-20T08": "newest verified"},
        ),
        # Days without sets do not count.
        (
            ["2026-01-01T02", "2026-03-01T02", "2026-11-20T02"],
            {"daily": 2},
            {"2026-11-20T02": "newest, daily 2026-11-20", "2026-03-01T02": "daily 2026-03-01"},
        ),
        # ISO weeks: Sunday belongs to the week before Monday, and the days after Christmas to their own year's week.
        (
            ["2026-11-15T02", "2026-11-16T02", "2026-11-22T02"],
            {"weekly": 2},
            {"2026-11-22T02": "newest, weekly 2026-W47", "2026-11-15T02": "weekly 2026-W46"},
        ),
        (
            ["2026-12-31T02", "2027-01-01T02"],
            {"weekly": 2, "monthly": 2},
            {"2027-01-01T02": "newest, weekly 2026-W53, monthly 2027-01", "2026-12-31T02": "monthly 2026-12"},
        ),
        (["2026-11-19T02", "2026-11-20T02"], {"daily": -1}, {"2026-11-20T02": "newest"}),
    ],
)
def test_keepers(sets: list[str], numbers: dict[str, int], kept: dict[str, str]) -> None:
    assert keepers([backup(each) for each in sets], **numbers) == kept  # type: ignore[arg-type]


def test_days_are_utc() -> None:
    late = SetInfo("late", datetime(2026, 11, 20, 1, tzinfo=timezone(timedelta(hours=2))))
    assert keepers([late], daily=1) == {"late": "newest, daily 2026-11-19"}


def test_keepers_hold_for_any_history() -> None:
    chance = random.Random(20261121)
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for _ in range(300):
        moments = {begin + timedelta(hours=chance.randrange(24 * 400)) for _ in range(chance.randrange(40))}
        sets = [SetInfo(moment.isoformat(), moment, chance.random() < 0.3) for moment in moments]
        numbers = {name: chance.randrange(5) for name in ("daily", "weekly", "monthly")}
        kept = keepers(sets, **numbers)
        chance.shuffle(sets)
        assert keepers(sets, **numbers) == kept
        assert len(kept) <= sum(numbers.values()) + 2
        # Deleting the rest changes nothing: the next run deletes nothing more.
        assert set(keepers([each for each in sets if each.id in kept], **numbers)) == set(kept)
        for group in (sets, [each for each in sets if each.verified]):
            if group:
                assert max(group, key=lambda each: each.taken).id in kept
