# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fixtures of made.py, which the tests of HTTP endpoints use, too."""

from __future__ import annotations

from tests.unit.plugins.module_utils._tls.made import (
    authorities,
    dripping,
    serving,
    weak_key,
)

__all__ = ["authorities", "dripping", "serving", "weak_key"]
