# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every role says the same in its defaults, its specification and its README, and keeps to its own names."""

from __future__ import annotations

import re

import pytest

from tests.meta import rules, tree

each = pytest.mark.parametrize("role", tree.ROLES)


def optional(name):
    return (tree.load(name) or {}) if (tree.TOP / name).is_file() else {}


def specified(role):
    return tree.load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})


def test_there_are_roles():
    assert tree.ROLES


@each
def test_defaults_are_the_specified_ones(role):
    assert rules.defaults_differ(optional(f"roles/{role}/defaults/main.yml"), specified(role)) == []


@each
def test_variables_carry_the_name_of_the_role(role):
    names = [*optional(f"roles/{role}/defaults/main.yml"), *optional(f"roles/{role}/vars/main.yml"), *specified(role)]
    for path in (tree.TOP / "roles" / role).glob("[th]a*s*/*.yml"):  # tasks, handlers
        names += rules.names_set(tree.load(str(path.relative_to(tree.TOP))) or [])
    assert rules.not_prefixed(role, names) == []


@each
def test_inputs_have_names_of_their_own(role):
    assert rules.names_taken(specified(role), rules.taken_names()) == []


@each
def test_readme_tells_what_an_operator_must_know(role):
    assert rules.readme_lacks(tree.read(f"roles/{role}/README.md")) == []


def test_inputs_of_the_collection_have_names_of_their_own():
    inputs = {
        name
        for path in tree.files()
        if path.startswith(("roles/", "playbooks/"))
        for name in re.findall(r"\bops_\w+", tree.read(path))
    }
    assert inputs, "the collection has inputs, and this test has not found them"
    assert rules.names_taken(inputs, rules.taken_names()) == []
