# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An estate: an inventory of targets, and playbooks played on it as a person would, in a process of their own."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.lab.fixtures import Database
from tests.lab.processes import wait_until

TOP = Path(__file__).resolve().parents[2]
SCHEMAS = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in (TOP / "docs" / "schemas").glob("*.json")
}
# Small data: everything that a real estate would call due at its size is due here at ours.
POLICY = {
    "ops_environment": "development",
    "ops_windows": [{"name": "any", "environment": "development", "risk": ["maintain", "disrupt"], "always": True}],
    "postgresql_maintenance_vacuum_min_dead_rows": 1000,
    "postgresql_maintenance_index_min_bytes": 262144,
    "postgresql_maintenance_slot_wait": 20,
    "ansible_connection": "local",
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    "ansible_pipelining": True,
}


SECRET = re.compile("password|token|secret")


@dataclass
class Outcome:
    """How a playbook ended, and what it left. ``result`` is result.json, empty when there is none."""

    rc: int
    out: str
    folder: Path
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """How many changes Ansible counted in its recap."""
        return sum(map(int, re.findall(r"changed=(\d+)", self.out.split("PLAY RECAP")[1])))

    def lines(self, host: str) -> list[dict[str, Any]]:
        """The record of a target without its header; every line has been validated against its schema."""
        try:
            text = (self.folder / f"{host}.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        rows = [json.loads(row) for row in text.splitlines()]
        jsonschema.validate(rows[0], SCHEMAS["header-1.json"])
        for row in rows[1:]:
            jsonschema.validate(row, SCHEMAS["record-1.json"])
        return rows[1:]

    def header(self, host: str) -> dict[str, Any]:
        row: dict[str, Any] = json.loads((self.folder / f"{host}.jsonl").read_text(encoding="utf-8").splitlines()[0])
        return row

    def actions(self, host: str, step: str = "run") -> list[dict[str, Any]]:
        return [action for line in self.lines(host) if line["step"] == step for action in line["actions"]]

    def error(self, host: str) -> dict[str, str]:
        """The first error of a target; empty when there is none."""
        return next((line["error"] for line in self.lines(host) if line["error"]), {})

    def status(self, host: str) -> str:
        return str(self.result["targets"][host]["status"])


class Running:
    """A playbook at work."""

    def __init__(self, process: subprocess.Popen[str], estate: Estate) -> None:
        self.process = process
        self.estate = estate

    def wait(self, timeout: float = 240) -> Outcome:
        try:
            out = self.process.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"still running after {timeout} s:\n{self.process.communicate()[0]}") from None
        return self.estate.outcome(self.process.returncode, out)

    def signal(self, number: int) -> None:
        """To the controller's process only, as `kill` would send it."""
        self.process.send_signal(number)

    def kill_group(self) -> None:
        """SIGKILL to the whole process group, as ansible-runner cancels."""
        os.killpg(self.process.pid, signal.SIGKILL)


class Estate:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.store = folder / "store"
        self.store.mkdir()
        self.hosts: dict[str, dict[str, Any]] = {}
        self.vars: dict[str, Any] = {**POLICY, "ops_run_dir": str(self.runs), "ops_store": str(self.store)}
        self.last = ""

    def add(self, name: str, login: dict[str, Any], **more: Any) -> str:
        return self.add_other(name, ops_postgresql=login, **more)

    def add_other(self, name: str, **variables: Any) -> str:
        self.hosts[name] = variables
        return name

    def inventory(self) -> Path:
        path = self.folder / "inventory.yml"
        path.write_text(
            yaml.safe_dump({"databases": {"hosts": self.hosts}, "all": {"vars": self.vars}}), encoding="utf-8"
        )
        path.chmod(0o600)
        return path

    def environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "AWS_", "PG"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        return {
            **kept,
            "HOME": str(home),
            "PATH": path,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "10",
            "LC_ALL": "C.UTF-8",
        }

    def start(self, *arguments: str, playbook: str = "monthly-maintenance", **extra: Any) -> Running:
        self.last = f"r{secrets.token_hex(4)}"
        variables = json.dumps({"ops_run_id": self.last, **extra})
        command = ["ansible-playbook", str(TOP / "playbooks" / f"{playbook}.yml"), "-i", str(self.inventory())]
        process = subprocess.Popen(
            [*command, "-e", variables, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return Running(process, self)

    def play(self, *arguments: str, **extra: Any) -> Outcome:
        return self.start(*arguments, **extra).wait()

    def outcome(self, rc: int, out: str) -> Outcome:
        """What is there now. No run may print a warning, or a secret of its inventory."""
        assert not re.search(r"\[(WARNING|DEPRECATION)", out), out
        hidden = secrets_of(self.hosts)
        assert not any(secret in out for secret in hidden), out
        folder = self.runs / self.last
        for path in folder.glob("**/*"):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                assert not any(secret in text for secret in hidden), path
        result = folder / "result.json"
        return Outcome(rc, out, folder, json.loads(result.read_text(encoding="utf-8")) if result.exists() else {})


def secrets_of(given: Any) -> set[str]:
    """What an inventory calls a secret, wherever it stands in there."""
    if isinstance(given, list):
        return set().union(*map(secrets_of, given)) if given else set()
    if not isinstance(given, dict):
        return set()
    found = {str(value) for name, value in given.items() if SECRET.search(name) and isinstance(value, str) and value}
    return found.union(*map(secrets_of, given.values()))


def make_due(database: Database, *, rows: int = 40000, table: str = "ledger") -> None:
    """A table that needs everything: two fifths of its rows dead, its index as empty, never analysed."""
    database.execute(
        f"CREATE TABLE {table} (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off);"
        f"ALTER TABLE {table} OWNER TO orchestrator;"
        f"INSERT INTO {table} SELECT n, repeat('x', 80) FROM generate_series(1, {rows}) n;"
        f"DELETE FROM {table} WHERE id % 5 < 2;"
    )


def slow_vacuum(database: Database, *, endless: bool = True) -> None:
    """Make vacuum in this database take longer than any test waits, or else some seconds."""
    limit, delay = (1, 100) if endless else (50, 10)
    role = f'ALTER ROLE day2_maintenance IN DATABASE "{database.name}" SET'
    database.execute(f"{role} vacuum_cost_delay = {delay}; {role} vacuum_cost_limit = {limit};")


def normal_vacuum(database: Database) -> None:
    database.execute(f'ALTER ROLE day2_maintenance IN DATABASE "{database.name}" RESET ALL')


def until(what: Callable[[], Any], why: str, seconds: float = 90) -> Any:
    """Wait for something to become true; returns it."""
    return wait_until(what, why, seconds, every=0.1)


def at_work(database: Database, command: str = "VACUUM") -> list[tuple[Any, ...]]:
    """The sessions of a run that execute a command in the database now."""
    return database.execute(
        "SELECT pid, application_name, query FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'day2/%%' AND state = 'active' AND query ILIKE %s",
        (f"{command}%",),
    )


def invalid_indexes(database: Database) -> int:
    return int(database.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"))


def dead_rows(database: Database, table: str = "ledger") -> int:
    """Counted in the table's pages, not taken from the statistics."""
    return int(database.value(f"SELECT dead_tuple_count FROM pgstattuple('{table}')"))
