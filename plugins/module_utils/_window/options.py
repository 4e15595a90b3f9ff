# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of window decisions, shared by the module and the lookup, and the way from options to a decision.

``environment`` is a keyword of plays and ``now`` a function in templates, so these options have other names:
``environment_name`` and ``at``.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils._core import clock, records
from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.module import missing_library
from ansible_collections.day2.ops.plugins.module_utils._window import windows
from ansible_collections.day2.ops.plugins.module_utils._window.definitions import read_freezes, read_windows


def spec() -> ArgumentSpec:
    return ArgumentSpec(
        {
            "windows": {"type": "list", "elements": "dict", "default": []},
            "freezes": {"type": "list", "elements": "dict", "default": []},
            "environment_name": {"type": "str"},
            "override_reason": {"type": "str"},
            "override_duration": {"type": "int", "default": 7200},
            "close_reserve": {"type": "int", "default": 300},
            "at": {"type": "str"},
        }
    )


def moment(options: Mapping[str, Any]) -> datetime:
    """The time to decide for: option ``at``, else the present."""
    return clock.parse(str(options["at"]), "at") if options.get("at") else clock.now()


def decision(options: Mapping[str, Any], risk: str, now: datetime) -> windows.Decision:
    """The decision for ``risk``; :class:`BadInput` for a mistake in any definition, of this environment or not."""
    if risk not in records.RISKS:
        raise BadInput(f"risk: {risk!r} is not a risk class; use one of {', '.join(records.RISKS)}.")
    for option in ("override_duration", "close_reserve"):
        if options[option] < 0:
            raise BadInput(f"{option}: {options[option]} is negative; give a number of seconds.")
    try:
        given, frozen = read_windows(options["windows"]), read_freezes(options["freezes"])
        environment = str(options.get("environment_name") or "")
        if given and not environment and risk not in windows.NO_WINDOW_NEEDED:
            names = ", ".join(sorted({window.environment for window in given}))
            raise BadInput(f"environment_name: is not set (ops_environment); use one of {names}.")
        return windows.decide(
            given,
            frozen,
            now=now,
            environment=environment,
            risk=risk,
            override_reason=str(options.get("override_reason") or "").strip(),
            override_duration=options["override_duration"],
            close_reserve=options["close_reserve"],
        )
    except ImportError:
        missing_library("python-dateutil", sys.executable)
