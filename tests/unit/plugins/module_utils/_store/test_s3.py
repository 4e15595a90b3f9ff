# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only S3 can get wrong: its answers, its silences, and the client's settings."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.stub import ANY, Stubber

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    Stopped,
    StoreConflict,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreUnreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.module_utils._store.base import (
    MIB,
    ConditionalPutUnsupported,
    Store,
    probe_conditional,
)
from ansible_collections.day2.ops.plugins.module_utils._store.s3 import PART_BYTES, SENDS, S3Store
from ansible_collections.day2.ops.plugins.module_utils._store.s3_errors import translated
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab.s3 import S3

SECRET = "hunter2-is-a-secret"
KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": SECRET, "region": "eu-central-1"}


@pytest.fixture
def store(s3_params: dict[str, Any]) -> S3Store:
    opened = open_store(s3_params, read_only=False)
    assert isinstance(opened, S3Store)
    return opened


@pytest.fixture
def stubbed() -> Iterator[tuple[S3Store, Stubber]]:
    store = open_store({"store": "s3://bucket/day2", **KEYS, "session_token": SECRET}, read_only=False)
    assert isinstance(store, S3Store)
    with Stubber(store._client) as stubber:
        yield store, stubber


ANSWERS = [
    ("NoSuchBucket", 404, StoreMissing, "the bucket does not exist. Create it, or correct the option store."),
    ("NoSuchKey", 404, StoreMissing, "it is not there."),
    ("404", 404, StoreMissing, "it is not there."),
    (
        "AccessDenied",
        403,
        StoreDenied,
        "access is denied (AccessDenied). "
        "Grant s3:GetObject (and s3:ListBucket, without which a missing object looks forbidden) on it.",
    ),
    (
        "InvalidAccessKeyId",
        403,
        StoreDenied,
        "the store does not know the access key. Check access_key and secret_key, or the profile.",
    ),
    (
        "SignatureDoesNotMatch",
        403,
        StoreDenied,
        "the secret key does not belong to the access key. Check access_key and secret_key, or the profile.",
    ),
    (
        "ExpiredToken",
        400,
        StoreDenied,
        "the session token is not valid (any more). Renew the session token or log in again.",
    ),
    ("RequestTimeTooSkewed", 403, StoreDenied, "the clock of this host is wrong. Set the clock."),
    ("PreconditionFailed", 412, StoreConflict, "its state is not the one that was asked for."),
    ("ConditionalRequestConflict", 409, StoreConflict, "somebody else changes it at this moment."),
    ("SlowDown", 503, StoreUnreachable, "the store asks to slow down. Try again later."),
    (
        "ServiceUnavailable",
        503,
        StoreUnreachable,
        "the store is busy or failing (ServiceUnavailable). Try again later.",
    ),
    ("InternalError", 500, StoreUnreachable, "the store is busy or failing (InternalError). Try again later."),
    (
        "PermanentRedirect",
        301,
        StoreError,
        "the bucket is in another region. Set region to the bucket's own, and check endpoint_url.",
    ),
    ("NotImplemented", 501, StoreError, "the store answered NotImplemented: Said so."),
    ("QuotaExceeded", 507, StoreError, "the store answered QuotaExceeded: Said so."),
]


@pytest.mark.parametrize(("code", "status", "kind", "words"), ANSWERS, ids=[answer[0] for answer in ANSWERS])
def test_answers(stubbed: tuple[S3Store, Stubber], code: str, status: int, kind: type[StoreError], words: str) -> None:
    store, stubber = stubbed
    stubber.add_client_error("get_object", code, "Said\n so.", status)
    with pytest.raises(kind) as error:
        store.get("v1/a")
    assert type(error.value) is kind
    assert str(error.value) == f"Failed to read s3://bucket/day2/v1/a: {words}"
    assert SECRET not in repr(error.value)


def test_the_answer_names_the_right_region(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    answer = {
        "ResponseMetadata": {"HTTPStatusCode": 400},
        "Error": {"Code": "AuthorizationHeaderMalformed", "Region": "us-west-2"},
    }
    with pytest.raises(StoreError, match=r"another region\. Set region to us-west-2\.$"), translated("read", "x"):
        raise boto.ClientError(answer, "GetObject")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"Grant s3:ListBucket on it"):
        stubber.add_client_error("list_objects_v2", "AccessDenied", "", 403)
        list(store.list(""))


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("NotImplemented", 501, ConditionalPutUnsupported), ("NoSuchKey", 404, StoreConflict)],
)
def test_answers_to_a_condition(
    stubbed: tuple[S3Store, Stubber], code: str, status: int, kind: type[StoreError]
) -> None:
    store, stubber = stubbed
    stubber.add_client_error("put_object", code, "", status)
    with pytest.raises(kind):
        store.put("a", b"1", if_match='"etag"')


