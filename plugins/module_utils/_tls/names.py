# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate is for a name, as RFC 6125 says: by its subjectAltName alone. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def covers(certificate: Certificate, name: str) -> bool:
    """``name`` is a host's name or an IP address. A common name counts for nothing: clients do not look at it."""
    hosts, addresses = alternatives(certificate)
    try:
        return ipaddress.ip_address(name.strip("[]")) in addresses
    except ValueError:
        return any(fits(pattern, name) for pattern in hosts)


def alternatives(certificate: Certificate) -> tuple[list[str], list[object]]:
    """The names and the addresses that the certificate is for."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return [], []
    return names.get_values_for_type(x509.DNSName), list(names.get_values_for_type(x509.IPAddress))


def fits(pattern: str, name: str) -> bool:
    """A wildcard is the whole first label, stands for exactly one, and never for one right below a top-level domain.

    >>> fits("*.example.com", "www.Example.com"), fits("*.example.com", "a.b.example.com"), fits("*.com", "example.com")
    (True, False, False)
    """
    pattern, name = _plain(pattern), _plain(name)
    if not pattern.startswith("*."):
        return pattern == name and "*" not in pattern
    label, _dot, rest = name.partition(".")
    return bool(label) and rest == pattern[2:] and "." in rest and "*" not in rest


def _plain(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name
