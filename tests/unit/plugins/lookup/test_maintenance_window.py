# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup in a real play: lazy containers, tagged strings, and inputs that are templates themselves.

One play renders every expression: a process of its own, where ansible finds the collection as it does for users.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys

import pytest

NIGHT = "at='2026-12-07T03:00:00Z'"
EXPRESSIONS = {
    "night": f"lookup('day2.ops.maintenance_window', 'maintain', {NIGHT})",
    "evening": "lookup('day2.ops.maintenance_window', 'maintain', windows=unquoted, at=evening)",
    "once": "lookup('day2.ops.maintenance_window', 'maintain', windows=unquoted, environment_name=other, at=evening)",
    "each": f"query('day2.ops.maintenance_window', 'observe', 'disrupt', {NIGHT})",
    "none": f"lookup('day2.ops.maintenance_window', 'maintain', windows=[], {NIGHT})",
    "override": f"lookup('day2.ops.maintenance_window', 'disrupt', override_reason=why, {NIGHT})",
    "yaml": f"lookup('day2.ops.maintenance_window', 'maintain', {NIGHT}) | to_yaml",
    "mistake": "lookup('day2.ops.maintenance_window', 'maintain', windows=[{'name': 'x'}])",
}
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    opening: "02:00"
    why: INC-7
    other: staging
    night:
      - name: night
        environment: production
        risk: [maintain]
        rrule: FREQ=DAILY
        start: "{{ opening }}"
        duration: 4h
    evening: "2026-12-07T23:00:00Z"
    # As people write it: YAML makes a number and two times of these.
    unquoted:
      - {name: evening, environment: production, risk: [maintain], rrule: FREQ=DAILY, start: 22:30, duration: 1h}
      - {name: once, environment: staging, risk: [maintain], start: 2026-12-06T02:00:00Z, end: 2026-12-07}
    ops_windows: "{{ night }}"
    ops_environment: "{{ 'produc' ~ 'tion' }}"
  tasks:
"""
# An expression that fails does not end the play: it shows every one.
TASK = """
    - name: {name}
      block:
        - name: Render
          vars: {{found: "{{{{ {expression} }}}}"}}
          ansible.builtin.debug: {{msg: "RESULT {{{{ {{'{name}': found}} | to_json | b64encode }}}}"}}
      rescue:
        - name: Say why not
          ansible.builtin.debug: {{msg: "FAILED {name}: {{{{ ansible_failed_result.msg }}}}"}}
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lookup")
    play = folder / "play.yml"
    play.write_text(PLAY + "".join(TASK.format(name=name, expression=text) for name, text in EXPRESSIONS.items()))
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "localhost,", str(play)]
    quiet = {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(
        command, check=False, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=120
    )
    return done.stdout + done.stderr


@pytest.fixture
def found(rendered):
    merged = {}
    for result in re.findall(r'"RESULT ([A-Za-z0-9+/=]+)"', rendered):
        merged.update(json.loads(base64.b64decode(result)))
    assert merged, rendered
    return merged


def test_inputs_of_the_collection_are_found_and_templated(found):
    assert found["night"]["open"] is True
    assert found["night"]["window"]["name"] == "night"
    assert found["night"]["deadline"] == "2026-12-07T05:55:00Z"


@pytest.mark.parametrize("name", ["evening", "once"])
def test_yaml_times_without_quotes_are_understood(found, name):
    assert found[name]["window"]["name"] == name


def test_one_decision_for_each_term(found):
    assert [decision["open"] for decision in found["each"]] == [True, False]


def test_options_beat_inputs(found):
    assert found["none"]["open"] is False
    assert (found["override"]["open"], found["override"]["override_reason"]) == (True, "INC-7")


def test_a_decision_can_be_written_as_yaml(found):
    assert "deadline: '2026-12-07T05:55:00Z'" in found["yaml"]


def test_a_mistake_is_one_sentence(rendered, found):
    assert "mistake" not in found
    assert re.search(r'"FAILED mistake: .*windows\[0\]\.environment: is missing', rendered)
