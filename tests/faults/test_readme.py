# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The README's example, as a reader would try it: its SQL, its inventory and its commands, word for word."""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess

import pytest

from tests.faults.estate import TOP, Estate, make_due
from tests.lab.fixtures import Database
from tests.lab.lab import Lab

README = (TOP / "README.md").read_text(encoding="utf-8")
EXAMPLE = README[README.index("## Against your own database") : README.index("## Playbooks")]
VACUUMS = "SELECT pg_stat_get_vacuum_count('ledger'::regclass)"


def block(language: str, holding: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", EXAMPLE, re.DOTALL)
    return next(text for text in found if holding in text)


@pytest.mark.lab
def test_the_example_of_the_readme_works_as_written(lab: Lab, estate: Estate) -> None:
    server = lab.postgres(18, "reader")
    password = secrets.token_urlsafe(24)
    server.execute("CREATE ROLE orchestrator")
    server.create_database("orchestrator", owner="orchestrator")
    server.execute(block("sql", "CREATE ROLE"))
    server.execute(f"ALTER ROLE day2_maintenance PASSWORD '{password}'")
    database = Database(server, "orchestrator")
    make_due(database, rows=60000)

    address = f"{server.host}\n        login_port: {server.port}"
    inventory = block("yaml", "databases:").replace("db1.example.com", address)
    (estate.folder / "inventory.yml").write_text(inventory, encoding="utf-8")
    collections = estate.folder / "collections"
    environment = {**estate.environment(), "DB_PASSWORD": password, "ANSIBLE_COLLECTIONS_PATH": str(collections)}

    def run(command: str) -> str:
        done = subprocess.run(
            shlex.split(command), cwd=estate.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "[WARNING" not in done.stdout + done.stderr and password not in done.stdout + done.stderr
        return done.stdout

    install = re.findall(r"^\$ (ansible-galaxy .*)$", EXAMPLE, re.MULTILINE)
    assert len(install) == 1
    run(install[0].replace(" .", f" {TOP}"))
    check, work = re.findall(r"^\$ (ansible-playbook .*)$", EXAMPLE, re.MULTILINE)
    said = run(check)
    assert "planned: vacuum public.ledger: " in said
    assert database.value(VACUUMS) == 0
    assert "changed=0" not in run(work)
    assert database.value(VACUUMS) == 1
