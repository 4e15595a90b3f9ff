# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which store, and how to reach it: the shared options, and the one way to open a store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

# Option names and aliases are those of amazon.aws.
_ALIASES: dict[str, list[str]] = {
    "endpoint_url": ["aws_endpoint_url"],
    "region": ["aws_region", "ec2_region"],
    "access_key": ["aws_access_key_id", "aws_access_key"],
    "secret_key": ["aws_secret_access_key", "aws_secret_key"],
    "session_token": ["aws_session_token"],
    "profile": ["aws_profile"],
    "aws_ca_bundle": [],
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True)
class S3Location:
    """``prefix`` without slashes at its ends; empty for the whole bucket."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True)
class FolderLocation:
    path: str

    def __str__(self) -> str:
        return self.path


def store_spec() -> ArgumentSpec:
    """The options of doc fragment ``_store``."""
    options: dict[str, dict[str, Any]] = {"store": {"type": "str"}}
    for name, aliases in _ALIASES.items():
        options[name] = {"type": "path" if name == "aws_ca_bundle" else "str", "aliases": aliases}
        options[name]["no_log"] = name in ("secret_key", "session_token")
    return ArgumentSpec(options)


def parse_location(store: str) -> Union[S3Location, FolderLocation]:
    """``s3://bucket/prefix`` or ``/absolute/path``; :class:`BadInput` otherwise. The text is never repeated: people
    write credentials into URLs."""
    if store.startswith("s3://"):
        bucket, _slash, prefix = store[len("s3://") :].partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise BadInput("store: the bucket's name is not valid; write it like s3://my-bucket/day2.")
        prefix = prefix.strip("/")
        if not prefix.isprintable() or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
            raise BadInput("store: the prefix has empty or dotted segments; write it like s3://my-bucket/day2.")
        return S3Location(bucket, prefix)
    if store.startswith("/") and store.isprintable() and ".." not in store.split("/"):
        return FolderLocation(store.rstrip("/") or "/")
    raise BadInput(
        "store: this is neither a bucket nor an absolute path; write it like s3://my-bucket/day2 or /var/lib/day2."
    )


def open_store(params: Mapping[str, Any], *, read_only: bool, deadline: Optional[Deadline] = None) -> Store:
    """The store that ``params`` (a module's parameters, or ``ops_store_options`` with ``store``) name.

    ``read_only`` (check mode) makes any change an AssertionError. ``deadline`` bounds timeouts and long transfers.
    """
    if not params.get("store"):
        raise BadInput("store: no store is given; set it like s3://my-bucket/day2 or /var/lib/day2.")
    location = parse_location(str(params["store"]))
    deadline = deadline or Deadline(None)
    if isinstance(location, FolderLocation):
        from ansible_collections.day2.ops.plugins.module_utils._store.folder import FolderStore

        return FolderStore(location, read_only=read_only, deadline=deadline)
    from ansible_collections.day2.ops.plugins.module_utils._store.s3 import S3Store, connect

    options = {
        name: next((str(params[key]) for key in (name, *aliases) if params.get(key)), None)
        for name, aliases in _ALIASES.items()
    }
    return S3Store(location, connect(options, read_only=read_only, deadline=deadline), deadline=deadline)
