# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in files and texts: PEM with any number of them, DER, PKCS#12."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from typing import TYPE_CHECKING, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

PEM = b"-----BEGIN"
MOST_BYTES = 16 << 20


def needs_library() -> None:
    """:class:`BadInput` where the library is missing. Also, it is loaded before the time of any work is taken."""
    try:
        import cryptography.hazmat.primitives.serialization.pkcs12
        import cryptography.x509  # noqa: F401
    except ImportError:
        missing_library("cryptography", sys.executable)


def from_file(path: str, passphrase: Optional[str] = None) -> list[Certificate]:
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise OpsError(f"Failed to read {path}: it has more than {MOST_BYTES >> 20} MB.")
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise OpsError(f"Failed to read {path}: {(error.strerror or str(error)).lower()}.") from error
    return parse(content, path, passphrase)


def from_text(text: str, what: str, passphrase: Optional[str] = None) -> list[Certificate]:
    """``text`` is PEM, or DER or PKCS#12 in base64."""
    content = text.encode()
    if PEM not in content:
        try:
            content = base64.b64decode(b"".join(content.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise OpsError(f"Failed to read {what}: it is neither PEM nor base64.") from error
    return parse(content, what, passphrase)


def parse(content: bytes, what: str, passphrase: Optional[str] = None) -> list[Certificate]:
    """All certificates, the first one first. Private keys beside them are not looked at."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        if PEM in content:
            return list(x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise OpsError(f"Failed to read {what}: there is no certificate in it that can be read.") from error
    try:
        return [x509.load_der_x509_certificate(content)]
    except ValueError:
        pass
    try:
        store = pkcs12.load_pkcs12(content, passphrase.encode() if passphrase else None)
    except ValueError as error:
        kinds = "neither PEM nor DER, nor PKCS#12 that opens with the passphrase given"
        raise OpsError(f"Failed to read {what}: it is {kinds}.") from error
    held = ([store.cert] if store.cert else []) + list(store.additional_certs)
    if not held:
        raise OpsError(f"Failed to read {what}: there is no certificate in it.")
    return [one.certificate for one in held]


def from_der(chain: tuple[bytes, ...], what: str) -> list[Certificate]:
    from cryptography import x509

    try:
        return [x509.load_der_x509_certificate(one) for one in chain]
    except ValueError as error:
        raise OpsError(f"Failed to read the certificate of {what}: {error}.") from error
