# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in S3 or something that speaks like it. The only place where AWS clients are made."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Iterable, Iterator, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    OpsError,
    StoreError,
    StoreUnreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    CHUNK,
    GET_LIMIT,
    MIB,
    Data,
    Entry,
    Got,
    Partial,
    Stored,
    check_key,
    chunks,
)
from ansible_collections.day2.ops.plugins.module_utils._store.s3_errors import translated
from ansible_collections.day2.ops.plugins.module_utils._store.spec import S3Location

ATTEMPTS = 4
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
RESUMES = 3
# While it sends, urllib3 bears a silence of CONNECT_SECONDS only: a store that is silent for a minute outlasts all of
# boto3's attempts. A part is worth more: it is sent up to so many times, begun within so many seconds.
SENDS, SEND_SECONDS = 3, 120.0
# S3 allows 10 000 parts: they double in size every 1250 of them, so 2.4 TiB fit and 10 GiB need 16 MiB of memory.
PART_BYTES, PARTS_PER_SIZE = 8 * MIB, 1250
FOREVER = datetime.max.replace(tzinfo=timezone.utc)


def connect(options: Mapping[str, Optional[str]], *, read_only: bool, deadline: Deadline, service: str = "s3") -> Any:
    """A boto3 client. TLS is verified always; with ``read_only`` it refuses whatever is not a read."""
    _check(options)
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        missing_library("boto3", sys.executable)
    left = deadline.left()
    share = READ_SECONDS if left is None else max(1.0, left / ATTEMPTS)
    try:
        config = Config(
            connect_timeout=min(CONNECT_SECONDS, share),
            read_timeout=min(READ_SECONDS, share),
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # Content-MD5 guards each request instead: the newer checksums are unknown to many S3-compatible stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
    except TypeError:
        missing_library("boto3>=1.36", sys.executable)
    with translated("open", "the store"):
        session: Any = boto3.session.Session(
            aws_access_key_id=options["access_key"],
            aws_secret_access_key=options["secret_key"],
            aws_session_token=options["session_token"],
            profile_name=options["profile"],
            region_name=options["region"] or os.environ.get("AWS_REGION"),
        )
        try:
            client = session.client(
                service, endpoint_url=options["endpoint_url"], verify=options["aws_ca_bundle"], config=config
            )
        except ValueError:
            raise BadInput("endpoint_url: this is not a URL; write it like https://s3.example.com.") from None
    client.meta.events.register_first(f"needs-retry.{service}", _do_not_retry_a_stop)
    if read_only:
        client.meta.events.register_first(f"provide-client-params.{service}", _refuse_changes)
    return client


def _check(options: Mapping[str, Optional[str]]) -> None:
    if bool(options["access_key"]) != bool(options["secret_key"]):
        given, other = ("access_key", "secret_key") if options["access_key"] else ("secret_key", "access_key")
        raise BadInput(f"{given}: it is given without {other}; set both or neither.")
    if options["profile"] and options["access_key"]:
        raise BadInput("profile: it cannot be combined with access_key; set one of them.")
    bundle = options["aws_ca_bundle"]
    if bundle and not os.path.exists(bundle):
        raise BadInput(f"aws_ca_bundle: {bundle} is not there; give the path of a PEM file.")
    if "@" in urlsplit(options["endpoint_url"] or "").netloc:
        raise BadInput("endpoint_url: it contains credentials; use access_key and secret_key.")


def _refuse_changes(model: Any, **_others: Any) -> None:
    if not model.name.startswith(("Get", "List", "Head", "Describe")):
        raise AssertionError(f"contract violation: {model.name} on a client made for reading")


def _do_not_retry_a_stop(caught_exception: Optional[Exception] = None, **_others: Any) -> None:
    """A signal's Stopped, raised while the HTTP library waits, comes wrapped as a network error: unwrap it."""
    cause = getattr(caught_exception, "kwargs", {}).get("error")
    if isinstance(cause, OpsError):
        raise cause


class S3Store:
    """``etag`` is S3's. A small object's sha256 is in its metadata; a large one's only in what ``put`` returns, because
    S3 takes metadata before the data."""

    def __init__(self, location: S3Location, client: Any, *, deadline: Deadline) -> None:
        self.location = str(location)
        self._prefix = f"{location.prefix}/" if location.prefix else ""
        self._bucket = location.bucket
        self._client = client
        self._deadline = deadline

    def put(self, key: str, data: Data, *, if_none_match: bool = False, if_match: Optional[str] = None) -> Stored:
        where = self._at(key)
        condition = {"IfNoneMatch": "*"} if if_none_match else {"IfMatch": if_match} if if_match is not None else {}
        digest, size = hashlib.sha256(), 0
        parts = _split(chunks(data))
        first = next(parts)
        second = next(parts, None)
        digest.update(first)
        size += len(first)
        if second is None:
            with translated("write", self._url(key), conditional=bool(condition)):
                done = self._client.put_object(
                    **where, Body=first, ContentMD5=_md5(first), Metadata={"sha256": digest.hexdigest()}, **condition
                )
            return Stored(key, size, digest.hexdigest(), done["ETag"])

        with translated("write", self._url(key)):
            upload = {**where, "UploadId": self._client.create_multipart_upload(**where)["UploadId"]}
        with contextlib.ExitStack() as undo:
            undo.callback(self._abort, key, upload)
            sent = [self._part(key, upload, 1, first)]
            del first
            body: Optional[bytes] = second
            del second
            while body is not None:
                digest.update(body)
                size += len(body)
                sent.append(self._part(key, upload, len(sent) + 1, body))
                del body  # before the next one is filled
                body = next(parts, None)
            with translated("write", self._url(key), conditional=bool(condition)):
                done = self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent}, **condition)
            undo.pop_all()
        return Stored(key, size, digest.hexdigest(), done["ETag"])

    def _part(self, key: str, upload: Mapping[str, str], number: int, body: bytes) -> dict[str, Any]:
        began, sends = time.monotonic(), 0
        while True:
            self._deadline.check()
            try:
                with translated("write", self._url(key)):
                    done = self._client.upload_part(**upload, PartNumber=number, Body=body, ContentMD5=_md5(body))
                return {"PartNumber": number, "ETag": done["ETag"]}
            except StoreUnreachable:
                sends += 1
                if sends >= SENDS or time.monotonic() - began > SEND_SECONDS:
                    raise

    def _abort(self, key: str, upload: Mapping[str, str]) -> None:
        try:
            with translated("abort the upload of", self._url(key)):
                self._client.abort_multipart_upload(**upload)
        except StoreError:  # the error that matters is on its way; store_sweep removes what stays
            pass

    def get(self, key: str) -> Got:
        with translated("read", self._url(key)):
            found = self._client.get_object(**self._at(key))
            data: bytes = found["Body"].read(GET_LIMIT + 1)
            found["Body"].close()
        if len(data) > GET_LIMIT:
            raise StoreError(f"Failed to read {self._url(key)}: it is larger than the 1 MiB such an object can have.")
        self._verify(key, hashlib.sha256(data).hexdigest(), found["Metadata"].get("sha256"))
        return Got(data, found["ETag"])

    def stream(self, key: str, *, sha256: Optional[str] = None) -> Iterator[bytes]:
        url, where = self._url(key), self._at(key)
        with translated("read", url):
            found = self._client.get_object(**where)
        same = {"IfMatch": found["ETag"]}
        digest, read, resumes = hashlib.sha256(), 0, 0
        while True:
            if read > CHUNK:  # small objects are read late, too
                self._deadline.check()
            try:
                with translated("read", url, conditional=resumes > 0):
                    if found is None:  # the connection broke: go on from there, if it is still the same object
                        found = self._client.get_object(**where, **same, Range=f"bytes={read}-")
                    chunk = found["Body"].read(CHUNK)
            except StoreUnreachable:
                found, resumes = None, resumes + 1
                if resumes > RESUMES:
                    raise
                continue
            if not chunk:
                break
            digest.update(chunk)
            read += len(chunk)
            yield chunk
        self._verify(key, digest.hexdigest(), sha256 or found["Metadata"].get("sha256"))

    def _verify(self, key: str, found: str, wanted: Optional[str]) -> None:
        if wanted is not None and found != wanted:
            raise StoreError(
                f"Failed to read {self._url(key)}: its content has changed since it was written (sha256 differs)."
            )

    def list(self, prefix: str) -> Iterator[Entry]:
        for item in self._pages("list_objects_v2", "list", prefix, "Contents"):
            yield Entry(item["Key"][len(self._prefix) :], item["Size"], item["LastModified"])

    def delete(self, key: str, *, if_match: Optional[str] = None) -> None:
        condition = {} if if_match is None else {"IfMatch": if_match}
        with (
            translated("delete", self._url(key), conditional=bool(condition)),
            suppress(self._client.exceptions.NoSuchKey),
        ):
            self._client.delete_object(**self._at(key), **condition)

    def locked_until(self, key: str) -> Optional[datetime]:
        with translated("read the lock of", self._url(key)):
            head = self._client.head_object(**self._at(key))
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return FOREVER
        until: Optional[datetime] = head.get("ObjectLockRetainUntilDate")
        return until

    def partials(self, prefix: str) -> Iterator[Partial]:
        for item in self._pages("list_multipart_uploads", "list the uploads under", prefix, "Uploads"):
            yield Partial("upload", item["Key"][len(self._prefix) :], item["UploadId"], item["Initiated"])

    def drop(self, partial: Partial) -> None:
        with translated("abort the upload of", self._url(partial.key)), suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(**self._at(partial.key), UploadId=partial.id)

    def _pages(self, operation: str, verb: str, prefix: str, items: str) -> Iterator[Any]:
        pages = iter(self._client.get_paginator(operation).paginate(Bucket=self._bucket, Prefix=self._prefix + prefix))
        while True:
            with translated(verb, f"{self.location}/{prefix}"):
                page = next(pages, None)
            if page is None:
                return
            yield from page.get(items, [])

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _url(self, key: str) -> str:
        return f"{self.location}/{key}"


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes as multipart parts: all but the last of full size, and one (maybe empty) at least."""
    buffer, number, full = bytearray(), 0, PART_BYTES
    for piece in pieces:
        buffer += piece
        while len(buffer) >= full:
            with memoryview(buffer) as view:
                part = bytes(view[:full])
            del buffer[:full]
            yield part
            del part
            number += 1
            full = PART_BYTES << (number // PARTS_PER_SIZE)
    if buffer or number == 0:
        yield bytes(buffer)


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
