# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user of the system as which foreign programs run. PostgreSQL and what belongs to it must not run as root."""

from __future__ import annotations

import contextlib
import os
import pwd
from dataclasses import dataclass
from typing import Any, Iterator, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, Refused


@dataclass(frozen=True)
class Account:
    """A user. Only root can work as another than itself."""

    uid: int
    gid: int
    name: str
    home: str

    @property
    def ours(self) -> bool:
        return os.geteuid() == self.uid

    def process(self) -> dict[str, Any]:
        """Arguments for Popen that make a child this user."""
        if self.ours:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": os.getgrouplist(self.name, self.gid)}

    @contextlib.contextmanager
    def files(self) -> Iterator[None]:
        """What is made and opened inside is this user's, and no link of theirs leads us where they may not go."""
        if self.ours:
            yield
            return
        before = os.geteuid(), os.getegid()
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(before[0])
            os.setegid(before[1])

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": self.home, "USER": self.name, "LC_ALL": "C"}


def by_id(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise Refused(f"Failed to work as the user {uid}: the system does not know it.") from None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)


def exists(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


def chosen(name: Optional[str], option: str) -> Account:
    """The user called ``name``, by default ourselves. :class:`BadInput` for root and for one we cannot become."""
    if name is None:
        account = by_id(os.geteuid())
    else:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise BadInput(
                f"{option}: there is no user {name} on this host; give the one that owns the data."
            ) from None
        account = Account(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)
    if account.uid == 0:
        raise BadInput(f"{option}: root's files would be closed to the server; give the user that the server runs as.")
    if not account.ours and os.geteuid() != 0:
        raise BadInput(f"{option}: only root can work as {account.name}; become that user, or root.")
    return account
