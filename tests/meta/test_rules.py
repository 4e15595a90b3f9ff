# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every rule finds what it is there to find: a bad sample each, and a good one."""

from __future__ import annotations

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from tests.meta import rules

SPEC = ArgumentSpec(
    {
        "size": {"type": "int", "required": True},
        "mode": {"type": "str", "choices": ["slow", "fast"]},
        "limits": {"type": "list", "elements": "dict", "options": {"count": {"type": "int"}}},
    },
    required_if=[("mode", "fast", ["limits"])],
)


def example(arguments: str, name: str = "day2.ops.thing") -> str:
    return f"- name: Do it\n  {name}: {arguments}\n  register: found\n"


def test_short_names_in_examples():
    assert rules.examples_by_full_name(example("{}")) == []
    assert rules.examples_by_full_name(example("{}", "thing")) == ["not a full name: thing"]
    assert rules.examples_by_full_name("- name: In a block\n  block:\n    - debug:\n") == ["not a full name: debug"]
    play = "- name: Play\n  hosts: all\n  tasks:\n    - debug:\n"
    assert rules.examples_by_full_name(play) == ["not a full name: debug"]
    assert rules.examples_by_full_name("") == ["no task"]
    assert rules.examples_by_full_name("- {a.b.c: {}, d.e.f: {}}") != []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("{size: 3}", None),
        ("{size: '{{ count }}', mode: fast, limits: [{count: '{{ count }}'}]}", None),
        ("{size: large}", "size"),
        ("{}", "size"),
        ("{size: 3, mode: medium}", "mode"),
        ("{size: 3, colour: red}", "colour"),
        ("{size: 3, limits: [{colour: red}]}", "colour"),
        ("{size: 3, mode: fast}", "limits"),
    ],
)
def test_examples_that_do_not_fit(arguments, complaint):
    found = rules.examples_fit(example(arguments), "day2.ops.thing", SPEC)
    assert found == [] if complaint is None else any(complaint in text for text in found)


def test_an_example_of_something_else():
    assert rules.examples_fit(example("{}", "day2.ops.other"), "day2.ops.thing", SPEC) != []


def test_returns_of_their_own():
    canonical = {"checks": {"type": "list"}, "actions": {"type": "list"}, "error": {"type": "dict"}}
    assert rules.returns_differ({**canonical, "more": {}}, canonical) == []
    assert len(rules.returns_differ({"checks": {"type": "dict"}}, canonical)) == 3


def test_groups():
    groups = {"postgresql": ["one"], "redis": ["two"]}
    assert rules.group_mistakes("one", ["day2.ops._postgresql", "day2.ops._run"], groups) == []
    assert len(rules.group_mistakes("one", ["day2.ops._redis"], groups)) == 2


def test_routing():
    good = {"action_plugin": "day2.ops.record"}
    runtime = {"plugin_routing": {"modules": {"one": good}}, "action_groups": {"store": ["one"]}}
    assert rules.routing_mistakes(["one"], runtime) == []
    assert len(rules.routing_mistakes(["one", "two"], runtime)) == 1
    assert len(rules.routing_mistakes([], runtime)) == 2
    runtime["plugin_routing"]["modules"]["one"] = {"action_plugin": "day2.ops.other"}
    assert len(rules.routing_mistakes(["one"], runtime)) == 1


@pytest.mark.parametrize("name", ["namespace", "range", "lookup", "environment", "tags", "hostvars", "groups"])
def test_names_that_are_taken(name):
    assert rules.names_taken([name, "ops_hosts", "login_host"], rules.taken_names()) != []


def test_names_that_are_free():
    assert rules.names_taken(["ops_hosts", "login_host", "store"], rules.taken_names()) == []


@pytest.mark.parametrize(
    ("defaults", "options", "complaints"),
    [
        ({"a_b": 3}, {"a_b": {"default": 3}}, 0),
        ({"a_b": "{{ ops_b | default(3) }}"}, {"a_b": {"default": 3}}, 0),
        ({"a_b": "{{ ops_b | default(3) }}"}, {"a_b": {}}, 0),
        ({"a_b": "{{ ops_b | default(3) }}"}, {"a_b": {"default": "{{ ops_b | default(3) }}"}}, 0),
        ({"a_b": "{{ ops_b | default(3) }}"}, {"a_b": {"default": 4}}, 1),
        ({"a_b": "{{ ops_b }}"}, {"a_b": {"default": 3}}, 1),
        ({"a_b": 3}, {"a_b": {"default": 4}}, 1),
        ({"a_b": True}, {"a_b": {"default": 1}}, 1),
        ({"a_b": 3}, {"a_b": {}}, 1),
        ({"a_b": ""}, {"a_b": {}}, 0),
        ({"a_b": 3}, {}, 1),
        ({}, {"a_b": {"default": 3}}, 1),
        ({}, {"a_b": {"required": True}}, 0),
        ({"a_b": 3}, {"a_b": {"required": True}}, 1),
    ],
)
def test_defaults(defaults, options, complaints):
    assert len(rules.defaults_differ(defaults, options)) == complaints


