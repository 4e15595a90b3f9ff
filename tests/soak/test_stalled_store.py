# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store that says nothing for a minute in the middle of an upload, and then goes on."""

from __future__ import annotations

import time

import pytest

from tests.lab.processes import wait_until as until
from tests.unit.plugins.module_utils._backup.test_backup import place, random_rows, through

pytestmark = pytest.mark.lab
__all__ = ["place", "random_rows"]


def test_a_store_that_stalls_for_a_minute(random_rows, s3, lab):
    proxy = lab.proxy(s3)
    far = through(random_rows, s3, proxy)
    module = far.start()
    until(lambda: s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads"))
    proxy.stall()
    time.sleep(60)
    proxy.resume()
    result = module.result(180.0)
    assert result["error"] is None, result["msg"]
    assert len(far.sets()) == 1
    proxy.close()
