# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepares a home folder for ansible-test, which hands almost no environment on: ``sanity_home.py <folder>``.

It puts there pip's settings as they are in force now, and a stand-in for get-pip.py: ansible-test would fetch that
from a site which build machines often cannot reach. Python carries a pip of its own; the stand-in installs that one
and lets it fetch what was asked for from the configured index.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

STAND_IN = """\
import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"])
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *wanted]))
"""


def pip_version() -> str:
    """The version that this ansible-test wants; it is part of the file's name."""
    spec = find_spec("ansible_test._internal")
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).with_name("python_requirements.py").read_text(encoding="utf-8")
    found = re.search(r"""["']?pip["']?[=:] *["']([0-9.]+)["']""", source)
    if not found:
        raise SystemExit("This ansible-test names its pip in a way that tools/sanity_home.py does not know.")
    return found[1]


def pip_settings(listing: str, env: dict[str, str]) -> str:
    """``pip config list`` (files, then PIP_* variables) and what the network's own variables say, as a pip.conf."""
    settings = {}
    for line in listing.splitlines():
        name, value = line.split("=", 1)
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    network = {"cert": ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), "proxy": ("https_proxy", "HTTPS_PROXY")}
    for name, variables in network.items():
        for variable in variables:
            if env.get(variable):
                settings.setdefault(name, env[variable])
    settings.setdefault("cache-dir", env.get("XDG_CACHE_HOME", env["HOME"] + "/.cache") + "/pip")
    settings.pop("config-file", None)
    return "[global]\n" + "".join(
        "{} = {}\n".format(name, "\n  ".join(value.splitlines())) for name, value in sorted(settings.items())
    )


def main() -> None:
    home = Path(sys.argv[1])
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    files = {
        home / ".config/pip/pip.conf": pip_settings(listing, dict(os.environ)),
        home / f".ansible/test/cache/get_pip_{pip_version().replace('.', '_')}.py": STAND_IN,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