def test_names_set_by_tasks():
    tasks = [
        {"block": [{"ansible.builtin.set_fact": {"__thing_a": 1, "stray": 2, "cacheable": False}}]},
        {"day2.ops.record": {}, "register": "another"},
        {"ansible.builtin.set_stats": {"data": {"ops_result": {}}}},
    ]
    names = list(rules.names_set(tasks))
    assert sorted(names) == ["__thing_a", "another", "ops_result", "stray"]
    assert len(rules.not_prefixed("thing", [*names, "thing_b", "__other_c"])) == 3


def test_readme():
    assert rules.readme_lacks("| Idempotent | yes |\n| Atomic | no |\n| Rollback | none |") == []
    assert len(rules.readme_lacks("A role.")) == 3


def test_playbooks():
    names = ["a-b.yml", "a_b.yml", "c.yml"]
    assert rules.playbook_mistakes("a-b.yml", 60, None, names) == []
    assert rules.playbook_mistakes("a_b.yml", 60, "a-b.yml", names) == []
    assert rules.playbook_mistakes("c.yml", 20, None, names) == []
    assert len(rules.playbook_mistakes("c-d.yml", 61, None, names)) == 2
    assert len(rules.playbook_mistakes("a_b.yml", 20, None, names)) == 1
    assert len(rules.playbook_mistakes("a_b.yml", 20, "c.yml", names)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import requests\nrequests.get('http://a')",
        "from requests import Session",
        "from urllib.request import urlopen",
        "from urllib import request",
        "import http.client",
        "from ansible.module_utils.urls import open_url",
        "import socket\nsocket.create_connection(('a', 1))",
        "from socket import create_connection",
        "import psycopg2\npsycopg2.connect('')",
        "from psycopg2 import connect",
        "import boto3\nboto3.client('s3')",
        "import boto3\nboto3.session.Session()",
        "from boto3.session import Session",
        "def late():\n    import redis\n    return redis.Redis()",
        "import botocore.session",
    ],
)
def test_connections_past_the_factories(source):
    assert rules.connections_opened("plugins/module_utils/_report/page.py", source) != []


def test_connections_of_the_factories():
    for path, source in (
        ("plugins/module_utils/_postgresql/dial.py", "import psycopg2\npsycopg2.connect('')"),
        ("plugins/module_utils/_report/page.py", "from urllib.parse import quote\nimport socket\nsocket.gethostname()"),
        ("plugins/module_utils/_observability/service.py", "import requests\nrequests.Session()"),
        ("plugins/module_utils/_tls/dial.py", "import socket\nsocket.create_connection(('a', 1))"),
        ("plugins/module_utils/_store/s3_errors.py", "from botocore.exceptions import ClientError"),
    ):
        assert rules.connections_opened(path, source) == []


def test_headers():
    assert rules.header_missing(rules.HEADER + "\nx = 1\n", full=True) == []
    assert rules.header_missing("#!/usr/bin/python\n" + rules.HEADER, full=True) == []
    assert rules.header_missing("x = 1\n" + rules.HEADER, full=True) != []
    assert rules.header_missing(rules.HEADER.splitlines()[2] + "\n", full=True) != []
    assert rules.header_missing("x = 1\n", full=False) != []
    assert rules.header_missing("", full=False) == []


@pytest.mark.parametrize(
    "line",
    [
        "see /wo" + "rk/somewhere/file",
        "  ignore_" + "errors: true",
        "  failed_when" + ": false",
        "run_command(text, use_unsafe_" + "shell=True)",
        "  validate_" + "certs: false",
        "# TO" + "DO: later",
    ],
)
def test_words_that_are_forbidden(line):
    assert len(rules.forbidden_words(f"fine\n{line}\nfine\n")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "  failed_" + "when: false_alarms > 0",
        "except StoreError:",
        "validate_certs: true",
        "homework/page",
        "ignore_" + "errors: false",
    ],
)
def test_words_that_are_not(line):
    assert rules.forbidden_words(line) == []


@pytest.mark.parametrize(
    ("handler", "complaints"),
    [
        ("exc" + "ept Exception:\n    pass", 1),
        ("except (ValueError, BaseException) as error:\n    print(error)", 1),
        ("except:\n    pass", 1),
        ("exc" + "ept Exception as error:\n    raise ValueError from error", 1),
        ("exc" + "ept BaseException:\n    tidy()\n    raise", 1),
        ("except ValueError:\n    pass", 0),
    ],
)
def test_nets_that_catch_everything(handler, complaints):
    assert len(rules.nets_that_catch_everything(f"try:\n    x = 1\n{handler}\n")) == complaints
