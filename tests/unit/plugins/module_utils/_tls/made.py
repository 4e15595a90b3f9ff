# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of every kind, made here, and TLS servers that serve them: good, lying, hanging and slow ones."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.now(timezone.utc).replace(microsecond=0)


@dataclass
class Issued:
    """A certificate and its key; ``below`` it others can be issued."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        return pem(self.certificate, *self.chain)

    @property
    def key_pem(self) -> bytes:
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return bytes(self.key.private_bytes(serialization.Encoding.PEM, form, plain))

    def below(self, name: str, *, names: Sequence[str] = (), **given: Any) -> Issued:
        return issue(name, names=names, issuer=self, **given)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def issue(
    name: str,
    *,
    names: Sequence[str] = (),
    issuer: Issued | None = None,
    days: float = 90,
    since: float = 10,
    ca: bool | None = None,
    path_length: int | None = None,
    key: Any = None,
    digest: Any = None,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ca = not names if ca is None else ca
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=since))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
    signer = issuer.key if issuer else key
    certificate = builder.sign(signer, digest or hashes.SHA256())
    chain = (
        (issuer.certificate, *issuer.chain)
        if issuer and issuer.certificate.issuer != issuer.certificate.subject
        else ()
    )
    return Issued(certificate, key, chain)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@dataclass
class Authorities:
    root: Issued
    middle: Issued
    file: Path

    def leaf(self, *names: str, **given: Any) -> Issued:
        names = names or ("localhost", "127.0.0.1")
        return self.middle.below(names[0], names=names, **given)


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    root = issue("The Root", days=3650)
    file = tmp_path_factory.mktemp("authorities") / "ca.pem"
    file.write_bytes(root.pem)
    return Authorities(root, root.below("The Middle", days=900), file)


def _close(listener: socket.socket) -> None:
    """Close it also for the thread that waits for a client, which would keep the port."""
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@dataclass
class Server:
    """Serves a handshake, after what STARTTLS wants, and then an HTTP answer."""

    context: ssl.SSLContext
    greet: Callable[[socket.socket], None] = lambda _plain: None
    handshakes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _address = self.listener.accept()
                threading.Thread(target=self._talk, args=(plain,), daemon=True).start()

    def _talk(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            plain.settimeout(5)
            self.greet(plain)
            with self.context.wrap_socket(plain, server_side=True) as tls:
                self.handshakes.append("done")
                with suppress(TimeoutError):
                    tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def close(self) -> None:
        _close(self.listener)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """serving(issued) makes a TLS server with that certificate; chain= says what it sends instead of all of it."""
    made: list[Server] = []

    def make(
        issued: Issued,
        *,
        chain: bytes | None = None,
        greet: Callable[[socket.socket], None] = lambda _plain: None,
        others: dict[str, Issued] | None = None,
        clients: Path | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> Server:
        context = _context(tmp_path, f"server-{len(made)}", issued, chain)
        context.maximum_version = newest
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        by_name = {name: _context(tmp_path, f"{len(made)}-{name}", one, None) for name, one in (others or {}).items()}

        def choose(tls: ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
            if name in by_name:
                tls.context = by_name[name]

        context.sni_callback = choose  # type: ignore[assignment]
        server = Server(context, greet)
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


def _context(folder: Path, name: str, issued: Issued, chain: bytes | None) -> ssl.SSLContext:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(issued.pem if chain is None else chain)
    key.write_bytes(issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class Dripping:
    """Sends a byte of nothing every tenth of a second, and never ends."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _address = self.listener.accept()
                threading.Thread(target=self._drip, args=(plain,), daemon=True).start()

    def _drip(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1000:
                plain.sendall(bytes([byte]))
                time.sleep(0.1)


@pytest.fixture
def dripping() -> Iterator[Dripping]:
    server = Dripping()
    yield server
    _close(server.listener)


@pytest.fixture(scope="session")
def weak_key() -> Any:
    return rsa.generate_private_key(65537, 1024)
