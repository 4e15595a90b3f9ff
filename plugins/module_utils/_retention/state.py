# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What retention knows: its policies, the tables they speak of, and the rows that are due. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Optional

# What a policy may accept by name; see :mod:`obstacles`.
ACCEPTABLE = (
    "unindexed_reference", "cascade", "set_null", "triggers", "rules", "row_security", "protect_row_security",
    "publication", "naive_timestamp", "min_age", "max_fraction", "max_rows",
)  # fmt: skip


@dataclass(frozen=True)
class Span:
    """A length of time as a policy gives it. Months and years are the calendar's; ``aligned``: whole days."""

    months: int = 0
    days: int = 0
    seconds: int = 0

    @property
    def aligned(self) -> bool:
        return not self.seconds

    @property
    def least(self) -> timedelta:
        """The shortest that it can be."""
        return timedelta(days=self.days + self.months * 28, seconds=self.seconds)


@dataclass(frozen=True)
class Policy:
    """One rule for one table. ``table`` is (schema or None, name); ``hash`` is of all that decides."""

    name: str
    table: tuple[Optional[str], str]
    column: str
    archive: str
    hash: str
    older_than: Optional[Span] = None
    keep_last: Optional[int] = None
    per: tuple[str, ...] = ()
    where: Optional[str] = None
    protect: Optional[str] = None
    legal_hold: Optional[str] = None
    erase: bool = False
    archive_delete_after: Optional[Span] = None
    archive_format: str = "text"
    min_age: Span = Span(days=7)
    max_fraction: float = 0.2
    max_rows: Optional[int] = None
    partitions: bool = False
    accept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Column:
    """``type`` as format_type spells it, schema and modifier included where needed. ``identity``: a, d or empty.
    ``base``: the type without domain and modifier."""

    name: str
    type: str
    not_null: bool = False
    collation: Optional[str] = None
    default: Optional[str] = None
    identity: str = ""
    generated: bool = False
    base: str = ""


@dataclass(frozen=True)
class Relation:
    """A table. ``key`` identifies a row (empty: nothing does); ``walk`` is the order in which it is read: the policy's
    column first where an index begins with it, then the key. ``protects``: the columns that the policy's ``protect``
    query gives, in its order. ``path``: the schemas that unqualified names of the policy mean (a search_path)."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: str
    rows: float
    bytes: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    walk: tuple[str, ...]
    protects: tuple[str, ...] = ()
    path: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        return next(one for one in self.columns if one.name == name)

    @property
    def copied(self) -> tuple[Column, ...]:
        """The columns of an archived row: the key's first, then the others; generated ones are made anew."""
        keys = [self.column(name) for name in self.key]
        return (*keys, *(one for one in self.columns if one.name not in self.key and not one.generated))


@dataclass(frozen=True)
class Due:
    """Rows that a policy lets go, those that only a legal hold or other rows keep, and all rows of the table. Bytes:
    estimated. ``apart``: the part of ``rows`` that lies in partitions which go as a whole. ``referenced``: the part of
    ``held`` that other rows keep."""

    rows: int = 0
    held: int = 0
    total: float = 0.0
    bytes: int = 0
    apart: int = 0
    # Of a partitioned table: the rows by partition, spelled.
    parts: tuple[tuple[str, int], ...] = ()
    referenced: int = 0


@dataclass(frozen=True)
class Obstacle:
    """A reason not to delete. ``name`` is what ``accept`` calls it, empty for what cannot be accepted. ``fact``: what a
    plan says of one that was accepted."""

    name: str
    text: str
    fact: str = ""


@dataclass(frozen=True)
class Partition:
    """A partition that is due as a whole. ``pending``: its detaching was begun and not finished."""

    oid: int
    schema: str
    name: str
    upper: str
    bytes: int
    rows: float
    pending: bool = False


@dataclass(frozen=True)
class Found:
    """A policy with what was found. ``cutoff`` is the server's, for policies by age. ``known``: it has run here."""

    policy: Policy
    relation: Relation
    cutoff: Optional[datetime]
    due: Due
    obstacles: tuple[Obstacle, ...] = ()
    known: bool = False
    partitions: tuple[Partition, ...] = ()
    # Oids of the tables that reference this one.
    referenced_by: frozenset[int] = field(default_factory=frozenset)
    # Publications of the table that tell of no deletes.
    silent: tuple[str, ...] = ()
