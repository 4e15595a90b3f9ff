# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names, numbers, index sizes: the small pure rooms."""

from __future__ import annotations

import doctest

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._postgresql import bloat, dial, locks, names, spec, words

PARAMS = {
    "login_host": "", "login_port": 5432, "login_unix_socket": "", "login_user": "ann", "login_password": "secret",
    "login_db": "app", "ssl_mode": None, "ca_cert": None, "ssl_cert": None, "ssl_key": None,
}  # fmt: skip


@pytest.mark.parametrize("module", [names, words])
def test_examples_in_the_documentation(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "a.b.c", 'a"b', "a b", '"a', ".a", "a.", 'a."b" c'])
def test_a_table_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="tables: "):
        names.parse(text, "tables")


@pytest.mark.parametrize(
    ("text", "parts"),
    [("orders", ("orders",)), ("App.Orders", ("App", "Orders")), ('"a.b"."say ""hi"""', ("a.b", 'say "hi"'))],
)
def test_tables_are_parsed_as_written(text: str, parts: tuple[str, ...]) -> None:
    assert names.parse(text, "tables") == parts


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a_ccnew", True), ("a_ccold12", True), ("a_ccnewer", False), ("_ccnew", False), ("ä" * 28 + "_ccnew", True)],
)
def test_leftovers_are_known_by_their_name(name: str, expected: bool) -> None:
    assert names.is_leftover(name) is expected


@pytest.mark.parametrize("fillfactor", [50, 70, 90, 100])
@pytest.mark.parametrize("row_bytes", [16, 40, 200])
def test_a_fresh_index_never_looks_bloated(fillfactor: int, row_bytes: int) -> None:
    rows = 1_000_000
    per_leaf = int(bloat.USABLE_BYTES * fillfactor / 100 // row_bytes)
    leaves = -(-rows // per_leaf)
    density = rows * row_bytes / leaves / bloat.USABLE_BYTES * 100
    size = leaves * bloat.PAGE_BYTES
    assert bloat.useful_by_density(leaves, density, rows, fillfactor) >= size * 0.98


def test_an_index_half_empty_is_half_bloat() -> None:
    useful = bloat.useful_by_density(10_000, 45.0, 2_000_000, 90)
    assert useful / (10_000 * bloat.PAGE_BYTES) == pytest.approx(0.5, abs=0.02)
    assert bloat.useful_by_density(10_000, float("nan"), 0, 90) < 100_000
    assert bloat.useful_by_density(0, None, 0, 90) < 100_000


def test_wide_values_are_not_estimated() -> None:
    assert bloat.useful_by_width(1000, 200.0, 200, False, 90) is None
    assert bloat.useful_by_width(-1, 8.0, 8, False, 90) is None
    assert bloat.useful_by_width(1e6, 8.0, 8, False, 90) == pytest.approx(28e6, rel=0.25)


def test_a_key_of_one_fixed_width_is_known_to_the_byte() -> None:
    # A fresh index of a million bigints, as PostgreSQL builds it.
    assert bloat.useful_by_width(1e6, 8.0, 8, False, 90, exact=True) == pytest.approx(22_487_040, rel=0.02)


def test_the_application_name_fits_the_server() -> None:
    assert dial.application_name("20261206T020000Z-7c1e", "vacuum") == "day2/20261206T020000Z-7c1e/vacuum"
    long = dial.application_name("ä" * 80, "reindex")
    assert len(long.encode()) <= 63 and long.endswith("/reindex")


@pytest.mark.parametrize(
    ("host", "given", "mode"),
    [
        ("", None, "prefer"),
        ("localhost", None, "prefer"),
        ("127.0.0.1", None, "prefer"),
        ("::1", None, "prefer"),
        ("/run/postgresql", None, "prefer"),
        ("db1.example.com", None, "verify-full"),
        ("10.0.0.1", None, "verify-full"),
        ("db1.example.com", "require", "require"),
    ],
)
def test_tls_is_verified_unless_nobody_can_stand_between(host: str, given: str, mode: str) -> None:
    assert spec.ssl_mode({**PARAMS, "login_host": host, "ssl_mode": given}) == mode


def test_what_we_say_about_a_connection_holds_no_password() -> None:
    assert "secret" not in spec.where({**PARAMS, "login_host": "db1"}, "app")
    with pytest.raises(BadInput, match="ca_cert: there is no file /none"):
        spec.libpq_options({**PARAMS, "ca_cert": "/none"}, "app", "day2/x/y")


def test_a_holder_is_described() -> None:
    holder = {"application": "day2/r7/locks", "pid": 12, "seconds": 61.2}
    assert locks.describe("maintain", holder) == "day2/r7/locks (pid 12) holds the maintain lock for 61 s"
    nameless = {"application": "", "pid": 12, "seconds": None}
    expected = "a session without a name (pid 12) holds the server's slot for heavy work"
    assert locks.describe("slot", nameless) == expected


def test_lock_numbers_never_change() -> None:
    assert locks.CLASSES == {
        "slot": 1684109618, "maintain": 1684109619, "backup": 1684109620, "retention": 1684109621,
        "restore": 1684109622,
    }  # fmt: skip
    assert all(name in locks.CLASSES for excluded in locks.EXCLUDES.values() for name in excluded)
