# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's servers, started for real."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from tests.lab import CHECKOUT, Lab, LabError, demo, sweep
from tests.lab.fixtures import all_majors
from tests.lab.postgres import Postgres
from tests.lab.processes import wait_until
from tests.lab.redis import Redis
from tests.lab.s3 import S3

# Every test on a server tries the lab, too; what is left for its own tests is for the soak.
pytestmark = [pytest.mark.lab, pytest.mark.soak]


# -- PostgreSQL


@all_majors
def test_every_major_version_runs_as_asked(pg: Postgres) -> None:
    rows = dict(
        pg.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN"
            " ('server_version_num', 'data_checksums', 'password_encryption', 'shared_preload_libraries', 'fsync')"
        )
    )
    assert int(rows["server_version_num"]) // 10000 == pg.major
    assert rows["data_checksums"] == rows["fsync"] == "on"
    assert rows["password_encryption"] == "scram-sha-256"
    assert rows["shared_preload_libraries"] == "pg_stat_statements"
    assert len(pg.password) >= 30
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        pg.connect(password="wrong")
    with contextlib.closing(pg.connect(host=pg.socket_dir)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT inet_server_addr() IS NULL")
        assert cursor.fetchone() == (True,)
    assert os.geteuid() != 0 or pg.data_dir.stat().st_uid != 0
    assert not any(secret in pg.log() for secret in pg.passwords.values())


@all_majors
def test_the_demo_s_data_has_something_for_every_module(pg: Postgres) -> None:
    name = "demo_small"
    filled = demo.fill(pg, 0.005, name)
    try:
        assert sum(filled.rows.values()) > 5000
        query = "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid"
        assert pg.execute(query, dbname=name) == [(demo.LEFTOVER,)]
        for table, column, days in (
            ("execution_logs", "created_at", 90),
            ("audit_events", '"timestamp"', 90),
            ("audit_logs", "created_at", 365),
            ("workflows", "updated_at", 30),
        ):
            query = f"SELECT avg((now() - {column} > interval '{days} days')::int) FROM {table}"
            assert 0.2 < pg.value(query, dbname=name) < 0.8, table
        # None would keep its workflow from going.
        query = "SELECT count(*) FROM workflow_versions v JOIN workflows w ON w.id = workflow_id"
        assert pg.value(f"{query} WHERE v.created_at >= w.updated_at", dbname=name) == 0
        query = "SELECT avg_leaf_density FROM pgstatindex('audit_events_user_idx')"
        assert pg.value(query, dbname=name, user=demo.OBSERVE) < 50
    finally:
        pg.drop_database(name)


def test_the_demo_s_roles_have_exactly_what_they_need(pg18: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        pg18.connect(user=demo.OBSERVE)
    assert pg18.value("SELECT 1", user=demo.MAINTENANCE) == 1
    query = (
        "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
        " WHERE m.member = %s::regrole ORDER BY 1"
    )
    assert pg18.execute(query, (demo.MAINTENANCE,)) == [("orchestrator",), ("pg_monitor",)]
    assert pg18.execute(query, (demo.OBSERVE,)) == [("pg_monitor",)]
    assert pg18.value("SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname LIKE 'day2%%'", ()) is False


@all_majors
def test_kill_9_and_recovery(pg: Postgres) -> None:
    with contextlib.closing(pg.connect()) as busy, busy.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS survivors (i int); INSERT INTO survivors VALUES (1)")
        # A backend in the middle of computing does not notice by itself that its postmaster died.
        query = "SELECT count(*) FROM generate_series(1, 1000000000)"
        thread = threading.Thread(target=_ignore_errors, args=(cursor, query))
        thread.start()
        time.sleep(0.3)
        port = pg.port
        pg.kill9()
        assert sweep.members(pg.data_dir) == []
        thread.join(10)
        assert not thread.is_alive()
    pg.start()
    assert pg.port == port
    assert pg.value("SELECT count(*) FROM survivors") >= 1
    pg.execute("DROP TABLE survivors")


def _ignore_errors(cursor: Any, query: str) -> None:
    with contextlib.suppress(psycopg2.Error):
        cursor.execute(query)


def test_standbys_and_failover(lab: Lab) -> None:
    primary = lab.postgres(name="primary")
    late = lab.standby(primary, "late")
    sure = lab.standby(primary, "sure", synchronous=True)
    states = dict(primary.execute("SELECT application_name, sync_state FROM pg_stat_replication"))
    assert states == {"late": "async", "sure": "sync"}
    primary.execute("CREATE TABLE t AS SELECT 1 AS i")
    primary.caught_up(late)
    assert late.value("SELECT pg_is_in_recovery()") is True
    with lab.proxy(primary) as endpoint:
        with contextlib.closing(primary.connect(host=endpoint.host, port=endpoint.port)) as connection:
            primary.kill9()
            sure.promote()
            endpoint.move((sure.host, sure.port))
            with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        with primary.cursor(host=endpoint.host, port=endpoint.port) as cursor:
            cursor.execute("INSERT INTO t VALUES (2)")
    assert sure.value("SELECT count(*) FROM t") == 2
    for server in (late, sure, primary):
        server.stop()
        assert not server.running()


def test_a_stopped_postgresql_is_not_killed(lab: Lab) -> None:
    with lab.postgres(14, "stopping") as server:
        with contextlib.closing(server.connect()):
            with pytest.raises(LabError, match="still there after"):
                server.stop("smart", seconds=0.5)
            assert server.running()
        server.stop("fast")
        assert "database system is shut down" in server.log()
        server.start()
        assert server.value("SELECT 1") == 1


def test_a_setting_that_is_wrong_is_told(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"(?s)Failed to start PostgreSQL wrong.*no_such_setting"):
        lab.postgres(name="wrong", settings={"no_such_setting": 1})


def test_tls_is_verified_and_demanded(lab: Lab) -> None:
    with lab.postgres(name="encrypted", tls=True) as server:
        assert server.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
        assert server.login()["ssl_mode"] == "verify-full"
        with pytest.raises(psycopg2.OperationalError, match="no encryption"):
            server.connect(sslmode="disable")
        with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
            server.connect(sslrootcert="/etc/ssl/certs/ca-certificates.crt")
        with lab.standby(server, "encrypted-standby") as standby:
            assert standby.value("SELECT pg_is_in_recovery()") is True
        pooler = lab.pgbouncer(server, "session")
        with contextlib.closing(pooler.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True,)
        pooler.stop()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_pgbouncer(lab: Lab, pg18: Postgres, mode: str) -> None:
    with lab.pgbouncer(pg18, mode) as pooler:
        with contextlib.closing(pooler.connect(user=demo.MAINTENANCE)) as one, one.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            first = cursor.fetchone()
            with contextlib.closing(pooler.connect(user=demo.MAINTENANCE)) as two, two.cursor() as other:
                other.execute("SELECT pg_backend_pid()")
                # One server connection serves both clients, or each has its own.
                assert (other.fetchone() == first) is (mode == "transaction")
        pg18.create_role(f"late_{mode}")
        pg18.execute(f"GRANT CONNECT ON DATABASE postgres TO late_{mode}")
        pooler.reload()
        time.sleep(0.2)
        pooler.connect(user=f"late_{mode}").close()
        pg18.execute(f"REVOKE CONNECT ON DATABASE postgres FROM late_{mode}; DROP ROLE late_{mode}")
        del pg18.passwords[f"late_{mode}"]


def test_a_lost_commit_reply_is_a_commit(lab: Lab, database: Any) -> None:
    database.execute("CREATE TABLE t (i int)")
    server = database.postgres
    with lab.proxy(server) as proxy:
        proxy.lose_reply_to(b"COMMIT")
        dsn = server.dsn(database.name, host=proxy.host, port=proxy.port, sslmode="disable")
        with contextlib.closing(psycopg2.connect(dsn)) as connection:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(psycopg2.OperationalError):
                connection.commit()
    assert database.value("SELECT count(*) FROM t") == 1


# -- Redis and S3


def test_redis(redis_server: Redis, lab: Lab) -> None:
    import redis

    assert demo.fill_redis(redis_server, 0.01) > 200
    with redis_server.client() as client:
        assert client.ttl("result:000000") == -1
        assert client.hlen("stats:daily") == 300
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=redis_server.port) as client:
        client.ping()
    with lab.redis("small", settings={"maxmemory": "8mb"}) as small, small.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(8 << 20)}


