# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What S3 can answer, as typed errors of one sentence each. Raw texts stay out where they could hold a secret."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import Any, Iterator, Optional
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    OpsError,
    StoreConflict,
    StoreDenied,
    StoreError,
    StoreMissing,
    StoreUnreachable,
)
from ansible_collections.day2.ops.plugins.module_utils._store.base import ConditionalPutUnsupported

_NOT_SO = "its state is not the one that was asked for"
_BUSY = "the store is busy or failing ({code})"
_LATER = "Try again later."
_KEYS = "Check access_key and secret_key, or the profile."
_TOKEN = ("the session token is not valid (any more)", "Renew the session token or log in again.")
# code -> (error, cause, remedy)
_CODES: dict[str, tuple[type[StoreError], str, str]] = {
    "NoSuchBucket": (StoreMissing, "the bucket does not exist", "Create it, or correct the option store."),
    "NoSuchKey": (StoreMissing, "it is not there", ""),
    "NoSuchUpload": (StoreMissing, "the upload is not there any more; somebody aborted it", ""),
    "InvalidAccessKeyId": (StoreDenied, "the store does not know the access key", _KEYS),
    "SignatureDoesNotMatch": (StoreDenied, "the secret key does not belong to the access key", _KEYS),
    "ExpiredToken": (StoreDenied, *_TOKEN),
    "ExpiredTokenException": (StoreDenied, *_TOKEN),
    "InvalidToken": (StoreDenied, *_TOKEN),
    "RequestTimeTooSkewed": (StoreDenied, "the clock of this host is wrong", "Set the clock."),
    "PreconditionFailed": (StoreConflict, _NOT_SO, ""),
    "ConditionalRequestConflict": (StoreConflict, "somebody else changes it at this moment", ""),
    "OperationAborted": (StoreConflict, "somebody else changes it at this moment", ""),
    "SlowDown": (StoreUnreachable, "the store asks to slow down", _LATER),
    "RequestTimeout": (StoreUnreachable, "the store waited too long for data", _LATER),
}
# HTTP status -> the same, for codes that are not listed (or, for HEAD, not sent).
_STATUSES: dict[int, tuple[type[StoreError], str, str]] = {
    401: (StoreDenied, "the store does not know these credentials ({code})", _KEYS),
    403: (StoreDenied, "access is denied ({code})", ""),
    404: (StoreMissing, "it is not there", ""),
    409: (StoreConflict, "somebody else changes it at this moment ({code})", ""),
    412: (StoreConflict, _NOT_SO, ""),
    429: (StoreUnreachable, _BUSY, _LATER),
    500: (StoreUnreachable, _BUSY, _LATER),
    502: (StoreUnreachable, _BUSY, _LATER),
    503: (StoreUnreachable, _BUSY, _LATER),
    504: (StoreUnreachable, _BUSY, _LATER),
}
_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301")
_GRANTS = {
    "write": "s3:PutObject",
    "read": "s3:GetObject (and s3:ListBucket, without which a missing object looks forbidden)",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
    "list the uploads under": "s3:ListBucketMultipartUploads",
    "abort the upload of": "s3:AbortMultipartUpload",
}


