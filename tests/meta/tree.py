# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection consists of. The tests are parametrised with it, so that they grow with the tree."""

from __future__ import annotations

import ast
import importlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

TOP = Path(__file__).resolve().parents[2]
COLLECTION = "day2.ops"


def _names(pattern: str) -> list[str]:
    return sorted(path.stem for path in TOP.glob(pattern) if path.stem != "__init__")


MODULES = _names("plugins/modules/*.py")
ROLES = sorted(path.parent.name for path in TOP.glob("roles/*/tasks"))
PLAYBOOKS = sorted(path.name for path in TOP.glob("playbooks/*.yml"))


@cache
def files() -> list[str]:
    """Every file that git tracks, or would, as a path below the checkout."""
    command = ["git", "-c", f"safe.directory={TOP}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (TOP / name).is_file()})


def python_files(*folders: str) -> list[str]:
    return [name for name in files() if name.endswith(".py") and name.startswith(tuple(f"{one}/" for one in folders))]


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def load(name: str) -> Any:
    return yaml.safe_load(read(name))


@cache
def documentation(module: str) -> dict[str, str]:
    """The strings DOCUMENTATION, EXAMPLES and RETURN of a module, as they stand in the file."""
    found = {}
    for node in ast.parse(read(f"plugins/modules/{module}.py")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        ):
            found[node.targets[0].id] = str(node.value.value)
    return found


@cache
def specification(module: str) -> Any:
    """The ArgumentSpec that the module's main() runs with, option ``run`` included."""
    root = f"ansible_collections.{COLLECTION}.plugins"
    argspec = importlib.import_module(f"{root}.module_utils._core.argspec")
    imported = importlib.import_module(f"{root}.modules.{module}")
    given = []
    with patch.object(imported, "run_module", lambda spec, _work: given.append(spec)):
        imported.main()
    return given[0].merge(argspec.run_spec())


@cache
def runtime() -> dict[str, Any]:
    found: dict[str, Any] = load("meta/runtime.yml")
    return found
