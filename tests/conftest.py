# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every test may ask for real servers: see tests/lab/fixtures.py."""

from __future__ import annotations

pytest_plugins = ["tests.lab.fixtures"]
