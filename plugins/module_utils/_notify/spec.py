# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a channel, and what is wrong with those that cannot be meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._core.argspec import ArgumentSpec
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._observability.service import http_options
from ansible_collections.day2.ops.plugins.module_utils._store.spec import store_spec

Channel = Mapping[str, Any]
TYPES = ("console", "file", "slack", "email", "webhook")
SLACK = "https://slack.com"
PORTS = {"starttls": 587, "tls": 465, "none": 25}
_NEEDS = {"file": ("path",), "webhook": ("url",), "email": ("host", "sender", "to")}


def channel_options() -> dict[str, Any]:
    shared = {key: dict(option) for key, option in http_options().items() if key not in ("url", "timeout")}
    return {
        "type": {"type": "str", "required": True, "choices": list(TYPES)},
        "name": {"type": "str"},
        "when": {"type": "str", "choices": ["change", "always"], "default": "change"},
        "path": {"type": "path"},
        "mode": {"type": "str", "default": "0600"},
        # Who knows the address of a webhook may send to it.
        "url": {"type": "str", "no_log": True},
        **shared,
        "signing_secret": {"type": "str", "no_log": True},
        "channel": {"type": "str"},
        "host": {"type": "str"},
        "port": {"type": "int"},
        "encryption": {"type": "str", "choices": list(PORTS), "default": "starttls"},
        "sender": {"type": "str"},
        "to": {"type": "list", "elements": "str", "default": []},
        "request_timeout": {"type": "float", "default": 10.0},
        "wait_at_most": {"type": "float", "default": 60.0},
    }


def notice_spec() -> ArgumentSpec:
    own = ArgumentSpec(
        {
            "result": {"type": "dict", "required": True},
            "verdicts": {"type": "dict", "required": True},
            "lines": {"type": "list", "elements": "str", "required": True},
            "folder": {"type": "path"},
            "channels": {"type": "list", "elements": "dict", "required": True, "options": channel_options()},
            "remind_after": {"type": "float", "default": 86400.0},
            "most_per_hour": {"type": "int", "default": 6},
        }
    )
    return own.merge(store_spec())


def name_of(channel: Channel) -> str:
    return str(channel["name"] or channel["type"])


def checked(channels: Sequence[Channel]) -> list[Channel]:
    """The channels themselves; :class:`BadInput` for what cannot be meant."""
    seen: set[str] = set()
    for channel in channels:
        name = name_of(channel)
        if not re.fullmatch(r"[a-zA-Z0-9][\w.-]{0,99}", name, re.ASCII):
            raise BadInput(f"channels: {name!r} cannot name a channel; use letters, digits and . _ - only.")
        if name in seen:
            raise BadInput(f"channels: two of them are called {name}; give each a name of its own.")
        seen.add(name)
        _check(f"channels.{name}", channel)
    return list(channels)


def _check(named: str, channel: Channel) -> None:
    kind = channel["type"]
    for option in _NEEDS.get(kind, ()):
        if not channel[option]:
            raise BadInput(f"{named}.{option}: a channel of type {kind} needs it.")
    for option in ("request_timeout", "wait_at_most"):
        if not 0 <= channel[option] <= 3600 or (option == "request_timeout" and not channel[option]):
            raise BadInput(f"{named}.{option}: give a number of seconds above 0, up to 3600.")
    if kind == "slack" and bool(channel["token"]) != bool(channel["channel"]):
        raise BadInput(f"{named}: give url, the address of a webhook; or token and channel.")
    if kind == "slack" and not (channel["token"] or channel["url"]):
        raise BadInput(
            f"{named}.url: a channel of type slack needs it, the address of a webhook; or token and channel."
        )
    if kind == "file" and not re.fullmatch("0?[0-7]{3}", channel["mode"]):
        raise BadInput(f"{named}.mode: {channel['mode']!r} is no mode of a file; write it like '0600'.")
    if channel["token"] and channel["username"]:
        raise BadInput(f"{named}: give token, or username and password, not both.")
    if bool(channel["username"]) != bool(channel["password"]):
        raise BadInput(f"{named}: username and password go together.")
    if kind == "email":
        _check_mail(named, channel)


def _check_mail(named: str, channel: Channel) -> None:
    for option, given in (("sender", [channel["sender"]]), ("to", channel["to"])):
        for text in given:
            try:
                Address(addr_spec=parseaddr(text)[1])
                known = text.isprintable() and "@" in parseaddr(text)[1]
            except (ValueError, IndexError):
                known = False
            if not known:
                raise BadInput(f"{named}.{option}: {text!r} is no address; write it like ops@example.com.")
    if channel["encryption"] == "none" and channel["host"] not in ("localhost", "127.0.0.1", "::1"):
        raise BadInput(f"{named}.encryption: without it mail goes within this host only; use starttls or tls.")
