# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup and restore against pg_dump and pg_restore, on the same data and the same disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost, Figure, interleaved, median
from tests.lab import Lab, demo
from tests.lab import module as modules
from tests.lab.age import Key, new_key
from tests.lab.postgres import Postgres
from tests.lab.s3 import S3

ROUNDS = 5
MIB = 1 << 20
# Beside the tables of pgbench: events with a payload as applications write it.
DATA = (
    "CREATE TABLE audit_events (id bigint PRIMARY KEY, org_id int, actor text, created_at timestamptz, payload jsonb)",
    """INSERT INTO audit_events
       SELECT g, (random() * 500)::int, 'user-' || (random() * 20000)::int, now() - g * interval '7 seconds',
              jsonb_build_object('action', (ARRAY['create', 'update', 'delete', 'login', 'export'])[1 + g % 5],
                                 'ip', '10.' || g % 13 || '.' || g % 251 || '.' || g % 241,
                                 'path', '/api/v2/workflows/' || g % 70000 || '/executions',
                                 'agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
                                 'duration_ms', (random() * 900)::int, 'request', substr(md5(g::text), 1, 12))
         FROM generate_series(1, 2000000) g""",
    "CREATE INDEX ON audit_events (created_at)",
    "CREATE INDEX ON audit_events (org_id, actor)",
    "VACUUM ANALYZE",
)
# What `pg_dump | upload` would be: a stream into S3 in parts, by the vendor's own library.
UPLOAD = """
import boto3, sys
client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1")
client.upload_fileobj(sys.stdin.buffer, sys.argv[2], sys.argv[3])
"""


