# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module of the collection at work: a process of its own, arguments on its standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .preloaded import MODULES, Launched, launch


@dataclass
class Module:
    """A module's process; ``result()`` waits for it."""

    process: Launched | subprocess.Popen[str]

    def result(self, seconds: float = 120.0) -> dict[str, Any]:
        out, err = self.process.communicate(timeout=seconds)
        assert out.strip(), err
        return json.loads(out.strip().splitlines()[-1])  # type: ignore[no-any-return]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(
    name: str, arguments: Mapping[str, Any], *, check: bool = False, patch: str = "", fresh: bool = False, **run: Any
) -> Module:
    """Start a module; ``run`` is what the run would tell it (id, target, deadline...).

    ``patch`` is Python source that its process runs first. ``fresh`` starts it from nothing: where its time or its CPU
    is measured.
    """
    given = {"run": {"id": "t1", **run}, "_ansible_check_mode": check, **arguments}
    text = json.dumps({"ANSIBLE_MODULE_ARGS": given})
    if not fresh:
        return Module(launch(name, text, patch))
    process = subprocess.Popen(
        [sys.executable, "-m", MODULES + name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    return Module(process)
