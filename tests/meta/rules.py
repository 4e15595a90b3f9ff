# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The house rules as functions: material in, complaints out. test_rules.py shows each one a bad sample."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.task import Task
from ansible.template import Templar, trust_as_template
from ansible.vars.reserved import get_reserved_names
from jinja2 import Environment
from jinja2.sandbox import ImmutableSandboxedEnvironment

HEADER = """\
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""

# A module belongs to the group of a fragment exactly when it extends that fragment.
GROUPS = {
    "day2.ops._postgresql": "postgresql",
    "day2.ops._redis": "redis",
    "day2.ops._store": "store",
    "day2.ops._window": "window",
}
ACTION_PLUGIN = "day2.ops.record"
CANONICAL_RETURNS = ("checks", "actions", "error")

Complaints = list[str]


# -- modules


def tasks_of(text: str) -> Iterator[dict[str, Any]]:
    """The tasks of EXAMPLES, those in plays and blocks included."""
    for entry in yaml.safe_load(text) or []:
        yield from _flatten(entry)


def _flatten(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    inner = [
        key for key in ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always") if key in entry
    ]
    if not inner and "hosts" not in entry:
        yield entry
    for key in inner:
        for task in entry[key]:
            yield from _flatten(task)


def action_of(task: Mapping[str, Any]) -> tuple[str, Any]:
    keywords = set(Task.fattributes) | set(Block.fattributes) | {"listen"}
    actions = [key for key in task if key not in keywords and not key.startswith("with_")]
    return (actions[0], task[actions[0]]) if len(actions) == 1 else (f"{len(actions)} actions in a task", None)


def examples_by_full_name(text: str) -> Complaints:
    names = [action_of(task)[0] for task in tasks_of(text)]
    return [f"not a full name: {name}" for name in names if name.count(".") < 2] if names else ["no task"]


def examples_fit(text: str, module: str, spec: Any) -> Complaints:
    """Every example of this module is accepted by its own argument specification."""
    found = []
    seen = False
    for task in tasks_of(text):
        action, arguments = action_of(task)
        if action != module:
            continue
        seen = True
        options = _free_templates(spec.argument_spec, arguments or {})
        validator = ArgumentSpecValidator(options, required_by=spec.required_by, **spec.constraints)
        found += [f"{task.get('name')}: {error}" for error in validator.validate(dict(arguments or {})).error_messages]
    return found if seen else [f"no example uses {module}"]


def _free_templates(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The specification with every option that an example fills with a template open to any value."""
    freed: dict[str, Any] = {}
    for name, option in options.items():
        value = next((given[key] for key in (name, *option.get("aliases", ())) if key in given), None)
        if isinstance(value, str) and "{{" in value:
            kept = {key: option[key] for key in ("required", "aliases", "no_log") if key in option}
            freed[name] = {"type": "raw", **kept}
        elif isinstance(value, Mapping) and option.get("options"):
            freed[name] = {**option, "options": _free_templates(option["options"], value)}
        elif isinstance(value, list) and option.get("options"):
            merged = {key: item for entry in value if isinstance(entry, Mapping) for key, item in entry.items()}
            freed[name] = {**option, "options": _free_templates(option["options"], merged)}
        else:
            freed[name] = option
    return freed


def returns_differ(returns: Mapping[str, Any], canonical: Mapping[str, Any]) -> Complaints:
    return [
        f"{key} is not described as in the other modules"
        for key in CANONICAL_RETURNS
        if returns.get(key) != canonical.get(key)
    ]