class Bench:
    """A server with data, and the ways to dump and restore it."""

    def __init__(self, lab: Lab) -> None:
        self.server: Postgres = lab.postgres(settings={"max_wal_size": "8GB", "shared_buffers": "512MB"})
        self.folder = lab.shared_folder("bench")
        self.s3: S3 = lab.s3()
        self.key: Key = new_key(lab.root)
        demo.create_roles(self.server)
        self.server.create_database(demo.DATABASE)
        self.tool("pgbench", "--initialize", "--quiet", "--scale=30")
        for statement in DATA:
            self.server.execute(statement, dbname=demo.DATABASE)
        size = self.server.value("SELECT pg_size_pretty(pg_database_size(%s))", [demo.DATABASE])
        print(f"PostgreSQL {self.server.major}, {size}", file=sys.stderr, flush=True)

    def tool(self, *arguments: str | Path) -> None:
        program, *rest = arguments
        env = {**os.environ, **self.server.env(demo.DATABASE)}
        subprocess.run(
            [self.server.tool(str(program)), *rest],
            env=env,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def module(self, name: str, **given: Any) -> dict[str, Any]:
        user = {"postgresql_backup": demo.BACKUP}.get(name, "postgres")
        login = {} if name == "postgresql_backup_verify" else self.server.login(demo.DATABASE, user)
        arguments = {**login, "bin_dir": str(self.server.tool("pg_dump").parent)}
        result = modules.start(name, {**arguments, **given}, fresh=True, target="bench").result(600.0)
        assert not result.get("failed"), result["msg"]
        return result

    def fresh(self, name: str) -> Path:
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def backup(self, store: dict[str, Any]) -> dict[str, Any]:
        after: dict[str, Any] = self.module("postgresql_backup", **store, force=True, backup_encryption="none")[
            "actions"
        ][0]["after"]
        return after

    def to_s3(self) -> dict[str, Any]:
        return {
            "store": f"s3://{self.s3.bucket}/bench",
            "endpoint_url": self.s3.endpoint_url,
            "region": self.s3.region,
            "access_key": self.s3.access_key,
            "secret_key": self.s3.secret_key,
        }

    def piped(self) -> None:
        keys = {"AWS_ACCESS_KEY_ID": self.s3.access_key, "AWS_SECRET_ACCESS_KEY": self.s3.secret_key}
        env = {**os.environ, **self.server.env(demo.DATABASE), **keys}
        command = [str(self.server.tool("pg_dump")), "-Fc", "--compress=zstd:3"]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as dump:
            upload = [sys.executable, "-c", UPLOAD, self.s3.endpoint_url, self.s3.bucket, "peer"]
            subprocess.run(upload, env=env, stdin=dump.stdout, check=True)


def run() -> Iterator[Figure]:
    with Lab() as lab:
        bench = Bench(lab)
        yield from _to_folder(bench)
        yield from _to_s3(bench)
        yield from _back(bench)


def _to_folder(bench: Bench) -> Iterator[Figure]:
    peer = bench.folder / "peer.dump"

    def ours() -> dict[str, Any]:
        return bench.backup({"store": str(bench.fresh("store"))})

    works: list[Callable[[], object]] = [ours, lambda: bench.tool("pg_dump", "-Fc", "-f", peer)]
    mine, other = interleaved(bench.server, works, ROUNDS, memory=True)
    yield Figure("dump_to_folder.wall", median(mine, lambda one: one.wall), median(other, lambda one: one.wall), 0.65)
    yield Figure("dump_to_folder.cpu", median(mine, lambda one: one.cpu), median(other, lambda one: one.cpu), 0.6)
    size = median(mine, lambda one: one.result["bytes"])  # type: ignore[index]
    yield Figure("dump_to_folder.bytes", size, peer.stat().st_size, 0.7)
    yield Figure("dump.memory_mib", median(mine, lambda one: one.memory) / MIB, None, 200)
    yield Figure("dump.extra_disk", max(0, median(mine, lambda one: one.temporary)), None, 0)


def _to_s3(bench: Bench) -> Iterator[Figure]:
    mine, other = interleaved(bench.server, [lambda: bench.backup(bench.to_s3()), bench.piped], ROUNDS)
    yield Figure("dump_to_s3.wall", median(mine, lambda one: one.wall), median(other, lambda one: one.wall), 1.1)
    # The peer holds its snapshot for as long as it runs: pg_dump waits for the upload.
    held = median(mine, lambda one: one.result["snapshot_seconds"])  # type: ignore[index]
    yield Figure("dump_to_s3.snapshot_seconds", held, median(other, lambda one: one.wall), 1.05)


def _back(bench: Bench) -> Iterator[Figure]:
    """The way back: beside the live database, with a comparison; and the proof on a server of its own."""
    store = {"store": str(bench.fresh("store"))}
    bench.backup(store)
    spool, folder = bench.fresh("spool"), bench.folder / "peer.folder"
    shutil.rmtree(folder, ignore_errors=True)
    bench.tool("pg_dump", "-Fd", "-j2", "-f", folder)
    beside = f"{demo.DATABASE}_day2_new"

    def empty(name: str) -> None:
        bench.server.drop_database(name)
        bench.server.create_database(name)

    def ours() -> None:
        bench.server.drop_database(beside)
        bench.module("postgresql_restore", **store, spool_dir=str(spool), jobs=2)

    def theirs(*arguments: str | Path) -> Callable[[], None]:
        def work() -> None:
            empty("peer")
            bench.tool("pg_restore", "-d", "peer", *arguments)

        return work

    def proven() -> None:
        bench.module("postgresql_backup_verify", **store, force=True, jobs=2)

    dump = bench.folder / "peer.dump"
    works = [ours, proven, theirs("-j1", dump), theirs("-j2", folder), theirs("-j2", dump)]
    mine, proof, one, two, peer = interleaved(bench.server, works, ROUNDS)
    wall: Callable[[list[Cost]], float] = lambda costs: median(costs, lambda each: each.wall)  # noqa: E731
    yield Figure("restore.wall_against_one_job", wall(mine), wall(one), 0.75)
    yield Figure("restore.wall_against_two_jobs", wall(mine), wall(two), 1.1)
    yield Figure("verified_restore.wall", wall(proof), wall(peer), 1.6)
