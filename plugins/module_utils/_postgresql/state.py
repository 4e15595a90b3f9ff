# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a database as maintenance sees it, and the policy that judges it: plain values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional


@dataclass(frozen=True)
class Table:
    """A table, materialised view or partitioned parent. Bytes; ages in seconds before the reading (None: never)."""

    oid: int
    schema: str
    name: str
    owner: str = ""
    kind: str = "r"
    root: Optional[int] = None
    bytes: int = 0
    toast_bytes: int = 0
    index_bytes: int = 0
    pages: int = 0
    visible_pages: int = 0
    rows: float = 0.0
    live: int = 0
    dead: int = 0
    toast_live: int = 0
    toast_dead: int = 0
    changed: int = 0
    vacuumed: Optional[float] = None
    analyzed: Optional[float] = None
    vacuums: int = 0
    analyzes: int = 0
    xid_age: int = 0
    mxid_age: int = 0
    toast: Optional[int] = None
    # What it would take without bloat, where only its size can tell; and how its dead rows are known, and how sure.
    useful_bytes: Optional[float] = None
    method: str = "statistics"
    confidence: str = "high"
    # The server's statistics know nothing of it (a crash, a failover, a copy, a reset): dead rows are unknown.
    lost: bool = False
    # Somebody keeps everybody out: bytes are those of its last vacuum.
    locked: bool = False


@dataclass(frozen=True)
class Index:
    """``useful_bytes``: what a rebuild of today's entries would take, by ``method``; None when it could not be told.
    ``at_most``: what one of the rows that were counted in its table takes at most, however many entries it has."""

    oid: int
    schema: str
    name: str
    table: int
    toast: bool = False
    method: str = "btree"
    valid: bool = True
    exclusion: bool = False
    partial: bool = False
    bytes: int = 0
    rows: float = -1.0
    fillfactor: int = 90
    useful_bytes: Optional[float] = None
    at_most: Optional[float] = None
    measured: str = ""
    confidence: str = ""
    builder: Optional[int] = None
    # What this user lacks to rebuild the index of a TOAST table: schema, owner, or both.
    lacking: str = ""
    # Whether this user may drop it.
    owned: bool = True
    locked: bool = False


@dataclass(frozen=True)
class Holder:
    """What keeps dead rows from being removed: ``age`` seconds (None: unknown), ``xids`` behind the present one."""

    what: str
    xids: int
    age: Optional[float] = None


@dataclass(frozen=True)
class Blocker:
    """An old transaction that a concurrent rebuild would have to wait for; ``tables``: only on these (empty: all)."""

    what: str
    age: float
    tables: frozenset[int] = frozenset()


@dataclass(frozen=True)
class History:
    """What earlier runs have learnt; ``known`` is False where nobody could tell.

    ``deferred``: how often in a row, by "action subject". ``raised``: ratios by index. ``bytes_per_row``: the best ever
    seen, by table or index. Names are spelled.
    """

    known: bool = False
    throughput: Mapping[str, float] = field(default_factory=dict)
    deferred: Mapping[str, int] = field(default_factory=dict)
    raised: Mapping[str, float] = field(default_factory=dict)
    bytes_per_row: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Care:
    """Who takes care already. ``at_work``: who vacuums now, by table. ``jobs``: by kind of action and table.

    ``parents``: partitioned tables whose partitions pg_partman makes and drops.
    """

    at_work: Mapping[int, str] = field(default_factory=dict)
    jobs: Mapping[tuple[str, int], str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    version: int
    tables: tuple[Table, ...] = ()
    indexes: tuple[Index, ...] = ()
    holders: tuple[Holder, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    # Who keeps everybody out of a table or an index, by its oid.
    lockers: Mapping[int, Blocker] = field(default_factory=dict)
    # Bytes per second, learnt; see RATES.
    rates: Mapping[str, float] = field(default_factory=dict)
    disk_free: Optional[float] = None
    # Kind of action: who is in its way.
    obstacles: Mapping[str, str] = field(default_factory=dict)
    history: History = field(default_factory=History)
    care: Care = field(default_factory=Care)
    # Who asks; named in statements that would allow more.
    role: str = ""


# What a slow disk still gives; measured rates replace these.
RATES: Mapping[str, float] = {"vacuum": 50e6, "analyze": 50e6, "reindex": 60e6}
OPERATIONS = ("vacuum", "analyze", "reindex", "drop_index")
SCOPES = ("due", "all")
# What becomes of work that somebody's old transaction makes useless, or would keep waiting.
HOLDERS = ("skip", "wait", "report")


@dataclass(frozen=True)
class Override:
    """Thresholds of their own: of a schema (``table`` empty), or of a table (``schema`` empty: in any schema)."""

    schema: str
    table: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """The options that decide, as the module documents them."""

    operations: frozenset[str] = frozenset(OPERATIONS)
    vacuum_min_dead_rows: int = 10_000
    vacuum_dead_ratio: float = 0.1
    freeze_age: int = 150_000_000
    freeze_mxid_age: int = 300_000_000
    wraparound_age: int = 1_200_000_000
    vacuum_truncate: bool = False
    allow_exclusive_lock: bool = False
    analyze_min_rows: int = 1_000
    analyze_ratio: float = 0.1
    index_bloat_ratio: float = 0.3
    index_min_bytes: int = 10 << 20
    max_transaction_age: float = 60.0
    lock_timeout: float = 2.0
    scope: str = "due"
    jobs: int = 1
    # Of all connections together; None: the server's.
    vacuum_cost_limit: Optional[int] = None
    vacuum_cost_delay: Optional[float] = None
    cleanup_reserve: float = 15.0
    holders: str = "skip"
    holders_wait: float = 600.0
    # Seconds that the longest window lasts; None: nobody knows.
    max_window: Optional[float] = None
    overrides: tuple[Override, ...] = ()
