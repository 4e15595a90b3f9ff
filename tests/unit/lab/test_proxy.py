# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's network faults do what they are called."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.lab.proxy import HangingServer, Proxy


class Echo:
    """Answers every message with its own name and the message."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", int(self._listener.getsockname()[1]))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received.append(data)
                    connection.sendall(self.name + data)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo(b"a:")
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.address) as made:
        yield made


def connect(proxy: Proxy, timeout: float = 3.0) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=timeout)


def ask(connection: socket.socket, text: bytes = b"hello") -> bytes:
    connection.sendall(text)
    return connection.recv(65536)


def test_forwards(proxy: Proxy) -> None:
    with connect(proxy) as one, connect(proxy) as two:
        assert ask(one) == ask(two) == b"a:hello"
        assert (proxy.accepted, proxy.connections) == (2, 2)


def test_forwards_the_end_of_a_request(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"x" * 1_000_000)
        connection.shutdown(socket.SHUT_WR)
        received = 0
        while data := connection.recv(65536):
            received += len(data)
    assert received >= 1_000_000


def test_latency_is_added_once_per_round_trip(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        ask(connection)
        proxy.latency(0.2)
        began = time.monotonic()
        ask(connection)
        assert 0.2 <= time.monotonic() - began < 1.0


def test_a_stalled_connection_stays_open_and_goes_on_later(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        ask(connection)
        proxy.stall()
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ask(connection, b"late")
        with connect(proxy, 0.3) as another, pytest.raises(TimeoutError):
            ask(another)
        assert echo.received == [b"hello"]
        proxy.resume()
        connection.settimeout(3.0)
        assert connection.recv(100) == b"a:late"


def test_cut_ends_connections_and_accepts_new_ones(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        ask(connection)
        proxy.cut()
        assert connection.recv(1) == b""
    with connect(proxy) as connection:
        assert ask(connection) == b"a:hello"


def test_reset_is_a_reset(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        ask(connection)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_refuse_keeps_the_port_and_resume_opens_it_again(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        ask(connection)
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
    with pytest.raises(OSError, match="in use"), socket.socket() as thief:
        thief.bind((proxy.host, proxy.port))
    proxy.refuse()
    proxy.resume()
    with connect(proxy) as connection:
        assert ask(connection) == b"a:hello"


def test_move_leads_elsewhere(proxy: Proxy) -> None:
    other = Echo(b"b:")
    with connect(proxy) as connection:
        ask(connection)
        proxy.move(other.address)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(proxy) as connection:
        assert ask(connection) == b"b:hello"
    other.close()


def test_a_dead_target_is_a_reset(proxy: Proxy, echo: Echo) -> None:
    echo.close()
    # A listener that a thread waits on closes with its next connection.
    with connect(proxy) as connection, pytest.raises(ConnectionResetError):
        for _ in range(20):
            if ask(connection) == b"":
                raise ConnectionResetError
            proxy.move(("127.0.0.1", 1))
            time.sleep(0.05)


def test_a_lost_reply_was_carried_out(proxy: Proxy, echo: Echo) -> None:
    proxy.lose_reply_to(b"COMMIT")
    with connect(proxy) as connection:
        assert ask(connection, b"BEGIN") == b"a:BEGIN"
        with pytest.raises(ConnectionResetError):
            ask(connection, b"COMMIT")
    assert echo.received == [b"BEGIN", b"COMMIT"]
    with connect(proxy) as connection:
        assert ask(connection, b"COMMIT") == b"a:COMMIT", "only the next one is lost"


def test_a_request_is_reset_in_its_middle(proxy: Proxy, echo: Echo) -> None:
    proxy.reset_in(b"PUT", 100_000, times=2)
    with connect(proxy) as connection:
        assert ask(connection, b"GET") == b"a:GET"
    for _ in range(2):
        with connect(proxy) as connection, pytest.raises(ConnectionError):
            connection.sendall(b"PUT" + b"x" * 500_000)
            while connection.recv(65536):
                pass
    # Of both together: the echo may still be at the first one when the second has begun.
    assert sum(map(len, echo.received)) <= len(b"GET") + 2 * 100_000
    with connect(proxy) as connection:
        assert ask(connection, b"PUT") == b"a:PUT"


def test_close_frees_the_port_and_the_thread(echo: Echo) -> None:
    before = threading.active_count()
    proxy = Proxy(echo.address)
    with connect(proxy) as connection:
        ask(connection)
        proxy.close()
        proxy.close()
        with pytest.raises(ConnectionError):
            if connection.recv(1) == b"":
                raise ConnectionError
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert threading.active_count() <= before + 1  # the echo's own


def test_a_hanging_server_accepts_and_never_answers() -> None:
    with (
        HangingServer() as server,
        socket.create_connection((server.host, server.port), timeout=0.3) as connection,
        pytest.raises(TimeoutError),
    ):
        ask(connection)
