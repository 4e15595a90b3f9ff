# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fifty databases of one server, one of which fails."""

from __future__ import annotations

import pytest

from tests.faults import test_backups

pytestmark = pytest.mark.lab


def test_fifty_databases(estate, pg18, new_database):
    test_backups.back_up_many(estate, pg18, new_database, 50)