@contextmanager
def translated(verb: str, url: str, *, conditional: bool = False) -> Iterator[None]:
    """Failures of boto3 inside as ``Failed to <verb> <url>: <cause>. <remedy>``; ``conditional`` says that the request
    has a condition."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _refusal(error, verb, url, conditional) from None
    except (BotoCoreError, HTTPError) as error:
        raise _failure(error, verb, url) from None


def _sentence(verb: str, url: str, cause: str, remedy: str) -> str:
    return f"Failed to {verb} {url}: {cause}." + (f" {remedy}" if remedy else "")


def _refusal(error: Any, verb: str, url: str, conditional: bool) -> StoreError:
    """A botocore ClientError: the store has answered."""
    answer = error.response.get("Error", {})
    about = error.response.get("ResponseMetadata", {})
    code, status = str(answer.get("Code") or ""), int(about.get("HTTPStatusCode") or 0)
    if not status and code.isdigit():
        status = int(code)
    if code in _REGION or status == 301:
        region = answer.get("Region") or about.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        remedy = f"Set region to {region}." if region else "Set region to the bucket's own, and check endpoint_url."
        return StoreError(_sentence(verb, url, "the bucket is in another region", remedy))
    if conditional and (code == "NotImplemented" or status == 501):
        remedy = "Use a store that supports If-None-Match and If-Match."
        return ConditionalPutUnsupported(_sentence(verb, url, "the store has no conditional requests", remedy))
    kind, cause, remedy = _CODES.get(code) or _STATUSES.get(status) or (StoreError, "", "")
    if conditional and code in ("NoSuchKey", "404"):
        kind, cause, remedy = StoreConflict, "it is gone", ""
    if not cause:  # an answer we have no words for: its own, which name no credentials
        cause = f"the store answered {code or status}: " + " ".join(str(answer.get("Message", "")).split())[:200]
    if kind is StoreDenied and status == 403 and not remedy:
        remedy = f"Grant {_GRANTS[verb]} on it." if verb in _GRANTS else ""
    return kind(_sentence(verb, url, cause.format(code=code or status).rstrip(". "), remedy))


def _failure(error: Exception, verb: str, url: str) -> OpsError:
    """A BotoCoreError (or urllib3 error): there is no answer. Its text may hold a proxy's password: only parts."""
    from botocore import exceptions as boto

    details: dict[str, Any] = getattr(error, "kwargs", {})
    if isinstance(details.get("error"), OpsError):  # a stop that reached us inside the HTTP library
        return details["error"]  # type: ignore[no-any-return]
    endpoint = _host(details.get("endpoint_url"))
    if isinstance(error, boto.ProfileNotFound):
        return BadInput("profile: the AWS configuration has no such profile; correct the option or the configuration.")
    if isinstance(error, boto.NoRegionError):
        return BadInput("region: none is given, in the environment or in the AWS configuration; set it.")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError)):
        remedy = "Set access_key and secret_key, or profile, or give this host a role."
        return StoreDenied(_sentence(verb, url, "there are no complete credentials", remedy))
    if isinstance(error, (boto.CredentialRetrievalError, boto.SSOError, boto.TokenRetrievalError)):
        return StoreDenied(_sentence(verb, url, "the credentials could not be obtained", "Log in again."))
    if isinstance(error, boto.SSLError):
        why = re.search(r"certificate verify failed[^()\"']*", str(error))
        cause = f"the TLS connection to {endpoint} failed ({why.group().strip() if why else 'handshake'})"
        return StoreUnreachable(_sentence(verb, url, cause, "For a private CA set aws_ca_bundle."))
    if isinstance(error, boto.ProxyConnectionError):
        return StoreUnreachable(_sentence(verb, url, "the proxy does not answer", "Check HTTPS_PROXY and NO_PROXY."))
    if isinstance(error, (boto.ConnectTimeoutError, boto.EndpointConnectionError)):
        remedy = "Check endpoint_url, region and the network."
        return StoreUnreachable(_sentence(verb, url, f"{endpoint} cannot be reached", remedy))
    if isinstance(error, boto.ReadTimeoutError):
        return StoreUnreachable(_sentence(verb, url, f"{endpoint} did not answer in time", _LATER))
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)) or not isinstance(
        error, boto.BotoCoreError
    ):
        return StoreUnreachable(_sentence(verb, url, f"the connection broke ({type(error).__name__})", _LATER))
    return StoreError(_sentence(verb, url, f"the AWS library reports {type(error).__name__}", ""))


def _host(url: Optional[Any]) -> str:
    """The host and port of a URL, without what people put before them."""
    return urlsplit(str(url)).netloc.rpartition("@")[2] or "the store" if url else "the store"
