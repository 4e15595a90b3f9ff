# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may stand in the files of this repository, and what may not."""

from __future__ import annotations

import pytest

from tests.meta import rules, tree


@pytest.mark.parametrize("path", tree.python_files("plugins"))
def test_plugins_begin_with_the_header(path):
    assert rules.header_missing(tree.read(path), full=True) == []


@pytest.mark.parametrize("path", tree.python_files("tests", "tools", "benchmarks", "molecule"))
def test_scripts_and_tests_name_their_licence(path):
    assert rules.header_missing(tree.read(path), full=False) == []


@pytest.mark.parametrize("path", tree.python_files("plugins"))
def test_connections_are_opened_by_the_factories(path):
    assert rules.connections_opened(path, tree.read(path)) == []


@pytest.mark.parametrize("package", rules.FACTORIES)
def test_the_factories_are_where_the_rule_says(package):
    path = rules.FACTORIES[package]
    assert rules.connections_opened("elsewhere.py", tree.read(path)) != []


@pytest.mark.parametrize("path", tree.python_files("plugins", "tests", "tools", "benchmarks", "molecule"))
def test_no_net_catches_everything(path):
    assert rules.nets_that_catch_everything(tree.read(path)) == []


def _texts():
    for path in tree.files():
        if path.startswith(("docs/", "changelogs/")) or path == "COPYING":
            continue
        try:
            yield pytest.param(tree.read(path), id=path)
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("text", list(_texts()))
def test_no_word_that_the_house_forbids(text):
    assert rules.forbidden_words(text) == []
