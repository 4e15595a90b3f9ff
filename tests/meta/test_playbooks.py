# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks are short, and each can be run by path and by its full name."""

from __future__ import annotations

import pytest

from tests.meta import rules, tree


def test_there_are_playbooks():
    assert tree.PLAYBOOKS


@pytest.mark.parametrize("name", tree.PLAYBOOKS)
def test_playbook(name):
    path = tree.TOP / "playbooks" / name
    link = str(path.readlink()) if path.is_symlink() else None
    assert rules.playbook_mistakes(name, len(path.read_text(encoding="utf-8").splitlines()), link, tree.PLAYBOOKS) == []
