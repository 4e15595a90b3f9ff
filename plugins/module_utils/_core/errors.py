# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong, as types: raised deep, turned into ``fail_json`` once (see ``module.run_module``).

A message is one sentence for a tired person: "Failed to <verb> <object>: <cause>", with the remedy where there is one.
"""

from __future__ import annotations

from typing import Any


class OpsError(Exception):
    """The work failed. ``result`` holds what the module had reached: ``actions``, ``checks`` and other result keys."""

    kind = "failed"

    def __init__(self, message: str, **result: Any) -> None:
        super().__init__(message)
        self.result = result


class BadInput(OpsError):
    """An option is wrong; the message names the option and the remedy. Nothing was touched."""

    kind = "bad_input"


class Refused(OpsError):
    """The run may not start here: closed window, held lock, standby, pooler, missing grant, stop switch."""

    kind = "refused"


class Unreachable(OpsError):
    """The target cannot be reached, or does not answer."""

    kind = "unreachable"


class Stopped(OpsError):
    """Work that had begun was stopped: a signal, the stop switch, a lost controller or a lost lease."""

    kind = "stopped"


class Deferred(OpsError):
    """Work is left for the next run."""

    kind = "deferred"


class Expired(Deferred):
    """The deadline came first."""


class Braked(Deferred):
    """The brake withheld or cancelled the work, because of measured load."""


class StoreError(OpsError):
    """The store (S3 or folder) failed."""


class StoreDenied(StoreError):
    """The store knows us and says no, or does not know us."""


class StoreMissing(StoreError):
    """The bucket, folder or key is not there."""


class StoreConflict(StoreError):
    """A conditional put found another state than it asked for."""


class StoreUnreachable(StoreError):
    """The store does not answer in time."""

    kind = "unreachable"


def name_failure(error: OpsError, what: str) -> None:
    """Let the error say what failed where it does not: "Failed to <what>: ...". Those of store and options do."""
    if not isinstance(error, (StoreError, BadInput)) and not str(error).startswith(("Failed", "Stopped")):
        error.args = (f"Failed to {what}: {error}",)