def test_s3_works_before_any_fault_is_set(lab: Lab) -> None:
    with lab.s3("plain", bucket="one") as server:
        for number in range(3):
            server.client().put_object(Bucket="one", Key=f"dir/{number}", Body=b"x")
        assert [(method, status) for method, _path, status in server.requests()] == [("PUT", 200)] * 3
        assert server.client("sts").get_caller_identity()["Account"]


def test_s3_keeps_conditions(s3: S3) -> None:
    client = s3.client()
    client.put_object(Bucket=s3.bucket, Key="a", Body=b"1", IfNoneMatch="*")
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=s3.bucket, Key="a", Body=b"2", IfNoneMatch="*")
    s3.faults(ignore_conditions=True)
    client.put_object(Bucket=s3.bucket, Key="a", Body=b"2", IfNoneMatch="*")
    s3.heal()
    assert client.get_object(Bucket=s3.bucket, Key="a")["Body"].read() == b"2"


def test_s3_lets_one_of_many_conditional_puts_win(s3: S3) -> None:
    from botocore.config import Config

    client = s3.client(config=Config(max_pool_connections=16))

    def put(number: int) -> bool:
        try:
            client.put_object(Bucket=s3.bucket, Key="lease", Body=str(number).encode(), IfNoneMatch="*")
        except client.exceptions.ClientError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(put, range(64))) == 1


