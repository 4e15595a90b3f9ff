# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""S3: a moto server with a bucket, and faults that can be switched on."""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .processes import Process, free_port, serve

_SERVER = Path(__file__).resolve().with_name("s3server.py")


@dataclass
class S3:
    """One server. Every AWS service that moto knows answers at its address; faults apply to all requests."""

    name: str
    folder: Path
    port: int
    bucket: str
    access_key: str = field(default_factory=lambda: "LAB" + secrets.token_hex(10).upper())
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    process: Process | None = None

    region = "us-east-1"
    host = "127.0.0.1"

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @classmethod
    def create(cls, name: str, folder: Path, bucket: str) -> S3:
        server = cls(name, folder, free_port(), bucket)
        server.process = serve(
            f"S3 {name}",
            [sys.executable, "-P", _SERVER, str(server.port)],
            folder=folder,
            account=None,
            answers=lambda: server._control("GET", "requests"),
            env={"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
            seconds=60.0,
        )
        server.client().create_bucket(Bucket=bucket)
        server.forget()
        return server

    def _control(self, method: str, what: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint_url}/_lab/{what}", data=data, method=method)
        # Never through a proxy of the environment.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.loads(answer.read())

    def client(self, service: str = "s3", **more: Any) -> Any:
        """A boto3 client."""
        import boto3

        options: dict[str, Any] = {"endpoint_url": self.endpoint_url, "region_name": self.region} | more
        session: Any = boto3.session.Session(aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key)
        return session.client(service, **options)

    def options(self) -> dict[str, Any]:
        """The store options of the collection's modules."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
        }

    def env(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def another_bucket(self, bucket: str | None = None) -> S3:
        """The same server, with a fresh bucket."""
        other = replace(self, bucket=bucket or f"lab-{secrets.token_hex(6)}")
        self.client().create_bucket(Bucket=other.bucket)
        self.forget()
        return other

    def url(self, prefix: str = "") -> str:
        return f"s3://{self.bucket}/{prefix}".rstrip("/")

    def faults(
        self,
        *,
        ignore_conditions: bool = False,
        deny: bool = False,
        slow_down: int = 0,
        delay: float = 0.0,
        lose_replies: int = 0,
        cut_bodies: int = 0,
        flip_bits: int = 0,
        methods: Sequence[str] = (),
        contains: str = "",
    ) -> None:
        """Replace the faults in force.

        ignore_conditions: If-Match and If-None-Match have no effect, as in a store without conditional puts.
        deny: 403 AccessDenied. slow_down: 503 SlowDown for the next n requests. delay: seconds before each request.
        lose_replies: the next n requests are carried out, but the connection closes instead of an answer.
        cut_bodies: the next n answers with a body end halfway. flip_bits: the next n objects read have one wrong bit.
        methods, contains: only requests of these methods, whose path contains this.
        """
        values: dict[str, Any] = {
            "ignore_conditions": ignore_conditions,
            "deny": deny,
            "slow_down": slow_down,
            "delay": delay,
            "lose_replies": lose_replies,
            "cut_bodies": cut_bodies,
            "flip_bits": flip_bits,
            "methods": list(methods),
            "contains": contains,
        }
        self._control("PUT", "faults", values)

    def heal(self) -> None:
        """No faults any more."""
        self.faults()

    def requests(self) -> list[tuple[str, str, int]]:
        """(method, path with query, status) of every request since forget(); status 0: no answer was given."""
        return [(method, path, status) for method, path, status in self._control("GET", "requests")]

    def forget(self) -> None:
        self._control("DELETE", "requests")

    def stop(self) -> None:
        if self.process:
            self.process.stop(seconds=3.0)

    def __enter__(self) -> S3:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
