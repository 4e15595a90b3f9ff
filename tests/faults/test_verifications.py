# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of backups as the playbook brings it: one set that is broken does not keep the others from being proven."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.day2.ops.plugins.module_utils._backup import catalogue
from tests.faults.estate import Estate
from tests.lab import demo
from tests.lab.age import new_key
from tests.lab.fixtures import Database
from tests.lab.postgres import Postgres
from tests.unit.plugins.module_utils._backup import sets

pytestmark = pytest.mark.lab


def test_verify_backups(estate: Estate, pg18: Postgres, new_database: Callable[..., Database]) -> None:
    key, store = new_key(estate.folder), sets.folder_store(estate.store)
    estate.vars |= {
        "postgresql_backup_verify_bin_dir": str(pg18.programs / "bin"),
        "postgresql_backup_verify_identity_file": key.path,
    }
    for name in ("bad", "good"):
        database = new_database(pg18)
        database.execute("CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 1000) g")
        made = sets.make_set(pg18, database.name, store, name, recipients=[key.public])
        estate.add(name, database.login(demo.MAINTENANCE))
        if name == "bad":
            sets.truncate(estate.store, made)

    done = estate.start(playbook="verify-backups").wait()
    assert done.rc == 2
    assert done.status("bad") == "failed" and "bytes long, and was" in done.error("bad")["message"]
    assert [action["status"] for action in done.actions("good")] == ["done"]
    assert [each.verified for name in estate.hosts for each in catalogue.read(store, name)] == [False, True]

    del estate.hosts["bad"]
    again = estate.start(playbook="verify-backups").wait()
    assert again.rc == 0 and again.actions("good") == []
