# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of what is there: ages, sizes, tables and indexes."""

from __future__ import annotations

from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check
from ansible_collections.day2.ops.plugins.module_utils._postgresql import needs, read, trouble, types
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.names import quote, spell
from ansible_collections.day2.ops.plugins.module_utils._postgresql.state import Index, Table
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import amount, count, percent, size

# At this age the server refuses to write: half of the 32-bit circle, less a margin.
WRAPAROUND = 2_146_483_648
# Fewer dead rows than this are nobody's trouble, whatever their share.
FEW_ROWS = 10_000
FEW_BLOCKS = 100_000

_AGES = """
SELECT (SELECT datname FROM pg_database ORDER BY age(datfrozenxid) DESC LIMIT 1) AS xid_database,
       (SELECT max(age(datfrozenxid)) FROM pg_database) AS xid_age,
       (SELECT datname FROM pg_database ORDER BY mxid_age(datminmxid) DESC LIMIT 1) AS mxid_database,
       (SELECT max(mxid_age(datminmxid)) FROM pg_database) AS mxid_age
"""
_SIZES = """
SELECT current_database() AS database, pg_database_size(current_database()) AS own,
       blks_hit AS hits, (blks_hit + blks_read) AS blocks
  FROM pg_stat_database WHERE datname = current_database()
"""
_ALL = "SELECT sum(pg_database_size(oid))::bigint AS bytes FROM pg_database WHERE datallowconn"
_WAL = "SELECT coalesce(sum(size), 0)::bigint AS bytes FROM pg_ls_waldir()"


def ages(session: Session, run: Run, limits: Limits) -> list[Check]:
    row = session.rows(_AGES)[0]
    checks = []
    for kind, name, what in ((types.XID_AGE, "xid", "transaction id"), (types.MXID_AGE, "mxid", "multixact")):
        age = row[f"{name}_age"]
        text = (
            f"The oldest {what} is {amount(age)} back (database {row[f'{name}_database']}); writes stop at 2.1 billion."
        )
        advice = "Vacuum the oldest tables, and look who holds old snapshots."
        limit = limits[f"{name}_age"]
        ratio = round(age / WRAPAROUND, 4)
        checks.append(kind("server", ratio, **limit, summary=text, advice=advice, age=age, limit=WRAPAROUND))
    return checks


def sizes(session: Session, run: Run, limits: Limits) -> list[Check]:
    row = session.rows(_SIZES)[0]
    database, hits = row["database"], row["hits"] / row["blocks"] if row["blocks"] >= FEW_BLOCKS else None
    text = f"{percent(hits)} of blocks came from memory." if hits is not None else "Too few blocks were read to tell."
    status = "ok" if hits is None else None
    checks = [
        types.CACHE(
            database, None if hits is None else round(hits, 4), **limits["cache_hits"], summary=text, status=status,
            blocks=row["blocks"], advice="More shared_buffers, or queries that read less.",
        )
    ]  # fmt: skip
    total, wal = _bytes(session, _ALL), _bytes(session, _WAL)
    text = f"Database {database} takes {size(row['own'])}."
    checks.append(types.SIZE(database, row["own"], summary=text, databases_bytes=total))
    capacity = run.params["disk_capacity_bytes"]
    if not capacity:
        return checks
    if total is None:
        advice = f"Let an administrator run: GRANT pg_monitor TO {quote(run.params['login_user'])};"
        text = "The sizes of all databases are hidden from this user."
        return [*checks, types.DISK("server", None, **limits["disk"], summary=text, advice=advice)]
    used = total + (wal or 0)
    evidence = {"used_bytes": used, "capacity_bytes": capacity, "wal_bytes": wal}
    text = f"Databases and WAL take {size(used)} of {size(capacity)}."
    advice = "Delete, archive or move data, or enlarge the disk."
    ratio = round(used / capacity, 4)
    return [*checks, types.DISK("server", ratio, **limits["disk"], summary=text, advice=advice, **evidence)]


def _bytes(session: Session, statement: str) -> Optional[int]:
    try:
        return int(session.rows(statement)[0]["bytes"])
    except trouble.SqlError:
        return None


def tables_and_indexes(session: Session, run: Run, limits: Limits) -> list[Check]:
    standby = session.rows("SELECT pg_is_in_recovery() AS standby")[0]["standby"]
    tables = [table for table in read.read_tables(session) if table.kind != "p"]
    indexes = read.read_indexes(session, tables)
    database = run.params["login_db"]
    many = [table for table in tables if table.dead >= FEW_ROWS and not table.lost]
    ratio: Optional[float] = 0.0
    if many:
        worst = max(many, key=lambda table: needs.dead_ratio(table) or 0)
        share, name = needs.dead_ratio(worst) or 0.0, spell(worst.schema, worst.name)
        ratio = share
        text = f"{percent(share)} of the rows of {name} are dead, the most of {count(len(tables), 'table')}."
        about: dict[str, Any] = {"table": name, "dead_rows": worst.dead, "live_rows": worst.live, "bytes": worst.bytes}
    else:
        text, about = f"No table has {amount(FEW_ROWS)} dead rows.", {}
    lost = sum(table.lost and table.rows >= FEW_ROWS for table in tables)
    if lost:
        ratio = ratio or None
        text = f"{text[:-1]}; the statistics of {count(lost, 'table')} were lost, so nobody knows theirs."
    advice = "Run database maintenance; look who holds old snapshots when it does not help."
    dead = types.DEAD_ROWS(database, ratio, **limits["dead_rows"], summary=text, advice=advice, **about)
    found = [_invalid(database, indexes, limits), _bloat(session, run, tables, indexes, limits)]
    # A standby does not count dead rows.
    return found if standby else [dead, *found]


def _invalid(database: str, indexes: list[Index], limits: Limits) -> Check:
    # One that is being built is not valid yet.
    names = [spell(one.schema, one.name) for one in indexes if not one.valid and one.builder is None]
    text = (
        f"{count(len(names), 'index')} cannot be used: {', '.join(names[:5])}." if names else "All indexes are valid."
    )
    advice = "Database maintenance drops what interrupted rebuilds left, and rebuilds the others."
    return types.INVALID_INDEXES(
        database, len(names), **limits["invalid_indexes"], summary=text, advice=advice, indexes=", ".join(names[:20])
    )


def _bloat(session: Session, run: Run, tables: list[Table], indexes: list[Index], limits: Limits) -> Check:
    """Estimated from the catalogs; nothing is read through here."""
    database, at_least = run.params["login_db"], run.params["index_min_bytes"]
    measured = read.measure(session, tables, indexes, at_least, 0)
    told = [one for one in measured if one.useful_bytes is not None]
    untold = sum(1 for one in measured if one.valid and one.bytes >= at_least and one.useful_bytes is None)
    advice = "Run database maintenance, which measures before it rebuilds."
    if not told:
        text = f"No index of {size(at_least)} or more can be judged from the catalogs."
        return types.INDEX_BLOAT(database, 0.0, **limits["index_bloat"], summary=text, untold=untold)
    worst = max(told, key=lambda one: needs.index_bloat(one, None) or 0)
    ratio, name = needs.index_bloat(worst, None) or 0.0, spell(worst.schema, worst.name)
    text = f"About {percent(ratio)} of {name} is bloat, the most of {count(len(told), 'index')}."
    return types.INDEX_BLOAT(
        database, ratio, **limits["index_bloat"], summary=text, advice=advice, index=name, bytes=worst.bytes,
        untold=untold,
    )  # fmt: skip
