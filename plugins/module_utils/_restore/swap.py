# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two databases change names, in one transaction, while nobody is connected to either; or nothing changes at all.

From the first statement on, the server itself holds an order to open the database again after a while: whoever is
killed or cut off in between leaves no database closed.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Refused
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._postgresql import trouble
from ansible_collections.day2.ops.plugins.module_utils._postgresql.connect import Session
from ansible_collections.day2.ops.plugins.module_utils._postgresql.dial import dial
from ansible_collections.day2.ops.plugins.module_utils._postgresql.locks import Locks
from ansible_collections.day2.ops.plugins.module_utils._postgresql.words import count
from ansible_collections.day2.ops.plugins.module_utils._restore import facts
from ansible_collections.day2.ops.plugins.module_utils._restore.databases import (
    CLOSED,
    Database,
    Mark,
    marking,
    statement,
    together,
)
from ansible_collections.day2.ops.plugins.module_utils._restore.obstacles import NAMED, sessions, who

# The order to open again comes so much later than the end of the drain.
REOPEN_SECONDS = 45.0
STATEMENT_SECONDS = 20.0
TERMINATE_SECONDS = 10.0
OBJECT_IN_USE = "55006"


@dataclass
class Site:
    """Who reads, who acts, what holds the place; all on lock_db, because no session may be in the databases."""

    run: Run
    control: Session
    worker: Session
    locks: Locks
    superuser: bool


@dataclass(frozen=True)
class Exchange:
    """``out`` gives its name to ``into`` and becomes ``aside``. Marks are those they carry afterwards."""

    name: str
    out: Optional[Database]
    into: Database
    aside: str
    out_mark: Optional[Mark]
    into_mark: Optional[Mark]
    comment: str = ""

    def databases(self) -> list[Database]:
        return [one for one in (self.out, self.into) if one]


@dataclass
class Closing:
    """What closing took. ``changed`` once the names have changed, and nothing is to be given back."""

    since: float = field(default_factory=time.monotonic)
    terminated: int = 0
    changed: bool = False


def bring_over(site: Site, wanted: facts.Facts, database: Database) -> None:
    """Owner, grants, settings and limits, before anything is closed; :class:`Refused` for what does not come over."""
    found = facts.read(site.control, database)
    try:
        site.worker.run(
            together(facts.dressing(database.name, wanted, found, superuser=site.superuser)), timeout=STATEMENT_SECONDS
        )
    except trouble.SqlError as error:
        raise Refused(f"Failed to bring owner, grants and settings over to {database.name}: {error}.") from error
    differing = facts.differences(wanted, facts.read(site.control, database))
    if differing:
        raise Refused(f"Failed to bring everything over to {database.name}: {'; '.join(differing[:NAMED])}.")


def exchange(site: Site, plan: Exchange, wanted: Optional[facts.Facts]) -> dict[str, Any]:
    """Close both, wait for their sessions, change the names, compare with ``wanted``, open. What was measured."""
    holder = site.locks.exclude("swap")
    if holder is not None:
        raise Refused(f"Failed to swap {plan.name}: {holder}.")
    with _closed(site, plan, wanted) as closing:
        closing.terminated = _drain(site, plan)
        _rename(site, plan)
        closing.changed = True
        finish(site, plan, wanted)
        seconds = round(time.monotonic() - closing.since, 2)
    site.locks.admit("swap")
    was_open = plan.out is not None and plan.out.open
    return {"closed_seconds": seconds if was_open else 0.0, "sessions_terminated": closing.terminated}


@contextlib.contextmanager
def _closed(site: Site, plan: Exchange, wanted: Optional[facts.Facts]) -> Iterator[Closing]:
    """Nobody gets in. Whatever ends it before the names have changed, the databases are opened again."""
    healer = _order_reopening(site, plan) if plan.out else None
    closing = Closing()
    try:
        try:
            site.worker.run(together(_closing_statements(site, plan)), timeout=STATEMENT_SECONDS)
            yield closing
        finally:
            if not closing.changed:
                _give_back(site, plan, wanted)
    finally:
        if healer is not None:
            pid = healer.info.backend_pid
            with contextlib.suppress(OpsError):
                site.control.rows("SELECT pg_terminate_backend(%s)", [pid], final=True)
            healer.close()


def _closing_statements(site: Site, plan: Exchange) -> list[Any]:
    statements = []
    for one in plan.databases():
        if one.open:
            mark = one.mark or Mark(site.run.owner, plan.name, CLOSED, at=clock.now_iso())
            statements.append(marking(one.marked(replace(mark, closed=True))))
            statements.append(statement("ALTER DATABASE {name} ALLOW_CONNECTIONS false", name=one.name))
    return statements or [statement("SELECT 1")]


