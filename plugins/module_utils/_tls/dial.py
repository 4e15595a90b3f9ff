# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to a TLS server's certificates: connections with an end, STARTTLS, the chain as it is served.

The first handshake verifies, as clients do, so OpenSSL itself is the judge of a chain and one handshake is enough for
all that is well. Only where it refuses the chain is there a second handshake, without verification, to see what is
served. (The verifier of ``cryptography`` keeps the rules of the public web, and refuses certificates of private CAs
that clients take.) Nothing but the handshake is ever sent over a connection that is not verified.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.trust import trusted_file

STARTTLS = ("none", "postgres", "smtp")
MOST_BYTES = 65536
_DER = 2


@dataclass(frozen=True)
class Place:
    """A server. ``name`` is what it is asked for (SNI), if anything; ``ca_cert`` the file with CAs to trust instead."""

    host: str
    port: int
    name: Optional[str] = None
    starttls: str = "none"
    ca_cert: Optional[str] = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Served:
    """Certificates as DER, leaf first. ``path`` leads to the trusted root; without it ``trouble`` says why."""

    sent: tuple[bytes, ...]
    path: tuple[bytes, ...] = ()
    trouble: str = ""
    protocol: str = ""


def capture(place: Place, until: float) -> Served:
    """What the server serves, known before ``until`` (monotonic seconds).

    Raises :class:`Unreachable`, and :class:`OpsError` where it speaks no TLS.
    """
    try:
        try:
            return _handshake(place, _trusting(trusted_file(place.ca_cert)), until)
        except ssl.SSLCertVerificationError as refused:
            served = _handshake(place, _blind(), until)
            return Served(served.sent, (), refused.verify_message.rstrip("."), served.protocol)
    except socket.gaierror as error:
        raise Unreachable(f"Failed to reach {place}: its name is not known.") from error
    except (TimeoutError, socket.timeout) as error:
        raise Unreachable(f"Failed to reach {place}: it gave no answer in time.") from error
    except ConnectionRefusedError as error:
        raise Unreachable(f"Failed to reach {place}: nothing listens there.") from error
    except ssl.SSLError as error:
        raise OpsError(f"Failed to greet {place}: it comes to no TLS with it ({error.reason or error}).") from error
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(f"Failed to reach {place}: {said}.") from error


@lru_cache(maxsize=64)
def _trusting(ca_file: Optional[str]) -> ssl.SSLContext:
    """One for all connections that trust the same CAs: reading them takes longer than a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the name is a check of its own, against each certificate's own names
    context.verify_mode = ssl.CERT_REQUIRED
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()
    return context


@lru_cache(maxsize=1)
def _blind() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _handshake(place: Place, context: ssl.SSLContext, until: float) -> Served:
    with socket.create_connection((place.host.strip("[]"), place.port), timeout=_left(until)) as plain:
        if place.starttls != "none":
            {"postgres": _postgres, "smtp": _smtp}[place.starttls](plain, place, until)
        plain.settimeout(_left(until))
        with context.wrap_socket(plain, server_hostname=place.name, do_handshake_on_connect=False) as tls:
            refusal = None
            try:
                tls.do_handshake()
            except ssl.SSLCertVerificationError:
                raise
            except ssl.SSLError as error:
                # A server that asks for a client's certificate refuses us after it has shown its own.
                refusal = error
            sent = _chain(tls, "unverified")
            if refusal and not sent:
                raise refusal
            verified = context.verify_mode == ssl.CERT_REQUIRED
            return Served(sent, (_chain(tls, "verified") or sent) if verified else (), "", tls.version() or "")


def _chain(tls: ssl.SSLSocket, kind: str) -> tuple[bytes, ...]:
    """Public since Python 3.13, there since 3.10. Before, only the server's own certificate is to be had."""
    public: Any = getattr(tls, f"get_{kind}_chain", None)
    inner: Any = getattr(getattr(tls, "_sslobj", None), f"get_{kind}_chain", None)
    with suppress(ValueError):  # the handshake did not come so far
        if public:
            return tuple(public() or ())
        if inner:
            return tuple(one.public_bytes(_DER) for one in inner() or ())
        leaf = tls.getpeercert(binary_form=True)
        return (leaf,) if leaf else ()
    return ()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    return left


def _postgres(plain: socket.socket, place: Place, until: float) -> None:
    """SSLRequest of the PostgreSQL protocol."""
    plain.sendall(struct.pack("!ii", 8, 80877103))
    plain.settimeout(_left(until))
    if plain.recv(1) != b"S":
        raise OpsError(f"Failed to greet {place}: the PostgreSQL server offers no TLS.")


def _smtp(plain: socket.socket, place: Place, until: float) -> None:
    for command, expected in ((b"", b"220"), (b"EHLO day2.invalid\r\n", b"250"), (b"STARTTLS\r\n", b"220")):
        if command:
            plain.sendall(command)
        said = _reply(plain, until)
        if said[:3] != expected:
            words = said[:80].decode("ascii", "replace").strip()
            raise OpsError(f"Failed to greet {place}: the mail server offers no STARTTLS ({words or 'it hung up'}).")


def _reply(plain: socket.socket, until: float) -> bytes:
    """The last line of a reply, which may have several: all but the last one have a hyphen after the number."""
    said = b""
    while len(said) < MOST_BYTES:
        plain.settimeout(_left(until))
        piece = plain.recv(1)  # a byte at a time: what follows the reply belongs to TLS
        if not piece:
            return b""
        said += piece
        last = said.rstrip(b"\r\n").rpartition(b"\n")[2]
        if said.endswith(b"\n") and last[3:4] != b"-":
            return last
    return b""