def test_s3_stores_no_half_object(s3: S3) -> None:
    with socket.create_connection((s3.host, s3.port)) as connection:
        connection.sendall(f"PUT /{s3.bucket}/half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
    time.sleep(0.3)
    assert s3.client().list_objects_v2(Bucket=s3.bucket)["KeyCount"] == 0


def test_s3_faults(s3: S3) -> None:
    from botocore.config import Config
    from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ReadTimeoutError

    client = s3.client(config=Config(retries={"total_max_attempts": 1}, read_timeout=1))
    client.put_object(Bucket=s3.bucket, Key="dir/a", Body=b"1234567890" * 1000)
    s3.faults(deny=True, methods=["PUT"], contains="/dir/")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=s3.bucket, Key="dir/b", Body=b"x" * 100_000)
    client.put_object(Bucket=s3.bucket, Key="other/b", Body=b"x")
    s3.faults(deny=True)
    with pytest.raises(ClientError, match="403"):
        client.head_object(Bucket=s3.bucket, Key="dir/a")
    s3.faults(slow_down=2)
    for _ in range(2):
        with pytest.raises(ClientError, match="SlowDown"):
            client.get_object(Bucket=s3.bucket, Key="dir/a")
    assert len(client.get_object(Bucket=s3.bucket, Key="dir/a")["Body"].read()) == 10_000
    s3.faults(delay=1.5)
    with pytest.raises(ReadTimeoutError):
        client.get_object(Bucket=s3.bucket, Key="dir/a")
    s3.heal()
    s3.forget()
    s3.faults(lose_replies=1, methods=["PUT"])
    with pytest.raises(HTTPClientError):
        client.put_object(Bucket=s3.bucket, Key="dir/c", Body=b"c")
    assert client.get_object(Bucket=s3.bucket, Key="dir/c")["Body"].read() == b"c"
    assert [(method, status) for method, _path, status in s3.requests()] == [("PUT", 0), ("GET", 200)]
    s3.faults(cut_bodies=1)
    with pytest.raises((IncompleteReadError, HTTPClientError)):
        client.get_object(Bucket=s3.bucket, Key="dir/a")["Body"].read()
    s3.faults(flip_bits=1)
    plain = s3.client(config=Config(response_checksum_validation="when_required"))
    assert plain.get_object(Bucket=s3.bucket, Key="dir/a")["Body"].read() == b"0" + (b"1234567890" * 1000)[1:]
    assert plain.get_object(Bucket=s3.bucket, Key="dir/a")["Body"].read() == b"1234567890" * 1000


