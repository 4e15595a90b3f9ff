# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Amazon RDS has saved of an instance or a cluster, as it says itself. Describes only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Iterable, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, StoreMissing

AWS_OPTIONS = ("region", "endpoint_url", "access_key", "secret_key", "session_token", "profile", "aws_ca_bundle")


@dataclass(frozen=True)
class Saved:
    """``latest`` is the newest state that can be restored, ``snapshot`` the newest complete one."""

    name: str
    version: str
    endpoints: tuple[str, ...]
    retention_days: int
    latest: Optional[datetime]
    earliest: Optional[datetime] = None
    snapshot: Optional[str] = None
    snapshot_at: Optional[datetime] = None


def read(given: Mapping[str, Any], deadline: Deadline) -> Saved:
    """By the suboptions of ``external``. Raises :class:`BadInput` when there is no such instance or cluster."""
    from ansible_collections.day2.ops.plugins.module_utils._store.s3 import connect
    from ansible_collections.day2.ops.plugins.module_utils._store.s3_errors import translated

    # In every mode: here is nothing to change.
    options = {name: given[name] for name in AWS_OPTIONS}
    client = connect(options, read_only=True, deadline=deadline, service="rds")
    kind = "instance" if given["instance"] else "cluster"
    name = given[kind]
    try:
        with translated("read", f"the RDS {kind} {name}"):
            if kind == "instance":
                found = client.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
                pages = client.get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=name)
                snapshots = [one for page in pages for one in page["DBSnapshots"]]
            else:
                found = client.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
                pages = client.get_paginator("describe_db_cluster_snapshots").paginate(DBClusterIdentifier=name)
                snapshots = [one for page in pages for one in page["DBClusterSnapshots"]]
    except StoreMissing:
        raise BadInput(
            f"external.{kind}: RDS has no {kind} {name} there; check the name, the region and the account."
        ) from None
    return parse_instance(found[0], snapshots) if kind == "instance" else parse_cluster(found[0], snapshots)


def parse_instance(told: Mapping[str, Any], snapshots: Iterable[Mapping[str, Any]]) -> Saved:
    """Pure. Members of an Aurora cluster are saved with the cluster."""
    if told.get("DBClusterIdentifier"):
        raise BadInput(
            f"external.instance: {told['DBInstanceIdentifier']} belongs to the cluster {told['DBClusterIdentifier']}; "
            "give that as external.cluster."
        )
    label, moment = _newest(snapshots, "DBSnapshotIdentifier")
    return Saved(
        name=told["DBInstanceIdentifier"],
        version=str(told.get("EngineVersion", "")),
        endpoints=tuple(filter(None, [(told.get("Endpoint") or {}).get("Address")])),
        retention_days=int(told.get("BackupRetentionPeriod") or 0),
        latest=told.get("LatestRestorableTime"),
        snapshot=label,
        snapshot_at=moment,
    )


def parse_cluster(told: Mapping[str, Any], snapshots: Iterable[Mapping[str, Any]]) -> Saved:
    """Pure."""
    label, moment = _newest(snapshots, "DBClusterSnapshotIdentifier")
    return Saved(
        name=told["DBClusterIdentifier"],
        version=str(told.get("EngineVersion", "")),
        endpoints=tuple(filter(None, [told.get("Endpoint"), told.get("ReaderEndpoint")])),
        retention_days=int(told.get("BackupRetentionPeriod") or 0),
        latest=told.get("LatestRestorableTime"),
        earliest=told.get("EarliestRestorableTime"),
        snapshot=label,
        snapshot_at=moment,
    )


def _newest(snapshots: Iterable[Mapping[str, Any]], key: str) -> tuple[Optional[str], Optional[datetime]]:
    done = [one for one in snapshots if one.get("Status") == "available" and one.get("SnapshotCreateTime")]
    last = max(done, key=lambda one: one["SnapshotCreateTime"], default=None)
    return (last[key], last["SnapshotCreateTime"]) if last else (None, None)


def require_same(saved: Saved, host: str) -> None:
    """:class:`BadInput` when ``login_host`` is an address of RDS, and of another one. Other names may be aliases."""
    if host.endswith(".rds.amazonaws.com") and saved.endpoints and host not in saved.endpoints:
        raise BadInput(
            f"external: {saved.name} answers at {', '.join(saved.endpoints)}, but login_host is {host}; give the "
            "instance or cluster that it belongs to."
        )
