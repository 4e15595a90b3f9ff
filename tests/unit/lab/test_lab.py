# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lab starts is gone after it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import CHECKOUT, Lab, LabError, sweep
from tests.lab.processes import Process, free_port, give, reachable, service_account, spawn

SLEEPER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests.lab import Lab
from tests.lab.processes import spawn
lab = Lab()
folder = lab.root / "one"
folder.mkdir()
process = spawn(["sleep", "300"], cwd=folder, log=folder / "log", account=None)
print(lab.root, process.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def another() -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A lab in a process of its own, with one server."""
    command = [sys.executable, "-c", SLEEPER, str(CHECKOUT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    root, pid = process.stdout.readline().split()
    yield process, Path(root), int(pid)
    process.kill()
    process.wait()
    process.stdout.close()


def gone(root: Path, pid: int, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not root.exists() and sweep.started_at(pid) is None:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_lab_leaves_nothing(another: tuple[subprocess.Popen[str], Path, int], number: int) -> None:
    process, root, pid = another
    assert root.is_dir()
    assert sweep.started_at(pid) is not None
    process.send_signal(number)
    assert gone(root, pid)


def test_a_closed_lab_leaves_nothing() -> None:
    with Lab() as lab:
        root = lab.root
        (root / "one").mkdir()
        process = spawn(["sleep", "300"], cwd=root / "one", log=root / "log", account=lab.account)
        assert sweep.members(root) == [process.pid]
    assert not root.exists()
    assert not process.alive()
    lab.close()


def test_a_released_lab_survives_until_it_is_swept() -> None:
    lab = Lab()
    process = spawn(["sleep", "300"], cwd=lab.root, log=lab.root / "log", account=None)
    lab.release()
    lab.close()
    assert process.alive()
    sweep.remove(lab.root)
    assert not process.alive()
    assert not lab.root.exists()
    sweep.remove(lab.root)


def test_only_a_lab_s_folder_is_removed(tmp_path: Path) -> None:
    for name in (sweep.PREFIX + "x", "other"):
        folder = tmp_path / name
        folder.mkdir()
        sweep.remove(folder)
        assert folder.is_dir()
    (tmp_path / "other" / sweep.MARKER).touch()
    sweep.remove(tmp_path / "other")
    assert (tmp_path / "other").is_dir()
    link = tmp_path / (sweep.PREFIX + "link")
    (tmp_path / (sweep.PREFIX + "x") / sweep.MARKER).touch()
    link.symlink_to(tmp_path / (sweep.PREFIX + "x"))
    sweep.remove(link)
    assert (tmp_path / (sweep.PREFIX + "x")).is_dir()


def test_a_forked_child_does_not_end_its_parent_s_lab() -> None:
    with Lab() as lab:
        pid = os.fork()
        if pid == 0:
            lab.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert lab.root.is_dir()


def test_a_process_is_not_taken_for_a_later_one_with_its_id() -> None:
    started = sweep.started_at(os.getpid())
    assert started is not None
    assert Process(os.getpid(), started).alive()
    assert not Process(os.getpid(), started - 1).alive()


def test_a_zombie_is_gone(tmp_path: Path) -> None:
    process = spawn(["true"], cwd=tmp_path, log=tmp_path / "log", account=None)
    assert process.gone(5.0)


def test_ports_are_free_and_not_those_of_outgoing_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 40
    assert all(1024 < port < low for port in ports)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
def test_a_closed_folder_is_not_reachable_for_the_servers_user(tmp_path: Path) -> None:
    account = service_account()
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    assert not reachable(closed / "open", account)
    assert give(closed, account, 0o600).stat().st_uid == (account.uid if account else 0)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 41, "a b"])
def test_a_bad_name_is_refused(name: str) -> None:
    with Lab() as lab, pytest.raises(LabError, match="Failed to name a server"):
        lab.postgres(name=name)
