# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user of the server may need to be allowed, as data: documentation, error sentences and tests read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grants:
    """``commands`` in lower case, one of several as ``memory|usage``; ``keys`` whether names of keys are touched."""

    commands: tuple[str, ...]
    keys: bool = False

    def statement(self, user: str) -> str:
        """The statement that gives exactly this, on top of what the user has."""
        rules = [f"+{command}" for command in self.commands]
        return " ".join(["ACL SETUSER", user, *rules, *(["~*"] if self.keys else [])])


# All of them read. INFO counts as dangerous in the server's categories, so most users lack it.
HEALTH = Grants(("info",))
SLOWLOG = Grants(("info", "slowlog|len"))
SAMPLE = Grants(("info", "select", "scan", "ttl"), keys=True)
BIG_KEYS = Grants(("info", "select", "scan", "ttl", "memory|usage"), keys=True)
# Nothing here can delete or change a key: what goes is what the server itself finds expired when it is looked at.
MAINTENANCE = Grants(("info", "ping", "select", "scan", "ttl", "memory|usage", "memory|purge"), keys=True)
