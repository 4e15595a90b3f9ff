# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's version, for headers and lab books; a test holds it equal to galaxy.yml."""

from __future__ import annotations

VERSION = "0.1.0"
