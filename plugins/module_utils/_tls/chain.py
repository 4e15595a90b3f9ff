# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from a certificate up to a trusted one: for files, whose chain nobody else judges, and for words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.trust import trusted_file
from ansible_collections.day2.ops.plugins.module_utils._tls import read

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LONGEST = 10


@dataclass(frozen=True)
class Way:
    """``path``: from the leaf as far up as it goes. ``trouble``: why that does not reach a trusted one; "": it does."""

    path: tuple[Certificate, ...]
    trouble: str = ""


@lru_cache(maxsize=16)
def trusted(ca_cert: Optional[str]) -> tuple[Certificate, ...]:
    """The trusted certificates; none where there is no list of them."""
    path = trusted_file(ca_cert)
    if path is None:
        return ()
    try:
        return tuple(read.from_file(path))
    except OpsError as error:
        raise OpsError(f"{error} Give a file with trusted CAs as ca_cert.") from error


def way(leaf: Certificate, sent: Sequence[Certificate], anchors: Sequence[Certificate], now: datetime) -> Way:
    """The first way that leads to one of ``anchors``, else the first one, with its trouble.

    Signatures, dates and the right to issue are looked at; constraints on names and policies are not.
    """
    return _up((leaf,), [one for one in sent if one != leaf], anchors, now)


def _up(
    path: tuple[Certificate, ...], sent: Sequence[Certificate], anchors: Sequence[Certificate], now: datetime
) -> Way:
    last = path[-1]
    trouble = _trouble(last, len(path) - 1, now)
    if trouble or last in anchors:
        return Way(path, trouble)
    first = None
    for issuer in (*anchors, *sent):
        if issuer.subject == last.issuer and issuer not in path and len(path) < LONGEST and _issued(last, issuer):
            found = _up((*path, issuer), sent, anchors, now)
            if not found.trouble:
                return found
            first = first or found
    if first:
        return first
    if last.issuer != last.subject:
        return Way(path, f"incomplete: the issuer {name(last.issuer)} is neither sent along nor trusted")
    return Way(path, "self-signed" if len(path) == 1 else f"its root {name(last.subject)} is not trusted")


def _trouble(certificate: Certificate, above: int, now: datetime) -> str:
    """``above``: how many certificates there are below it on the path."""
    role = "root" if self_signed(certificate) else "intermediate"
    which = f"the {role} {name(certificate.subject)}" if above else "it"
    if certificate.not_valid_after_utc < now:
        return f"{which} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"{which} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return f"{which} may not issue certificates" if above and not _issues(certificate, above) else ""


def _issues(certificate: Certificate, above: int) -> bool:
    from cryptography import x509

    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.ca and (basic.path_length is None or basic.path_length >= above - 1)


def _issued(certificate: Certificate, issuer: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def self_signed(certificate: Certificate) -> bool:
    return certificate.issuer == certificate.subject


def name(subject: object) -> str:
    """The common name, or whatever there is, of a subject or issuer."""
    from cryptography.x509 import Name
    from cryptography.x509.oid import NameOID

    if not isinstance(subject, Name):
        return str(subject)
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME):
        found = subject.get_attributes_for_oid(oid)
        if found:
            return str(found[0].value)
    return subject.rfc4514_string() or "without a name"
