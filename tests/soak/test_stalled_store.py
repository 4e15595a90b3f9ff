# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store that says nothing for a minute or more in the middle of an upload, and then goes on."""

from __future__ import annotations

import hashlib
import time

import pytest

from ansible_collections.day2.ops.plugins.module_utils._store.base import read_manifest
from ansible_collections.day2.ops.plugins.module_utils._store.s3 import READ_SECONDS
from tests.lab.processes import wait_until as until
from tests.unit.plugins.module_utils._backup.test_backup import place, random_rows, s3_place, through

pytestmark = pytest.mark.lab
__all__ = ["place", "random_rows"]


# The client itself waits for READ_SECONDS and then asks again.
@pytest.mark.parametrize("seconds", [60, READ_SECONDS + 40])
def test_a_store_that_stalls(random_rows, s3, lab, seconds):
    proxy, client = lab.proxy(s3), s3.client()
    far, near = through(random_rows, s3, proxy), s3_place(random_rows, s3)
    module = far.start()
    until(lambda: client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads"))
    proxy.stall()
    time.sleep(seconds)
    assert module.process.poll() is None, module.result()
    assert near.objects() == [], "it was over before the store fell silent"
    proxy.resume()
    result = module.result(180.0)
    assert result["error"] is None, result["msg"]
    (made,) = near.sets()
    told = read_manifest(near.store, made.prefix)
    assert {"name": "public.noise", "rows": 1000} in told["tables"]
    for name, part in told["parts"].items():
        whole = b"".join(near.store.stream(f"{made.prefix}/{name}"))
        assert (len(whole), hashlib.sha256(whole).hexdigest()) == (part["size"], part["sha256"])
    assert near.part(made, "database.dump").startswith(b"PGDMP")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=s3.bucket)
    proxy.close()