def opening(database: Database) -> list[Any]:
    """A database as it is meant to be: open, and no longer marked as closed."""
    mark = database.mark
    if mark is not None:
        mark = None if mark.role == CLOSED else replace(mark, closed=False)
    open_again = statement("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=database.name)
    return [open_again, marking(database.marked(mark))]


def _give_back(site: Site, plan: Exchange, wanted: Optional[facts.Facts]) -> None:
    """As it was. Heeds no stop; where the connection is gone, the order on the server does it, for the live one."""
    here = "SELECT count(*) AS found FROM pg_database WHERE oid = %s AND datname = %s"
    with contextlib.suppress(OpsError):
        # A stop may come between the server's commit and its answer.
        if site.control.rows(here, [plan.into.oid, plan.name], final=True)[0]["found"]:
            with contextlib.suppress(OpsError):
                finish(site, plan, wanted)
            return
    for one in plan.databases():
        if one.open:
            with contextlib.suppress(OpsError):
                site.worker.rows(together(opening(one)), final=True)


def _order_reopening(site: Site, plan: Exchange) -> Any:
    """A session of its own that sleeps on the server, and opens the database when nobody has told it not to.

    The server carries it out even when our host is gone: a statement that has begun does not need its client.
    """
    seconds = site.run.params["drain_timeout"] + REOPEN_SECONDS
    raw = dial(site.run, "reopen", site.run.params["lock_db"])
    with contextlib.closing(raw.cursor()) as cursor:
        cursor.execute(
            together(
                [
                    statement("SELECT pg_sleep({seconds})", {"seconds": int(seconds)}),
                    statement("ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=plan.name),
                ]
            )
        )
    return raw


def _drain(site: Site, plan: Exchange) -> int:
    """Wait until the sessions have left, then end them where that is allowed; how many were ended."""
    run, databases = site.run, plan.databases()
    until = time.monotonic() + run.params["drain_timeout"]
    while True:
        there = sessions(site.control, databases)
        if not there:
            return 0
        left = until - time.monotonic()
        if left <= 0:
            break
        run.deadline.check()
        run.live.progress(f"waiting {left:.0f} s for {count(len(there), 'session')}: {who(there)}")
        run.live.sleep(min(0.5, left))
    if not run.params["terminate_sessions"]:
        raise Refused(
            f"Failed to swap {plan.name}: {count(len(there), 'session')} did not leave within "
            f"{run.params['drain_timeout']:g} s: {who(there)}. Stop what they belong to, or set terminate_sessions."
        )
    until = time.monotonic() + TERMINATE_SECONDS
    ended: set[int] = set()
    while there:
        site.run.live.check()
        ended |= {row["pid"] for row in there}
        try:
            site.worker.rows(
                "SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [[row["pid"] for row in there]]
            )
        except trouble.SqlError as error:
            raise Refused(f"Failed to end the sessions of {plan.name}: {error} ({who(there)}).") from error
        if time.monotonic() > until:
            raise Refused(f"Failed to swap {plan.name}: these sessions do not end: {who(there)}.")
        time.sleep(0.1)
        there = sessions(site.control, databases)
    return len(ended)


def after(plan: Exchange) -> tuple[Optional[Database], Database]:
    """Both as they are once the names have changed: closed, and marked so. The live comment stays with the name."""
    comment = plan.out.comment if plan.out else plan.comment
    aside = None
    if plan.out:
        mark = replace(plan.out_mark, closed=True) if plan.out_mark else None
        aside = replace(plan.out, name=plan.aside, mark=mark, open=False)
    mark = replace(plan.into_mark, closed=True) if plan.into_mark else None
    return aside, replace(plan.into, name=plan.name, mark=mark, comment=comment, open=False)


def _rename(site: Site, plan: Exchange) -> None:
    aside, live = after(plan)
    rename = "ALTER DATABASE {name} RENAME TO {other}"
    statements = []
    if plan.out and aside:
        statements += [statement(rename, name=plan.name, other=plan.aside), marking(aside)]
    statements += [statement(rename, name=plan.into.name, other=plan.name), marking(live)]
    try:
        site.worker.run(together(statements), timeout=STATEMENT_SECONDS, settings={"lock_timeout": "10s"})
    except trouble.SqlError as error:
        if error.sqlstate != OBJECT_IN_USE:
            raise
        raise Refused(f"Failed to swap {plan.name}: {error}.") from error


def finish(site: Site, plan: Exchange, wanted: Optional[facts.Facts]) -> None:
    """Compare and open; or change the names back. Heeds no stop: it takes a moment, and half of it helps nobody."""
    aside, live = after(plan)
    try:
        differing = facts.differences(wanted, facts.read(site.control, live, final=True)) if wanted else []
        if differing:
            raise OpsError(f"it is not what the live database was: {'; '.join(differing[:NAMED])}")
        site.worker.rows(together(opening(live)), final=True)
    except OpsError as error:
        _change_back(site, plan, error)
        raise OpsError(f"Failed to swap {plan.name}: {str(error).rstrip('.')}. The names were changed back.") from error
    if aside:
        # The live one is open; this one may wait for the next run.
        with contextlib.suppress(OpsError):
            site.worker.rows(together(opening(aside)), final=True)


def _change_back(site: Site, plan: Exchange, why: OpsError) -> None:
    rename = "ALTER DATABASE {name} RENAME TO {other}"
    statements = [statement(rename, name=plan.name, other=plan.into.name)]
    if plan.out:
        statements.append(statement(rename, name=plan.aside, other=plan.name))
    for one in plan.databases():
        statements += opening(one) if one.open else [marking(one)]
    try:
        site.worker.rows(together(statements), final=True)
    except OpsError as error:
        raise OpsError(
            f"Failed to swap {plan.name}: {str(why).rstrip('.')}. Changing the names back failed too "
            f"({str(error).rstrip('.')}); run it again, which goes on from where it is."
        ) from error
