# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection to the store is reset in the middle of one part of a long upload, once or until nobody tries again."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import StoreUnreachable
from ansible_collections.day2.ops.plugins.module_utils._store.base import MIB, Store
from ansible_collections.day2.ops.plugins.module_utils._store.s3 import ATTEMPTS, PART_BYTES, SENDS
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab.lab import Lab
from tests.lab.proxy import Proxy
from tests.lab.s3 import S3

pytestmark = pytest.mark.lab
KEY, PART, PARTS = "v1/backups/db/set/database.dump", 37, 41
QUERY = f"partNumber={PART}"
MARKER = f"{QUERY} HTTP".encode()


class Noise:
    """Bytes that no two parts have in common; ``digest`` is of those that were taken."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        source = random.Random(PART)
        for _piece in range(PARTS * PART_BYTES // MIB - 3):
            piece = source.randbytes(MIB)
            self.digest.update(piece)
            yield piece


@pytest.fixture
def proxy(s3: S3, lab: Lab) -> Iterator[Proxy]:
    with lab.proxy(s3) as made:
        yield made


@pytest.fixture
def store(s3: S3, proxy: Proxy) -> Store:
    endpoint = f"http://{proxy.host}:{proxy.port}"
    return open_store({**s3.options(), "store": s3.url(), "endpoint_url": endpoint}, read_only=False)


def sent(s3: S3) -> list[int]:
    """How each attempt at the part ended."""
    return [status for method, path, status in s3.requests() if method == "PUT" and path.endswith(QUERY)]


def left(s3: S3) -> list[Any]:
    """What there is in the bucket, asked of it without a proxy."""
    client = s3.client()
    objects = client.list_objects_v2(Bucket=s3.bucket).get("Contents", [])
    return [*objects, *client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])]


def test_a_reset_is_tried_again(s3: S3, proxy: Proxy, store: Store) -> None:
    proxy.reset_in(MARKER, PART_BYTES // 2)
    noise = Noise()
    stored = store.put(KEY, noise)
    assert sent(s3) == [0, 200]
    body = s3.client().get_object(Bucket=s3.bucket, Key=KEY)["Body"]
    found, size = hashlib.sha256(), 0
    for chunk in body.iter_chunks(MIB):
        found.update(chunk)
        size += len(chunk)
    assert stored.sha256 == noise.digest.hexdigest() == found.hexdigest()
    assert stored.size == size > PART * PART_BYTES
    assert sum(map(len, store.stream(KEY, sha256=stored.sha256))) == size
    assert [one["Key"] for one in left(s3)] == [KEY]


def test_a_store_that_always_resets_is_given_up_and_nothing_is_left(s3: S3, proxy: Proxy, store: Store) -> None:
    proxy.reset_in(MARKER, PART_BYTES // 2, times=1000)
    with pytest.raises(StoreUnreachable, match=rf"^Failed to write s3://{s3.bucket}/{KEY}: the connection broke \("):
        store.put(KEY, Noise())
    assert sent(s3) == [0] * ATTEMPTS * SENDS
    assert left(s3) == []
    proxy.resume()
    stored = store.put(KEY, b"the next one")
    assert store.get(KEY).data == b"the next one" and [one["Key"] for one in left(s3)] == [stored.key]
