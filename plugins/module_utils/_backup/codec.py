# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a part of a set is written: compressed once (zstd), then encrypted to public keys (age); and back."""

from __future__ import annotations

import sys
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library
from ansible_collections.day2.ops.plugins.module_utils._core.threads import threaded

LEVEL = 3
PIECE = 1 << 20
SUFFIX = {"none": ".zst", "age": ".zst.age"}


class Unreadable(OpsError):
    """The content cannot be decrypted or decompressed: a wrong key, or not what was written."""


def recipients_of(texts: Sequence[str], option: str) -> list[Any]:
    """age public keys (``age1…`` or SSH keys) as the library's; :class:`BadInput` for one that is none."""
    pyrage = _pyrage()
    found = []
    for text in texts:
        kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
        try:
            found.append(kind.from_str(text))
        except pyrage.RecipientError:
            raise BadInput(
                f"{option}: {text!r} is not a public key of age; write it like age1…, from age-keygen."
            ) from None
    return found


def identities_of(path: str, option: str) -> list[Any]:
    """The keys in a file that age-keygen or ssh-keygen wrote; :class:`BadInput` for a file without one."""
    pyrage = _pyrage()
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
    except OSError as error:
        raise BadInput(
            f"{option}: {path} cannot be read ({error.strerror}); give the file with the secret key."
        ) from None
    try:
        if b"PRIVATE KEY-----" in data:
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode().splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeDecodeError):
        found = []
    if not found:
        raise BadInput(f"{option}: {path} holds no secret key of age; give the file that age-keygen wrote.")
    return found


def seal(source: Iterable[bytes], recipients: Sequence[Any] = ()) -> Iterator[bytes]:
    """``source`` compressed, and encrypted if there are recipients. It is read in a thread, in bounded memory."""
    packed = _compress(source)
    if not recipients:
        return threaded(lambda write: _copy(packed, write))
    pyrage = _pyrage()

    def encrypt(write: Callable[[bytes], None]) -> None:
        reader, writer = _Reader(packed), _Writer(write)
        try:
            pyrage.encrypt_io(reader, writer, list(recipients))
        except (pyrage.EncryptError, OSError):
            if reader.error is not None:
                raise reader.error from None
            raise
        writer.flush()

    return threaded(encrypt)


def unseal(source: Iterable[bytes], identities: Optional[Sequence[Any]] = None) -> Iterator[bytes]:
    """The opposite of :func:`seal`; ``identities`` is None for what is not encrypted. Raises :class:`Unreadable`."""
    if identities is None:
        return threaded(lambda write: _copy(_decompress(source), write))
    pyrage = _pyrage()

    def decrypt(write: Callable[[bytes], None]) -> None:
        reader, writer = _Reader(source), _Writer(write)
        try:
            pyrage.decrypt_io(reader, writer, list(identities))
        except (pyrage.DecryptError, OSError) as error:  # damage comes as the one or the other
            if reader.error is not None:
                raise reader.error from None
            why = "no key fits" if "matching keys" in str(error) else "it is not what was written"
            raise Unreadable(f"it cannot be decrypted: {why}") from None
        writer.flush()

    return threaded(lambda write: _copy(_decompress(threaded(decrypt)), write))


def _compress(source: Iterable[bytes]) -> Iterator[bytes]:
    zstandard = _zstandard()
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
    for piece in source:
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


def _decompress(source: Iterable[bytes]) -> Iterator[bytes]:
    zstandard = _zstandard()
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    began = False
    try:
        for piece in source:
            began = began or bool(piece)
            data = unpacker.decompress(piece)
            for at in range(0, len(data), PIECE):
                yield data[at : at + PIECE]
    except zstandard.ZstdError:
        raise Unreadable("it cannot be decompressed: it is not what was written") from None
    if not unpacker.eof:
        raise Unreadable("it ends too early" if began else "it is empty")


def _copy(source: Iterable[bytes], write: Callable[[bytes], None]) -> None:
    for piece in source:
        write(piece)


class _Reader:
    """What a library reads from: exactly the bytes of ``source``. An error there is kept; the library hides it."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._pieces = iter(source)
        self._rest = b""
        self.error: Optional[OpsError] = None

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                self._rest = next(self._pieces)
            except StopIteration:
                return b""
            except OpsError as error:
                self.error = error
                raise
        size = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Writer:
    """What a library writes to, in small pieces; passed on in larger ones."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        if len(self._held) >= PIECE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._held:
            self._write(bytes(self._held))
            self._held.clear()


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        missing_library("zstandard", sys.executable)
    return zstandard


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError:
        missing_library("pyrage", sys.executable)
    return pyrage
