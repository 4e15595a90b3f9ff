# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a run's record in the store, where it outlives the run: ``v1/runs/<target_id>/<time>-<run_id>.jsonl``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils._store.base import Store
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name


def keep_lines(store: Store, folders: Sequence[str]) -> list[str]:
    """Put the record of each target into the store; returns the keys. The same record makes the same object."""
    keys = []
    for path in _records(folders):
        with open(path, "rb") as record:
            text = record.read()
        try:
            header = json.loads(text.split(b"\n", 1)[0])
        except ValueError:  # the run was killed while it began here: there is nothing to keep
            continue
        began = header["started"].replace("-", "").replace(":", "")
        key = f"v1/runs/{target_name(header['target'])}/{began}-{header['run_id']}.jsonl"
        store.put(key, text)
        keys.append(key)
    return keys


def _records(folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".jsonl"):
                yield os.path.join(folder, name)