def group_mistakes(module: str, fragments: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Complaints:
    found = []
    extended = {fragment.lower() for fragment in fragments}
    for fragment, group in GROUPS.items():
        member = module in groups.get(group, ())
        if member != (fragment in extended):
            found.append(
                f"in action group {group}, but it does not extend {fragment}"
                if member
                else f"extends {fragment}, but is not in action group {group}"
            )
    return found


def routing_mistakes(modules: Iterable[str], runtime: Mapping[str, Any]) -> Complaints:
    """Every module is routed to the action plugin; nothing is routed or grouped that does not exist."""
    there = set(modules)
    routed = runtime["plugin_routing"]["modules"]
    found = [
        f"{name} is not routed to {ACTION_PLUGIN}"
        for name in sorted(there)
        if routed.get(name) != {"action_plugin": ACTION_PLUGIN}
    ]
    found += [f"{name} is routed and does not exist" for name in sorted(set(routed) - there)]
    for group, members in runtime["action_groups"].items():
        found += [f"group {group} has {name}, which does not exist" for name in sorted(set(members) - there)]
    return found


# -- names

SPECIAL_VARIABLES = (
    "environment",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "vars",
)


def taken_names() -> dict[str, str]:
    """Names that mean something else where templates and plays are read."""
    templates = {
        *Environment().globals,
        *ImmutableSandboxedEnvironment().globals,
        "lookup",
        "query",
        "q",
        "now",
        "undef",
        "omit",
    }
    return {
        **dict.fromkeys(templates, "a global of templates"),
        **dict.fromkeys((*get_reserved_names(), *SPECIAL_VARIABLES), "a word of Ansible's own"),
    }


def names_taken(inputs: Iterable[str], taken: Mapping[str, str]) -> Complaints:
    return [f"{name} is {taken[name]}" for name in sorted(set(inputs)) if name in taken]


# -- roles


def defaults_differ(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> Complaints:
    """The defaults of a role and those that its argument specification states are the same.

    A default that is a template is stated as what it comes to when nothing is set, or not at all.
    """
    found = [f"{name} has a default and no specification" for name in sorted(defaults.keys() - options.keys())]
    found += [
        f"{name} is specified, neither required nor with a default in defaults/main.yml"
        for name in sorted(options.keys() - defaults.keys())
        if not options[name].get("required")
    ]
    for name in sorted(defaults.keys() & options.keys()):
        value, option = defaults[name], options[name]
        if option.get("required"):
            found.append(f"{name} is required and has a default")
        elif _templated(value):
            if "default" in option and option["default"] not in (value, comes_to(value)):
                found.append(f"{name}: with nothing set it comes to {comes_to(value)!r}, not to {option['default']!r}")
        elif "default" in option and (option["default"] != value or type(option["default"]) is not type(value)):
            found.append(f"{name}: the default is {value!r}, its specification says {option['default']!r}")
        elif "default" not in option and value not in (None, "", [], {}):
            found.append(f"{name}: the default is {value!r}, its specification says none")
    return found


def comes_to(template: str) -> Any:
    """The value of a template while no variable is defined."""
    try:
        return Templar(DataLoader(), variables={}).template(trust_as_template(template))
    except AnsibleError as error:
        return error


def _templated(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def not_prefixed(role: str, names: Iterable[str]) -> Complaints:
    """A role's own variables carry its name; ``ops_`` ones are the collection's."""
    allowed = (f"{role}_", f"__{role}_", "ops_")
    names = set(names) - {f"__{role}"}
    return [
        f"{name} does not begin with {role}_ or __{role}_" for name in sorted(names) if not name.startswith(allowed)
    ]


def names_set(tasks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What the tasks of a role register or set as facts."""
    for entry in tasks:
        for task in _flatten(dict(entry)):
            if "register" in task:
                yield task["register"]
            for action in ("ansible.builtin.set_fact", "ansible.builtin.set_stats"):
                if isinstance(task.get(action), Mapping):
                    facts = task[action].get("data", {}) if action.endswith("stats") else task[action]
                    yield from (name for name in facts if name != "cacheable")


def readme_lacks(text: str) -> Complaints:
    return [
        f"the README does not say {word}" for word in ("idempotent", "atomic", "rollback") if word not in text.lower()
    ]


# -- playbooks


def playbook_mistakes(name: str, lines: int, link: str | None, names: Sequence[str]) -> Complaints:
    """``link``: where the file points, when it is a symbolic link. ``names``: all playbooks."""
    found = []
    if link is None and lines > 60:
        found.append(f"{lines} lines; a playbook has at most 60")
    if "-" in name and name.replace("-", "_") not in names:
        found.append(f"no link {name.replace('-', '_')}: it cannot be run as day2.ops.{name.replace('-', '_')[:-4]}")
    if "_" in name and link != name.replace("_", "-"):
        found.append(f"is not a symbolic link to {name.replace('_', '-')}")
    return found


# -- sources

# Where each kind of connection is opened; guarantees about them (read-only sessions, verified TLS) live there alone.
FACTORIES = {
    "psycopg2": "plugins/module_utils/_postgresql/dial.py",
    "boto3": "plugins/module_utils/_store/s3.py",
    "redis": "plugins/module_utils/_redis/connect.py",
    "requests": "plugins/module_utils/_observability/service.py",
    "smtplib": "plugins/module_utils/_notify/mail.py",
    "socket": "plugins/module_utils/_tls/dial.py",
}
OPENERS = {
    "psycopg2": {"connect"},
    "boto3": {"client", "resource", "session", "Session", "setup_default_session"},
    "redis": {
        "Redis",
        "StrictRedis",
        "from_url",
        "ConnectionPool",
        "Connection",
        "SSLConnection",
        "Sentinel",
        "RedisCluster",
    },
    "requests": {"Session", "session", "request", "get", "head", "options", "post", "put", "patch", "delete", "api"},
    "smtplib": {"SMTP", "SMTP_SSL", "LMTP"},
    "socket": {"socket", "create_connection", "create_server", "socketpair", "fromfd"},
}
FORBIDDEN_IMPORTS = {
    "httpx",
    "aiohttp",
    "urllib.request",
    "http.client",
    "ftplib",
    "telnetlib",
    "asyncpg",
    "pg8000",
    "psycopg",
    "botocore.session",
    "ansible.module_utils.urls",
}


def connections_opened(path: str, source: str) -> Complaints:
    """Connections that a file opens, or could open, past the factories."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"imports {alias.name}" for alias in node.names if _forbidden(alias.name)]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if _forbidden(node.module) or _forbidden(f"{node.module}.{alias.name}"):
                    found.append(f"imports {alias.name} from {node.module}")
                found += _opened(path, node.module.partition(".")[0], alias.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += _opened(path, node.value.id, node.attr)
    return found


def _forbidden(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in FORBIDDEN_IMPORTS)


def _opened(path: str, package: str, name: str) -> Complaints:
    if name in OPENERS.get(package, ()) and path != FACTORIES[package]:
        return [f"opens a connection: {package}.{name} belongs into {FACTORIES[package]}"]
    return []


def header_missing(source: str, *, full: bool) -> Complaints:
    """``full``: the header of plugins, at the very top or below ``#!``; elsewhere the licence is named near the top."""
    body = source.partition("\n")[2] if source.startswith("#!") else source
    if full and source:
        return [] if body.startswith(HEADER) else ["does not begin with the collection's licence header"]
    return (
        []
        if "SPDX-License-Identifier: GPL-3.0-or-later" in source[:600] or not source.strip()
        else ["names no licence"]
    )


def nets_that_catch_everything(source: str) -> Complaints:
    """Handlers for any exception at all; what tidies up and lets it pass is a ``finally`` or an exit stack."""
    return [
        f"line {node.lineno}: catches every exception; name those that are meant, and tidy up in a finally"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler) and _broad(node.type)
    ]


def _broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(_broad, caught.elts))
    return caught is None or (isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException"))


# Spelled in pieces, so that this file does not find itself.
FORBIDDEN_WORDS = {
    "a folder of one machine": r"(?<![\w.])/wo" r"rk/\w",
    "failures ignored": r"\bignore_" r"errors\s*:\s*(true|yes)\b",
    "failures denied": r"\bfailed_when\s*:\s*(fal" r"se|no)\b",
    "a shell where a list would do": r"\buse_unsafe_" r"shell\b",
    "certificates that are not verified": r"\bvalidate_" r"certs\s*[:=]\s*(false|no|False)\b",
    "work left for later": r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b",
}


def forbidden_words(text: str) -> Complaints:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        for meaning, pattern in FORBIDDEN_WORDS.items():
            if re.search(pattern, line):
                found.append(f"line {number}: {meaning}: {line.strip()[:100]}")
    return found