# -- the command


def command(state: Path, *words: str, scale: str = "0.002") -> list[str]:
    more = ["--scale", scale] if words[0] == "up" else []
    return [sys.executable, "-m", "tests.lab", *words, "--state", str(state), *more]


def run(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(state, *words), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300
    )


def test_up_status_env_down(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert run(state, "status").returncode == 1
    assert run(state, "down").returncode == 0
    assert not state.exists()
    done = run(state, "up", "--with", "pgbouncer,standby")
    try:
        assert done.returncode == 0, done.stderr
        assert {path.name: oct(path.stat().st_mode & 0o777) for path in state.iterdir() if path.suffix} == {
            "state.json": "0o600",
            "demo.yml": "0o600",
        }
        lab = yaml.safe_load((state / "demo.yml").read_text(encoding="utf-8"))["lab"]
        main = lab["postgresql"]["main"]
        values = {"dbname": main["database"], "user": main["maintenance_role"], "host": main["host"]}
        password = main["passwords"][main["maintenance_role"]]
        with (
            contextlib.closing(psycopg2.connect(**values, port=main["port"], password=password)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT count(*) FROM execution_logs")
            assert cursor.fetchone() > (100,)
        assert sorted(lab["postgresql"]) == ["main", "standby"]
        assert len(lab["pgbouncer"]) == 2
        status = run(state, "status")
        assert status.returncode == 0
        assert status.stdout.count("running") == 6
        assert not any(secret in status.stdout + done.stdout for secret in main["passwords"].values())
        assert "PGPASSWORD=" in run(state, "env").stdout
        assert "up already" in run(state, "up", "--with", "standby,pgbouncer").stdout
        assert "other parts" in run(state, "up").stderr
        # A killed server is seen, and does not keep `down` from cleaning up.
        line = next(line for line in status.stdout.splitlines() if line.startswith("main"))
        os.kill(int(line.split()[-2]), signal.SIGKILL)
        time.sleep(0.3)
        assert run(state, "status").returncode == 1
    finally:
        down = run(state, "down")
    assert down.returncode == 0, down.stderr
    assert not state.exists()
    assert not Path(lab["root"]).exists()
    assert run(state, "down").returncode == 0


def test_down_ends_a_lab_that_lost_its_state(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    assert run(lost, "up").returncode == 0
    root = Path(yaml.safe_load((lost / "demo.yml").read_text(encoding="utf-8"))["lab"]["root"])
    with Lab() as running:
        shutil.rmtree(lost)
        assert run(tmp_path / "other", "down").returncode == 0
        assert running.root.is_dir(), "a lab without a state file is a test's, and ends with it"
    assert not root.exists()


@pytest.mark.parametrize(
    ("number", "after"),
    [(signal.SIGINT, 0.3), (signal.SIGINT, 4.0), (signal.SIGTERM, 2.5), (signal.SIGKILL, 3.0), (signal.SIGINT, 8.0)],
)
def test_an_interrupted_up_leaves_nothing(tmp_path: Path, number: int, after: float) -> None:
    state = tmp_path / "state"
    # Of its own, so that other labs of this machine are not in the picture; short, and open to the servers' user.
    with tempfile.TemporaryDirectory(prefix="d2-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        process = subprocess.Popen(
            command(state, "up", scale="0.5"),
            cwd=CHECKOUT,
            env=os.environ | {"TMPDIR": place},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(after)
        assert process.poll() is None, "it was faster than this test"
        process.send_signal(number)
        _out, words = process.communicate(timeout=60)
        if number == signal.SIGKILL:
            assert run(state, "down").returncode == 0
            wait_until(lambda: not os.listdir(place), "the guard to clean up")
        else:
            assert process.returncode != 0
            assert after < 1 or "Interrupted" in words
        assert os.listdir(place) == []
        assert sweep.members(Path(place)) == []
    assert not (state / "state.json").exists()
    assert not (state / "demo.yml").exists()
