# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m tests.lab up|status|down|env|tally: the demo's servers, for as long as they are wanted."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from . import demo
from .downloads import MAJORS
from .lab import CHECKOUT, Lab
from .postgres import Postgres
from .processes import LabError
from .state import State, remove_orphans

PARTS = {
    **{f"pg{major}": f"PostgreSQL {major} with a small copy of the data" for major in MAJORS[:-1]},
    "standby": "a streaming standby of the main server",
    "sync": "a synchronous standby of the main server",
    "pgbouncer": "PgBouncer before the main server, in session and in transaction mode",
    "pgbackrest": "PostgreSQL 15, archived into a repository of pgBackRest, with a full backup",
    "monitoring": "Prometheus, an Alertmanager with alerts, and nginx with a few pages",
    "tls": "a PostgreSQL server that wants TLS, with a small copy of the data",
}
SMALL = 0.02


class Interrupted(Exception):
    """A signal came."""


@contextmanager
def _interruptible() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP becomes an exception; those that follow are ignored: cleaning up goes on."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Steps:
    """One line per step: what, and how long it took."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def done(self, text: str) -> None:
        now = time.monotonic()
        print(f"  {now - self._since:5.1f} s  {text}", flush=True)
        self._since = now


def _up(state: State, parts: list[str], scale: float) -> int:
    with _interruptible(), state.locked():
        if found := state.read():
            if found["complete"] and all(server.running for server in state.servers()):
                if found["parts"] != parts:
                    had = ",".join(found["parts"]) or "nothing"
                    raise LabError(
                        f"The lab is up with other parts (--with {had}): stop it first with: python -m tests.lab down"
                    )
                print("The lab is up already.")
                return _status(state)
            state.clear()
        began = time.monotonic()
        with Lab() as lab, contextlib.ExitStack() as undo:
            undo.callback(state.clear)
            undo.callback(lab.close)
            state.begin(lab)
            filled = _build(lab, parts, scale)
            state.save(lab, parts, filled)
            # From here on the servers stand on their own.
            lab.release()
            undo.pop_all()
    print(f"The lab is up after {time.monotonic() - began:.0f} s. Stop it with: python -m tests.lab down")
    return 0


def _build(lab: Lab, parts: Sequence[str], scale: float) -> dict[str, Any]:
    """Start everything; returns what demo.yml says about the servers with data."""
    steps = _Steps()

    def filled(server: Postgres, size: float) -> None:
        if size > 0:
            rows = sum(demo.fill(server, size).rows.values())
            steps.done(f"{server.name}: {rows:,} rows in database {demo.DATABASE}")
            with_data.append(server.name)

    with_data: list[str] = []
    store = lab.s3()
    steps.done(f"S3 (moto) at {store.endpoint_url}, bucket {store.bucket}")
    cache = lab.redis()
    keys = demo.fill_redis(cache, min(1.0, scale))
    steps.done(f"Redis (Valkey) at {cache.host}:{cache.port}, {keys:,} keys")
    # A fill of some seconds deserves more room than the default settings give.
    main = lab.postgres(settings={"max_wal_size": "4GB", "shared_buffers": "256MB"})
    steps.done(f"PostgreSQL {main.major} at {main.host}:{main.port}")
    filled(main, scale)
    for major in MAJORS[:-1]:
        if f"pg{major}" in parts:
            server = lab.postgres(major, f"pg{major}")
            steps.done(f"PostgreSQL {major} at {server.host}:{server.port}")
            filled(server, min(SMALL, scale))
    if "pgbackrest" in parts:
        repository = lab.pgbackrest()
        repository("backup", "--type=full")
        archived = repository.postgres
        steps.done(f"PostgreSQL {archived.major}, archived by pgBackRest, at {archived.host}:{archived.port}")
    if "monitoring" in parts:
        prometheus = lab.prometheus()
        steps.done(f"Prometheus at {prometheus.url}")
        alertmanager = lab.alertmanager()
        alertmanager.fire("Watchdog", "none")
        alertmanager.fire("DiskFills", "warning", instance="db1")
        steps.done(f"Alertmanager with two alerts at {alertmanager.url}")
        pages = lab.nginx()
        steps.done(f"nginx at {pages.url} and {pages.tls_url}")
    if "tls" in parts:
        server = lab.postgres(name="tls", tls=True)
        steps.done(f"PostgreSQL {server.major} with TLS at {server.host}:{server.port}")
        filled(server, min(SMALL, scale))
    for part, synchronous in (("standby", False), ("sync", True)):
        if part in parts:
            standby = lab.standby(main, part, synchronous=synchronous)
            steps.done(f"standby ({'synchronous' if synchronous else 'asynchronous'}) at {standby.host}:{standby.port}")
    if "pgbouncer" in parts:
        for mode in ("session", "transaction"):
            pooler = lab.pgbouncer(main, mode)
            steps.done(f"PgBouncer ({mode}) at {pooler.host}:{pooler.port}")
    names = {
        "database": demo.DATABASE,
        "owner": demo.OWNER,
        "maintenance_role": demo.MAINTENANCE,
        "observe_role": demo.OBSERVE,
        "backup_role": demo.BACKUP,
        "retention_role": demo.RETENTION,
    }
    return {"servers": with_data, **names}


def _status(state: State) -> int:
    found = state.read()
    if found is None:
        print("The lab is down.")
        return 1
    servers = state.servers()
    rows = [("server", "kind", "version", "address", "pid", "state")]
    rows += [
        (
            one.name,
            one.kind,
            one.version or "-",
            one.address,
            str(one.process.pid),
            "running" if one.running else "gone",
        )
        for one in servers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    if not found["complete"]:
        print("The lab is starting, or its start was killed; in that case: python -m tests.lab down")
    return 0 if found["complete"] and all(server.running for server in servers) else 1


def _down(state: State) -> int:
    if not state.folder.exists():
        remove_orphans()
        print("The lab is down already.")
        return 0
    with state.locked():
        print("The lab is down." if state.clear() else "The lab is down already.")
    return 0


def _variables(state: State) -> dict[str, Any]:
    import yaml

    if not state.variables.exists():
        raise LabError("The lab is down: start it with: python -m tests.lab up")
    lab: dict[str, Any] = yaml.safe_load(state.variables.read_text(encoding="utf-8"))["lab"]
    return lab


def _tally(state: State) -> int:
    """How many rows there are, in the tables and in archives, as JSON."""
    from .tally import tally

    print(json.dumps(tally(_variables(state))))
    return 0


def _env(state: State) -> int:
    """Shell lines for psql, the AWS command line and redis-cli."""
    lab = _variables(state)
    main, store, cache = lab["postgresql"]["main"], lab["s3"]["s3"], lab["redis"]["redis"]
    values = {
        "PGHOST": main["host"],
        "PGPORT": main["port"],
        "PGUSER": "postgres",
        "PGPASSWORD": main["passwords"]["postgres"],
        "PGDATABASE": main.get("database", "postgres"),
        "AWS_ENDPOINT_URL": store["endpoint_url"],
        "AWS_DEFAULT_REGION": store["region"],
        "AWS_ACCESS_KEY_ID": store["access_key"],
        "AWS_SECRET_ACCESS_KEY": store["secret_key"],
        "REDISCLI_AUTH": cache["password"],
        "REDIS_HOST": cache["host"],
        "REDIS_PORT": cache["port"],
    }
    for key, value in values.items():
        print(f"export {key}={shlex.quote(str(value))}")
    return 0


def _parts(text: str) -> list[str]:
    wanted = {word for word in text.replace(",", " ").split() if word}
    if "all" in wanted:
        wanted = set(PARTS)
    if unknown := sorted(wanted - set(PARTS)):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(unknown)} (parts: {', '.join(PARTS)}, all)")
    return [part for part in PARTS if part in wanted]


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError("a number from 0 (no data) to 100")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="Real servers for the demo.")
    parser.add_argument("command", choices=("up", "status", "down", "env", "tally"))
    parser.add_argument(
        "--state", type=Path, default=CHECKOUT / ".lab", help="state folder (default: .lab in the checkout)"
    )
    more = "; ".join(f"{part}: {text}" for part, text in PARTS.items())
    parser.add_argument(
        "--with",
        dest="parts",
        type=_parts,
        default=[],
        metavar="PART[,PART…]",
        help=f"more servers than PostgreSQL 18, Redis and S3: {more}; all",
    )
    parser.add_argument(
        "--scale", type=_scale, default=1.0, help="amount of demo data; 1 is some two million rows, 0 none"
    )
    chosen = parser.parse_args(arguments)
    state = State(chosen.state.absolute())
    try:
        if chosen.command == "up":
            return _up(state, chosen.parts, chosen.scale)
        return {"status": _status, "down": _down, "env": _env, "tally": _tally}[chosen.command](state)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except Interrupted as signal_name:
        print(f"Interrupted ({signal_name}): everything that was started is stopped again.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
