# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a stored set to an archive on disk that pg_restore can use in parallel, every byte of it checked on the way.

Whatever shows that the set itself is unusable is a :class:`BrokenSet`. What keeps us from looking (the store, the disk,
a stop) is never one: it says nothing about the set.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._backup import archive, codec
from ansible_collections.day2.ops.plugins.module_utils._backup.census import Census, take_census
from ansible_collections.day2.ops.plugins.module_utils._core.errors import (
    BadInput,
    OpsError,
    Refused,
    StoreError,
    StoreMissing,
)
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, size
from ansible_collections.day2.ops.plugins.module_utils._store.base import MANIFEST, Store

DUMP, GLOBALS = "database.dump", "globals.sql"
ARCHIVE = "database.dump"
GLOBALS_LIMIT = 256 << 20
# Beside the archive itself: the file system's own bookkeeping.
MARGIN_BYTES = 64 << 20

Manifest = Mapping[str, Any]


class BrokenSet(OpsError):
    """The set cannot be used, and why: its content is not what its manifest says, or no key opens it."""


@dataclass(frozen=True)
class Spooled:
    """An archive on disk: ``path`` is ours alone to remove."""

    path: str
    toc: archive.Toc
    size: int


def keys_for(manifest: Manifest, identity_file: Optional[str], option: str = "identity_file") -> Optional[list[Any]]:
    """What opens the set: None when it is not encrypted. :class:`BadInput` when there is no file, or it fits no set of
    these public keys; nothing has been fetched then."""
    encryption = manifest["encryption"]
    if encryption["method"] == "none":
        return None
    if not identity_file:
        raise BadInput(f"{option}: the set is encrypted; give the file with the secret key.")
    found = codec.identities_of(identity_file, option)
    ours = {str(one.to_public()) for one in found if hasattr(one, "to_public")}
    wanted = list(encryption["recipients"])
    # The public key of an SSH key cannot be derived here; the attempt to decrypt tells.
    if ours and not ours & set(wanted) and not any(text.startswith("ssh-") for text in wanted):
        raise BadInput(
            f"{option}: {identity_file} holds none of the secret keys that this set was encrypted to; "
            f"give the one that belongs to {' or '.join(wanted)}."
        )
    return found


