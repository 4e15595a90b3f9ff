# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the report takes from the store, and leaves there: records, memory, and the index of runs with their pages."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Optional, TypeVar

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, StoreConflict, StoreError
from ansible_collections.day2.ops.plugins.module_utils._report import index, past
from ansible_collections.day2.ops.plugins.module_utils._report.model import Past, Report, Target
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store, find, from_json
from ansible_collections.day2.ops.plugins.module_utils._store.history import TRIES, change_history, read_history
from ansible_collections.day2.ops.plugins.module_utils._store.lease import target_name

# A store in S3 answers in tens of milliseconds, and a run may have hundreds of targets.
_AT_ONCE = 8
T = TypeVar("T")


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


def without_store(report: Report, why_not: str = past.NO_STORE) -> Report:
    """The report when there is nothing to remember it by."""
    return _with_past(report, [Past(why_not=why_not) for _target in report.targets])


def recall(store: Store, report: Report) -> Report:
    """The report with what former runs left about each target. What cannot be read is said."""

    def look(target: Target) -> Past:
        try:
            history = read_history(store, target.target)
        except OpsError as error:
            return Past(why_not=past.unread(error))
        return past.past_of(history, target, report.playbook, report.run_id, _began(report, target))

    return _with_past(report, _at_once(look, report.targets))


def remember(store: Store, report: Report) -> None:
    """Leave to the next run what this one saw: the last status of each check, and a point for each that measures."""

    def write(target: Target) -> None:
        began = _began(report, target)
        change_history(
            store,
            target.target,
            lambda old: past.remembered(old, target, report.playbook, report.run_id, began),
        )

    _at_once(write, [target for target in report.targets if target.checks])


def keep_page(store: Store, report: Report, page: Optional[str]) -> None:
    """Put the page beside the index of runs, and its line into the index."""
    key = index.page_key(report) if page else None
    if page and key:
        with open(page, "rb") as made:
            store.put(key, made.read())
    entry = index.entry_of(report, key)
    entries = _change_index(store, lambda known: index.with_entry(known, entry))
    store.put(index.PAGE, index.render(entries).encode())


def _change_index(store: Store, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    for _try in range(TRIES):
        got = find(store, index.KEY)
        empty: dict[str, Any] = {"schema": index.SCHEMA, "runs": []}
        known = from_json(got.data, f"{store.location}/{index.KEY}") if got else empty
        if known.get("schema") != index.SCHEMA:
            raise StoreError(f"Failed to read {store.location}/{index.KEY}: this version does not understand it.")
        entries = change(known["runs"])
        data = json.dumps({"schema": index.SCHEMA, "runs": entries}, separators=(",", ":")).encode() + b"\n"
        try:
            if got is None:
                store.put(index.KEY, data, if_none_match=True)
            else:
                store.put(index.KEY, data, if_match=got.etag)
        except StoreConflict:
            continue
        return entries
    raise StoreError(f"Failed to write {store.location}/{index.KEY}: it changes under our hands.")


def _began(report: Report, target: Target) -> str:
    return target.started or report.started or report.generated


def _with_past(report: Report, pasts: Iterable[Past]) -> Report:
    targets = tuple(replace(target, past=known) for target, known in zip(report.targets, pasts))
    return replace(report, targets=targets)


def _at_once(work: Callable[[Target], T], targets: Sequence[Target]) -> list[T]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, targets))