def test_the_condition_travels_with_the_end_of_a_large_put(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    at = {"Bucket": "bucket", "Key": "day2/a"}
    upload = {**at, "UploadId": "u"}
    for condition, option in (
        ({"IfMatch": '"e"'}, {"if_match": '"e"'}),
        ({"IfNoneMatch": "*"}, {"if_none_match": True}),
    ):
        stubber.add_response("create_multipart_upload", {"UploadId": "u"}, at)
        for number in (1, 2):
            expected = {**upload, "PartNumber": number, "Body": ANY, "ContentMD5": ANY}
            stubber.add_response("upload_part", {"ETag": f'"{number}"'}, expected)
        parts = [{"PartNumber": number, "ETag": f'"{number}"'} for number in (1, 2)]
        stubber.add_client_error(
            "complete_multipart_upload",
            "PreconditionFailed",
            "",
            412,
            expected_params={**upload, "MultipartUpload": {"Parts": parts}, **condition},
        )
        stubber.add_response("abort_multipart_upload", {}, upload)
        with pytest.raises(StoreConflict):
            store.put("a", b"x" * (PART_BYTES + 1), **option)  # type: ignore[arg-type]
    stubber.assert_no_pending_responses()


def test_an_abort_that_fails_does_not_hide_why(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    stubber.add_response("create_multipart_upload", {"UploadId": "u"})
    stubber.add_client_error("upload_part", "AccessDenied", "", 403)
    stubber.add_client_error("abort_multipart_upload", "SlowDown", "", 503)
    with pytest.raises(StoreDenied, match=r"Grant s3:PutObject on it"):
        store.put("a", b"x" * (PART_BYTES + 1))


def test_a_part_is_sent_again_but_not_for_ever(stubbed: tuple[S3Store, Stubber]) -> None:
    store, stubber = stubbed
    for failures in (SENDS - 1, SENDS):
        stubber.add_response("create_multipart_upload", {"UploadId": "u"})
        for _send in range(failures):
            stubber.add_client_error("upload_part", "SlowDown", "", 503)
        if failures == SENDS:
            stubber.add_response("abort_multipart_upload", {})
            with pytest.raises(StoreUnreachable, match="slow down"):
                store.put("a", b"x" * (PART_BYTES + 1))
            break
        for number in (1, 2):
            stubber.add_response("upload_part", {"ETag": f'"{number}"'})
        stubber.add_response("complete_multipart_upload", {"ETag": '"3"'})
        assert store.put("a", b"x" * (PART_BYTES + 1)).etag == '"3"'
    stubber.assert_no_pending_responses()


SILENCES: list[tuple[Exception, type[Exception], str]] = [
    (boto.EndpointConnectionError(endpoint_url=f"https://u:{SECRET}@s3:9000/b"), StoreUnreachable, "s3:9000 cannot be"),
    (boto.ConnectTimeoutError(endpoint_url="https://s3:9000/b"), StoreUnreachable, "s3:9000 cannot be reached"),
    (boto.ReadTimeoutError(endpoint_url="https://s3:9000/b"), StoreUnreachable, "s3:9000 did not answer in time"),
    (boto.ConnectionClosedError(endpoint_url="https://s3:9000/b"), StoreUnreachable, "the connection broke"),
    (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), StoreUnreachable, "the connection broke"),
    (boto.ProxyConnectionError(proxy_url=f"http://u:{SECRET}@proxy"), StoreUnreachable, "the proxy does not answer"),
    (boto.NoCredentialsError(), StoreDenied, "there are no complete credentials"),
    (boto.PartialCredentialsError(provider="env", cred_var=SECRET), StoreDenied, "there are no complete credentials"),
    (boto.CredentialRetrievalError(provider="x", error_msg=SECRET), StoreDenied, "could not be obtained"),
    (boto.UnauthorizedSSOTokenError(), StoreDenied, "could not be obtained"),
    (boto.ProfileNotFound(profile="x"), BadInput, r"^profile: "),
    (boto.SSLError(endpoint_url="https://s3", error="bad"), StoreUnreachable, r"TLS connection to s3 failed \(handsh"),
    (boto.ParamValidationError(report=SECRET), StoreError, "the AWS library reports ParamValidationError"),
]


@pytest.mark.parametrize(("silence", "kind", "words"), SILENCES, ids=[type(each[0]).__name__ for each in SILENCES])
def test_silences(silence: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as error, translated("read", "s3://bucket/a"):
        raise silence
    assert SECRET not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access_key": "A"}, r"^access_key: it is given without secret_key"),
        ({"secret_key": SECRET}, r"^secret_key: it is given without access_key"),
        ({**KEYS, "profile": "x"}, r"^profile: it cannot be combined"),
        ({"profile": "no-such-profile"}, r"^profile: the AWS configuration has no such profile"),
        ({**KEYS, "aws_ca_bundle": "/no/such.pem"}, r"^aws_ca_bundle: /no/such.pem is not there"),
        ({**KEYS, "endpoint_url": f"https://u:{SECRET}@s3"}, r"^endpoint_url: it contains credentials"),
        ({**KEYS, "endpoint_url": "s3.example.com"}, r"^endpoint_url: this is not a URL"),
    ],
)
def test_bad_options_name_themselves(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        open_store({"store": "s3://bucket", **options}, read_only=False)
    assert SECRET not in str(error.value)


def test_aliases_are_those_of_amazon_aws(s3: S3) -> None:
    names = {"aws_endpoint_url": "endpoint_url", "aws_region": "region", "aws_access_key_id": "access_key"}
    options = s3.options()
    params = {alias: options[name] for alias, name in names.items()}
    store = open_store({**params, "aws_secret_key": options["secret_key"], "store": s3.url("alias")}, read_only=False)
    store.put("a", b"1")
    assert [entry.key for entry in store.list("")] == ["a"]


def test_timeouts_follow_the_deadline(s3_params: dict[str, Any]) -> None:
    free = open_store(s3_params, read_only=True)
    assert isinstance(free, S3Store)
    assert (free._client.meta.config.connect_timeout, free._client.meta.config.read_timeout) == (10, 60)
    soon = Deadline(None)
    soon._stop = time.monotonic() + 8
    short = open_store(s3_params, read_only=True, deadline=soon)
    assert isinstance(short, S3Store)
    assert short._client.meta.config.read_timeout == pytest.approx(2, abs=0.5)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        store = open_store({"store": "s3://bucket", **KEYS, "endpoint_url": url}, read_only=True)
        with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:\d+ cannot be reached\. Check endpoint_url"):
            store.get("a")


def test_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme = pytest.importorskip("trustme")
    ca, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    for name, each in (("ca", ca), ("other", other)):
        each.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _address = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    params = {"store": "s3://bucket", **KEYS, "endpoint_url": f"https://127.0.0.1:{listener.getsockname()[1]}"}
    try:
        for bundle in (None, str(tmp_path / "other.pem")):
            with pytest.raises(StoreUnreachable, match=r"certificate verify failed: .*set aws_ca_bundle"):
                open_store({**params, "aws_ca_bundle": bundle}, read_only=True).get("a")
        with pytest.raises(StoreMissing):
            open_store({**params, "aws_ca_bundle": str(tmp_path / "ca.pem")}, read_only=True).get("a")
    finally:
        listener.close()


def test_a_small_object_carries_its_checksum(s3: S3, store: S3Store) -> None:
    stored = store.put("a", b"hello")
    s3.faults(flip_bits=1, methods=["GET"])
    with pytest.raises(StoreError, match="sha256 differs"):
        store.get("a")
    s3.faults(flip_bits=1, methods=["GET"])
    with pytest.raises(StoreError, match="sha256 differs"):
        list(store.stream("a"))
    assert store.get("a").etag == stored.etag


def test_a_stream_goes_on_after_a_broken_connection(s3: S3, store: S3Store) -> None:
    data = os.urandom(5 * MIB)
    stored = store.put("a", data)
    s3.faults(cut_bodies=2, methods=["GET"])
    assert b"".join(store.stream("a", sha256=stored.sha256)) == data
    s3.faults(cut_bodies=99, methods=["GET"])
    with pytest.raises(StoreUnreachable, match="the connection broke"):
        list(store.stream("a"))


def test_a_stream_never_mixes_two_objects(s3: S3, store: S3Store) -> None:
    store.put("a", b"1" * 5 * MIB)
    s3.faults(cut_bodies=1, methods=["GET"])
    stream = store.stream("a")
    next(stream)
    store.put("a", b"2" * 5 * MIB)
    with pytest.raises(StoreConflict):
        list(stream)


def test_a_busy_store_is_asked_again(s3: S3, store: S3Store) -> None:
    s3.faults(slow_down=2)
    store.put("a", b"1")


def test_a_store_that_ignores_conditions_is_found_out(s3: S3, store: S3Store) -> None:
    store.put("a", b"1")
    s3.faults(ignore_conditions=True)
    with pytest.raises(ConditionalPutUnsupported, match="ignores the conditions"):
        probe_conditional(store, "a", b"1")


def test_listings_have_pages(s3: S3, store: Store) -> None:
    assert isinstance(store, S3Store)
    for number in range(7):
        store.put(f"k{number}", b"")
    real = store._client.get_paginator

    class Small:
        def __init__(self, name: str) -> None:
            self._paginator = real(name)

        def paginate(self, **options: Any) -> Any:
            return self._paginator.paginate(**options, PaginationConfig={"PageSize": 3})

    store._client.get_paginator = Small
    s3.forget()
    assert [entry.key for entry in store.list("k")] == [f"k{number}" for number in range(7)]
    assert len(s3.requests()) == 3


def test_a_signal_ends_a_wait_for_the_store(s3: S3, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in handled}
    s3.faults(delay=8)
    try:
        Liveness().arm()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        with pytest.raises(Stopped, match="SIGTERM"):
            store.get("a")
        assert time.monotonic() - began < 4
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        s3.heal()