def checked(manifest: Manifest) -> Manifest:
    """The manifest itself, or :class:`BrokenSet` when it cannot be read for what it should say. Pure."""
    try:
        good = (
            manifest["encryption"]["method"] in ("age", "none")
            and all(isinstance(text, str) for text in manifest["encryption"]["recipients"])
            and all(isinstance(part["size"], int) and len(part["sha256"]) == 64 for part in manifest["parts"].values())
            and all(isinstance(one["name"], str) and isinstance(one["rows"], int) for one in manifest["tables"])
            and all(isinstance(at, int) for at in manifest["blocks"].values())
            and all(isinstance(one[key], str) for one in manifest["extensions"] for key in ("name", "version"))
            and isinstance(manifest["server"]["version_num"], int)
            and manifest["tools"]["version"].split(".")[0].isdigit()
            and isinstance(manifest["logical_bytes"], int)
            and isinstance(manifest["large_objects"], int)
            and all(manifest["database_settings"][key] for key in ("encoding", "collate", "ctype", "provider"))
        )
    except (KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise BrokenSet("its manifest is damaged")
    return manifest


def need_space(folder: str, need: int, option: str, what: str) -> None:
    """:class:`Refused` when ``folder`` cannot take that many bytes."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        raise BadInput(f"{option}: {folder} cannot be used ({error.strerror}); give a folder that is there.") from None
    free = found.f_bavail * found.f_frsize
    if free < need:
        raise Refused(
            f"Failed to get room for {what}: it needs {size(need)}, and {folder} has {size(free)} free; "
            f"set {option} to a folder on a larger disk."
        )


def spool(
    run: Run,
    store: Store,
    prefix: str,
    manifest: Manifest,
    identities: Optional[Sequence[Any]],
    folder: str,
    *,
    option: str = "spool_dir",
) -> Spooled:
    """Fetch, check and open the set's archive into ``folder``. ``option`` names the folder's option for people.

    Raises :class:`BrokenSet`; :class:`Refused` without room; Store errors, Stopped and Expired as they come.
    """
    total = int(manifest["logical_bytes"])
    need_space(folder, total + MARGIN_BYTES, option, "the set")
    name = part_of(manifest, DUMP)
    check_sizes(store, prefix, manifest)
    path = os.path.join(folder, ARCHIVE)
    census = Census()
    pieces = take_census(opened(store, prefix, manifest, name, identities), census)
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b") as file:
            for piece in pieces:
                run.live.check()
                run.deadline.check()
                file.write(piece)
                done = census.size
                run.live.progress(f"fetching the set: {size(done)} of {size(total)}", done / total if total else None)
            if census.toc is None:
                raise AssertionError("Contract violation: a census without contents")
            compare_census(manifest, census)
            archive.make_seekable(file, census.toc, census.blocks)
    except (codec.Unreadable, archive.BrokenArchive) as error:
        raise BrokenSet(f"its part {name} is unusable: {error}") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise OpsError(f"Failed to write {path}: {error.strerror}.") from None
        raise Refused(
            f"Failed to spool the set: the disk of {folder} is full; set {option} to a folder on a larger one."
        ) from None
    return Spooled(path, census.toc, census.size)


def read_globals(run: Run, store: Store, prefix: str, manifest: Manifest, identities: Optional[Sequence[Any]]) -> str:
    """The set's roles, settings and tablespaces, as SQL."""
    name = part_of(manifest, GLOBALS)
    data = bytearray()
    try:
        for piece in opened(store, prefix, manifest, name, identities):
            run.live.check()
            data += piece
            if len(data) > GLOBALS_LIMIT:
                raise BrokenSet(f"its part {name} is larger than roles and settings can be")
    except codec.Unreadable as error:
        raise BrokenSet(f"its part {name} is unusable: {error}") from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BrokenSet(f"its part {name} is no text") from None


def part_of(manifest: Manifest, stem: str) -> str:
    """The part's full name: it ends in how it was sealed."""
    found = [name for name in manifest["parts"] if name.startswith(stem)]
    if len(found) != 1:
        raise BrokenSet(f"its manifest names no part {stem}")
    return str(found[0])


def check_sizes(store: Store, prefix: str, manifest: Manifest) -> None:
    """Missing and truncated parts are told before anything is fetched."""
    there = {entry.key[len(prefix) + 1 :]: entry.size for entry in store.list(f"{prefix}/")}
    if MANIFEST not in there:
        raise StoreMissing(f"Failed to read the set {store.location}/{prefix}: it is no longer there.")
    for name, part in manifest["parts"].items():
        if name not in there:
            raise BrokenSet(f"its part {name} is missing")
        if there[name] != part["size"]:
            words = "empty" if not there[name] else f"{amount(there[name])} bytes long"
            raise BrokenSet(f"its part {name} is {words}, and was {amount(part['size'])} when it was written")


def compare_census(manifest: Manifest, census: Census) -> None:
    """:class:`BrokenSet` when the archive does not hold what the manifest says. Pure."""
    toc = census.toc
    if toc is None:
        raise BrokenSet("its archive has no contents")
    found = {spell(entry.namespace, entry.tag): census.rows.get(entry.dump_id, 0) for entry in toc.tables()}
    wanted = {table["name"]: int(table["rows"]) for table in manifest["tables"]}
    lacking = sorted(wanted.keys() - found.keys())
    if lacking:
        raise BrokenSet(f"its archive lacks {count(len(lacking), 'table')} of the manifest: {', '.join(lacking[:3])}")
    more = sorted(found.keys() - wanted.keys())
    if more:
        raise BrokenSet(f"its manifest does not know {count(len(more), 'table')} of the archive: {', '.join(more[:3])}")
    for name, rows in sorted(wanted.items()):
        if found[name] != rows:
            raise BrokenSet(f"its archive has {count(found[name], 'row')} of {name}, and its manifest {amount(rows)}")
    if {str(number): at for number, at in census.blocks.items()} != dict(manifest["blocks"]):
        raise BrokenSet("the data in its archive does not begin where its manifest says")
    wanted_size = manifest["logical_bytes"]
    if census.size != wanted_size:
        raise BrokenSet(f"its archive is {amount(census.size)} bytes long, and its manifest says {amount(wanted_size)}")


def opened(
    store: Store, prefix: str, manifest: Manifest, name: str, identities: Optional[Sequence[Any]]
) -> Iterator[bytes]:
    return codec.unseal(_checked(store, f"{prefix}/{name}", name, manifest["parts"][name]), identities)


def _checked(store: Store, key: str, name: str, part: Mapping[str, Any]) -> Iterator[bytes]:
    """The part as it is stored. A checksum that differs is the set's fault, everything else the store's."""
    digest, read = hashlib.sha256(), 0
    changed = BrokenSet(f"its part {name} has changed since it was written (sha256 differs)")
    try:
        for chunk in store.stream(key):
            digest.update(chunk)
            read += len(chunk)
            yield chunk
    except StoreError:
        if read >= part["size"] and digest.hexdigest() != part["sha256"]:
            raise changed from None
        raise
    if digest.hexdigest() != part["sha256"]:
        raise changed
