# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scripts beside it share: a clean environment, a folder for leavings, processes that end with us, a lab."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PYTHON = str(TOP / ".venv" / "bin" / "python")
WARNING = re.compile(r"\[WARNING\]|\[DEPRECATION|\[DEPRECATED")


class Interrupted(Exception):
    """A signal came."""


@contextmanager
def interruptible() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP becomes an exception; those that follow are ignored: cleaning up goes on."""

    def stop(number: int, _frame: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        signal.signal(number, stop)
    yield


@contextmanager
def scratch_folder() -> Iterator[str]:
    """A short path for sockets, open to servers that run as users of their own."""
    folder = tempfile.mkdtemp(prefix="day2-")
    Path(folder).chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(scratch: str, **more: str) -> dict[str, str]:
    """The caller's, without its Ansible settings; what lands in temporary or home folders lands in ``scratch``."""
    config = Path(scratch, "ansible.cfg")  # empty: neither the caller's nor the machine's settings count
    config.touch()
    foreign = ("ANSIBLE_", "MOLECULE_", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env.update(
        PATH=f"{TOP}/.venv/bin:{env.get('PATH', os.defpath)}",
        TMPDIR=scratch,
        ANSIBLE_HOME=f"{scratch}/ansible",
        ANSIBLE_REMOTE_TMP=f"{scratch}/ansible/tmp",
        ANSIBLE_ASYNC_DIR=f"{scratch}/ansible/async",
        ANSIBLE_CONFIG=str(config),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_INJECT_FACT_VARS="false",
        ANSIBLE_LOCALHOST_WARNING="false",
        PY_COLORS="0",
    )
    env.update(more)
    return env


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process and its group to stop, and make them stop after 20 seconds: servers need a moment."""
    for sign, patience in ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


@contextmanager
def lab(state: Path, env: dict[str, str], *options: str) -> Iterator[None]:
    """The lab, up in a state folder of its own; afterwards nothing of it is left."""
    command = [PYTHON, "-m", "tests.lab"]
    where = ["--state", str(state)]
    process = subprocess.Popen(
        [*command, "up", *where, *options], cwd=TOP, env=env, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        code = process.wait()
        if code:
            raise SystemExit("The lab did not start.")
        yield
    finally:
        end(process)
        subprocess.run(
            [*command, "down", *where], cwd=TOP, env=env, stdin=subprocess.DEVNULL, start_new_session=True, check=False
        )
