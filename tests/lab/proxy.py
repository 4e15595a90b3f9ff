# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TCP proxy with faults, and a server that never answers."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .processes import LabError, free_port

Target = tuple[str, int]
_T = TypeVar("_T")
_CHUNK = 65536


class _Link:
    """One client connection and the one that belongs to it on the other side."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.task: asyncio.Task[None] | None = None
        self.reply_is_lost = False
        self.left: int | None = None  # bytes until it is reset

    def close(self, *, reset: bool = False) -> None:
        for side in (self.client, self.server):
            if side is None or side.fileno() < 0:
                continue
            if reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.close()


class Proxy:
    """Forwards TCP connections to a target until told otherwise. Lives in a thread of its own.

    host, port: where clients connect. One fault at a time; resume() ends it.
    """

    host = "127.0.0.1"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.accepted = 0
        self._links: set[_Link] = set()
        self._latency = 0.0
        self._lost_marker = b""
        self._reset_marker, self._reset_after, self._resets = b"", 0, 0
        self._listener, self.port = self._listen()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._accepting: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"lab-proxy-{self.port}", daemon=True)
        self._thread.start()
        self._call(self._open)

    def _listen(self) -> tuple[socket.socket, int]:
        for _attempt in range(20):
            # An explicit port: the kernel then keeps it ours while refuse() has it closed.
            port = free_port()
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self.host, port))
            except OSError:
                listener.close()
                continue
            listener.setblocking(False)
            return listener, port
        raise LabError("Failed to start a proxy: no free port after 20 attempts")

    # -- what tests call

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._links)

    def latency(self, seconds: float) -> None:
        """Every round trip takes this much longer: what clients send arrives later. 0 ends it."""
        self._latency = seconds

    def stall(self) -> None:
        """Accept, but forward nothing any more, in neither direction; connections stay open."""
        self._call(self._flowing.clear)

    def cut(self) -> None:
        """Close all connections now, politely (FIN); new ones are welcome."""
        self._call(self._drop)

    def reset(self) -> None:
        """Close all connections now with a reset; new ones are welcome."""
        self._call(lambda: self._drop(reset=True))

    def refuse(self) -> None:
        """Connection refused, as by a server that is down; existing connections are cut."""

        def shut() -> None:
            self._close_door()
            self._drop(reset=True)

        self._call(shut)

    def move(self, target: Target) -> None:
        """Failover: the endpoint leads elsewhere from now on; existing connections are cut."""

        def move() -> None:
            self.target = target
            self._drop(reset=True)

        self._call(move)

    def lose_reply_to(self, marker: bytes) -> None:
        """The next request that contains the marker gets through; its answer is lost, the connection reset."""
        self._lost_marker = marker

    def reset_in(self, marker: bytes, after: int, *, times: int = 1) -> None:
        """The next ``times`` requests that contain the marker: about so many bytes get through, then a reset."""
        self._reset_marker, self._reset_after, self._resets = marker, after, times

    def resume(self) -> None:
        """Forward normally again."""

        def open_up() -> None:
            self._latency, self._lost_marker, self._resets = 0.0, b"", 0
            self._flowing.set()
            self._open()

        self._call(open_up)

    def close(self) -> None:
        """End the proxy."""
        if not self._thread.is_alive():
            return

        async def finish() -> None:
            self._close_door()
            tasks = [link.task for link in self._links if link.task]
            self._drop(reset=True)
            await asyncio.gather(*tasks, return_exceptions=True)
            self._listener.close()

        self._wait(finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- in the loop's thread

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._wait(call())

    def _open(self) -> None:
        if self._accepting is None:
            self._listener.listen(128)
            self._accepting = self._loop.create_task(self._accept())

    def _close_door(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
            # Stops listening, and keeps the port.
            self._listener.shutdown(socket.SHUT_RDWR)

    def _drop(self, *, reset: bool = False) -> None:
        for link in list(self._links):
            if link.task:
                link.task.cancel()
            link.close(reset=reset)

    async def _accept(self) -> None:
        while True:
            client, _address = await self._loop.sock_accept(self._listener)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client)
            self.accepted += 1
            self._links.add(link)
            link.task = self._loop.create_task(self._serve(link))

    async def _serve(self, link: _Link) -> None:
        reset = False
        try:
            await self._flowing.wait()
            await asyncio.sleep(self._latency)
            link.server = socket.socket()
            link.server.setblocking(False)
            link.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(link.server, self.target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(link, link.client, link.server, upwards=True))
                both.create_task(self._pump(link, link.server, link.client, upwards=False))
        except* OSError:
            reset = True
        finally:
            link.close(reset=reset)
            self._links.discard(link)

    async def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, *, upwards: bool) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def read() -> None:
            while True:
                data = await self._loop.sock_recv(source, _CHUNK)
                await queue.put((self._loop.time() + (self._latency if upwards else 0.0), data))
                if not data:
                    return

        async def write() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(due - self._loop.time())
                await self._flowing.wait()
                if upwards and self._lost_marker and self._lost_marker in data:
                    self._lost_marker, link.reply_is_lost = b"", True
                if upwards and self._resets and self._reset_marker in data:
                    self._resets -= 1
                    link.left = self._reset_after
                if upwards and link.left is not None:
                    if link.left < len(data):
                        raise ConnectionResetError("reset in the middle")
                    link.left -= len(data)
                if not upwards and link.reply_is_lost:
                    raise ConnectionResetError("the reply is lost")
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                await self._loop.sock_sendall(sink, data)

        async with asyncio.TaskGroup() as both:
            both.create_task(read())
            both.create_task(write())


class HangingServer:
    """Connections to it succeed, and then nothing ever comes."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        # Nobody accepts: the kernel completes the handshakes by itself.
        self._listener = socket.create_server((self.host, 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.close()

    def __enter__(self) -> HangingServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
