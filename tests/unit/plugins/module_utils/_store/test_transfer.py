# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transfers that are cut short, in bounded memory: both stores, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._store.base import MIB
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store

# stdin: the options. Shows "half" when half is through, then waits to be killed.
KILLED = """
import json, sys, time
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
def source():
    for _ in range(20):
        yield b"x" * 1048576
    print("half", flush=True)
    time.sleep(60)
open_store(json.loads(sys.stdin.readline()), read_only=False).put("v1/backups/db1/set/base", source())
"""

MEMORY = """
import json, resource, sys
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
store = open_store(json.loads(sys.stdin.readline()), read_only=False)
store.put("warm", b"up")
store.get("warm")
before = peak()
stored = store.put("big", (bytes([n % 256]) * 1048576 for n in range(200)))
size = sum(len(chunk) for chunk in store.stream("big", sha256=stored.sha256))
print(json.dumps({"size": size, "grown": peak() - before}))
"""


def test_a_killed_put_leaves_no_object_but_a_partial(params: dict[str, Any]) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(params) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()

    store = open_store(params, read_only=False)
    assert list(store.list("")) == []
    (partial,) = store.partials("v1/backups/")
    assert partial.key == "v1/backups/db1/set/base"
    store.drop(partial)
    store.drop(partial)
    assert list(store.partials("")) == []


def test_memory_is_bounded(params: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], input=json.dumps(params) + "\n", capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["size"] == 200 * MIB
    assert found["grown"] < 64 * MIB
