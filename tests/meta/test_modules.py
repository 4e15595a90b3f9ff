# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module keeps the promises that the others keep. (Documentation against specification: ansible-test sanity.)"""

from __future__ import annotations

import pytest
import yaml

from tests.meta import rules, tree

each = pytest.mark.parametrize("module", tree.MODULES)


def test_there_are_modules():
    assert tree.MODULES


@each
def test_documentation_parses(module):
    documentation = tree.documentation(module)
    for part in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
        assert yaml.safe_load(documentation.get(part, "")), f"{part} is empty"
    assert yaml.safe_load(documentation["DOCUMENTATION"])["module"] == module


@each
def test_examples_use_full_names(module):
    assert rules.examples_by_full_name(tree.documentation(module)["EXAMPLES"]) == []


@each
def test_examples_fit_the_specification(module):
    examples, name = tree.documentation(module)["EXAMPLES"], f"{tree.COLLECTION}.{module}"
    assert rules.examples_fit(examples, name, tree.specification(module)) == []


@each
def test_returns_are_described_alike(module):
    canonical = yaml.safe_load(tree.documentation("record")["RETURN"])
    assert rules.returns_differ(yaml.safe_load(tree.documentation(module)["RETURN"]), canonical) == []


@each
def test_has_an_integration_target(module):
    target = tree.TOP / "tests" / "integration" / "targets" / module
    assert (target / "tasks" / "main.yml").is_file()
    assert (target / "aliases").is_file()


@each
def test_is_in_the_groups_of_its_fragments(module):
    documented = yaml.safe_load(tree.documentation(module)["DOCUMENTATION"])
    fragments = documented.get("extends_documentation_fragment", [])
    assert rules.group_mistakes(module, fragments, tree.runtime()["action_groups"]) == []


def test_routing():
    assert rules.routing_mistakes(tree.MODULES, tree.runtime()) == []


@each
def test_options_have_names_of_their_own(module):
    assert rules.names_taken(tree.specification(module).argument_spec, rules.taken_names()) == []
