# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""python -m tests.lab tally: how many rows each table has, and how many lie in archives, counted one by one.

Nothing of the collection takes part in it: SQL for the ones, the libraries of S3, age and zstd for the others.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import psycopg2
import pyrage
import zstandard
from psycopg2 import sql

from . import demo

ARCHIVES = "/v1/archives/"


def tally(lab: dict[str, Any]) -> dict[str, dict[str, int]]:
    """By table ``{rows, archived}``; ``lab`` is what the inventory of the demo reads."""
    rows, archived = _rows(lab["postgresql"]["main"]), _archived(lab["s3"]["s3"], lab["age"]["identity_file"])
    return {table: {"rows": rows[table], "archived": archived[f"public.{table}"]} for table in demo.TABLES}


def _rows(main: dict[str, Any]) -> dict[str, int]:
    login = {"host": main["host"], "port": main["port"], "user": "postgres", "dbname": main["database"]}
    found = {}
    with (
        closing(psycopg2.connect(**login, password=main["passwords"]["postgres"])) as connection,
        connection.cursor() as cursor,
    ):
        for table in demo.TABLES:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table)))
            row = cursor.fetchone()
            found[table] = int(row[0]) if row else 0
    return found


def _archived(store: dict[str, Any], identity_file: str) -> Counter[str]:
    keys = {"aws_access_key_id": store["access_key"], "aws_secret_access_key": store["secret_key"]}
    client = boto3.client("s3", endpoint_url=store["endpoint_url"], region_name=store["region"], **keys)
    secret = Path(identity_file).read_text(encoding="utf-8").splitlines()[-1]
    identity = pyrage.x25519.Identity.from_str(secret)
    found: Counter[str] = Counter()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=store["bucket"])
    names = [item["Key"] for page in pages for item in page.get("Contents", []) if ARCHIVES in item["Key"]]
    for name in (name for name in names if name.endswith("/rows.copy.zst.age")):
        about = client.get_object(Bucket=store["bucket"], Key=f"{name.rpartition('/')[0]}/about.json")["Body"].read()
        packed = pyrage.decrypt(client.get_object(Bucket=store["bucket"], Key=name)["Body"].read(), [identity])
        found[json.loads(about)["table"]] += (
            zstandard.ZstdDecompressor().decompressobj().decompress(packed).count(b"\n")
        )
    return found
