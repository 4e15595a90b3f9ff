# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: the options of one, and what they mean. Pure."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, Mapping, Optional

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput
from ansible_collections.day2.ops.plugins.module_utils._core.policy import policy_hash
from ansible_collections.day2.ops.plugins.module_utils._postgresql import names
from ansible_collections.day2.ops.plugins.module_utils._retention.state import ACCEPTABLE, Policy, Span

ARCHIVES = ("age", "plain", "none")
FORMATS = ("text", "binary")
LONGEST_YEARS = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_SPAN = re.compile(r"\s*([0-9]{1,6})\s*(h|d|w|mo|y)\s*")
_TEXTS = ("where", "protect", "legal_hold")


def policy_options() -> dict[str, Any]:
    """The suboptions of option ``policies``. What is wrong with a value is said by :func:`policies_of`."""
    texts = {"type": "list", "elements": "str", "default": []}
    return {
        "name": {"type": "str", "required": True},
        "table": {"type": "str", "required": True},
        "column": {"type": "str"},
        "older_than": {"type": "str"},
        "keep_last": {"type": "int"},
        "per": texts,
        "where": {"type": "str"},
        "protect": {"type": "str"},
        "legal_hold": {"type": "str"},
        "archive": {"type": "str"},
        "erase": {"type": "bool", "default": False},
        "archive_delete_after": {"type": "str"},
        "archive_format": {"type": "str", "choices": list(FORMATS), "default": FORMATS[0]},
        "min_age": {"type": "str", "default": "7d"},
        "max_fraction": {"type": "float", "default": 0.2},
        "max_rows": {"type": "int"},
        "partitions": {"type": "bool", "default": False},
        "accept": texts,
    }


def policies_of(params: Mapping[str, Any]) -> list[Policy]:
    """The policies that the module's options give, in their order; :class:`BadInput` for what cannot be meant."""
    given = params["policies"]
    if not given:
        raise BadInput("policies: there is none; give at least one policy with name, table, column and archive.")
    policies = [_policy(one) for one in given]
    seen: set[str] = set()
    for policy in policies:
        if policy.name in seen:
            raise BadInput(f"policies[{policy.name}].name: two policies have this name; give each one of its own.")
        seen.add(policy.name)
    return policies


def parse_span(text: str, option: str) -> Span:
    """``90d``, ``12h``, ``6w``, ``3mo`` or ``1y``.

    >>> parse_span("6w", "older_than")
    Span(months=0, days=42, seconds=0)
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise BadInput(f"{option}: {text!r} is not a duration; write one such as 12h, 90d, 6w, 3mo or 1y.")
    number, unit = int(match.group(1)), match.group(2)
    span = {
        "h": Span(seconds=number * 3600),
        "d": Span(days=number),
        "w": Span(days=number * 7),
        "mo": Span(months=number),
        "y": Span(months=number * 12),
    }[unit]
    if span.months > LONGEST_YEARS * 12 or span.days + span.seconds / 86_400 > LONGEST_YEARS * 366:
        raise BadInput(f"{option}: {text!r} is too long; give at most {LONGEST_YEARS} years.")
    return span


def interval(span: Span) -> str:
    """The span as the server reads it.

    >>> interval(Span(days=90))
    '0 months 90 days 0 seconds'
    """
    return f"{span.months} months {span.days} days {span.seconds} seconds"


def _policy(given: Mapping[str, Any]) -> Policy:
    name = given["name"]
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"policies[{name}].name: {name!r} will not do; begin with a-z or 0-9, then up to 40 of a-z, 0-9, _ and -."
        )
    one = _Options(name, given)
    one.no_nul()
    values: dict[str, Any] = {
        "name": name,
        "table": one.table(),
        **one.rule(),
        **{option: one.condition(option) for option in _TEXTS},
        **one.archive(),
        **one.limits(),
        "partitions": bool(given["partitions"]),
        "accept": one.accept(),
    }
    policy = Policy(hash="", **values)
    return Policy(hash=_hash(policy), **values)


def _hash(policy: Policy) -> str:
    """Of what is meant and not of how it was written: 7d and 1w are the same."""
    deciding = {**asdict(policy), "accept": sorted(policy.accept)}
    deciding.pop("hash")
    return policy_hash(deciding)


class _Options:
    """The suboptions of the policy ``name``, each read with its own words for what is wrong."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        self._name = name
        self._given = given

    def at(self, option: str) -> str:
        return f"policies[{self._name}].{option}"

    def no_nul(self) -> None:
        for option, value in self._given.items():
            if "\0" in str(value):
                raise BadInput(f"{self.at(option)}: it holds a NUL character, which no name or text can; remove it.")

    def table(self) -> tuple[Optional[str], str]:
        parts = names.parse(self._given["table"], self.at("table"))
        return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])

    def span(self, option: str, *, zero: bool = False) -> Optional[Span]:
        text = self._given[option]
        if text is None:
            return None
        span = parse_span(text, self.at(option))
        if not zero and not span.least:
            raise BadInput(f"{self.at(option)}: {text!r} is no time at all; give a duration above 0, such as 90d.")
        return span

    def rule(self) -> dict[str, Any]:
        """What is due: older than a time, or not among the last of its group."""
        keep, per = self._given["keep_last"], tuple(self._given["per"] or ())
        older_than = self.span("older_than")
        if (older_than is None) == (keep is None):
            what = "both are given" if keep is not None else "neither is given"
            raise BadInput(f"{self.at('older_than')} or {self.at('keep_last')}: {what}; give exactly one of them.")
        if keep is not None and keep < 1:
            raise BadInput(f"{self.at('keep_last')}: {keep} would keep nothing; give the number of rows, 1 or more.")
        if keep is not None and not per:
            raise BadInput(f"{self.at('per')}: keep_last needs the columns that make up a group; give them as a list.")
        if keep is None and per:
            raise BadInput(f"{self.at('per')}: it goes with keep_last only; leave it out beside older_than.")
        if not all(per) or len(set(per)) < len(per):
            raise BadInput(f"{self.at('per')}: a column is empty or named twice; name each column once.")
        if not self._given["column"]:
            use = "whose age decides" if keep is None else "that says which rows are the last"
            raise BadInput(f"{self.at('column')}: it is missing; name the column {use}.")
        if self._given["partitions"] and older_than is None:
            raise BadInput(f"{self.at('partitions')}: only older_than can let go whole partitions; leave it out.")
        return {"column": self._given["column"], "older_than": older_than, "keep_last": keep, "per": per}

    def condition(self, option: str) -> Optional[str]:
        text = self._given[option]
        if text is not None and not text.strip():
            what = "query" if option == "protect" else "condition"
            raise BadInput(f"{self.at(option)}: it is empty; give an SQL {what}, or leave the option out.")
        return str(text) if text is not None else None

    def archive(self) -> dict[str, Any]:
        archive, erase = self._given["archive"], bool(self._given["erase"])
        if archive not in ARCHIVES:
            what = "it is missing" if archive is None else f"{archive!r} is not known"
            raise BadInput(
                f"{self.at('archive')}: {what}; say age (encrypted), plain (readable for all who reach the store) or, "
                "together with erase: true, none."
            )
        if archive == "none" and not erase:
            raise BadInput(
                f"{self.at('archive')}: none would delete rows without a copy; add erase: true if that is meant, else "
                "say age or plain."
            )
        if erase and archive != "none":
            raise BadInput(
                f"{self.at('erase')}: rows are erased or archived, not both; say archive: none, or no erase."
            )
        after = self.span("archive_delete_after")
        if after is not None and archive == "none":
            raise BadInput(
                f"{self.at('archive_delete_after')}: with erase there is no archive to delete; leave it out."
            )
        how = self._given["archive_format"]
        if how != FORMATS[0] and archive == "none":
            raise BadInput(f"{self.at('archive_format')}: with erase there is no archive to write; leave it out.")
        return {"archive": archive, "erase": erase, "archive_delete_after": after, "archive_format": how}

    def limits(self) -> dict[str, Any]:
        fraction, most = self._given["max_fraction"], self._given["max_rows"]
        if not 0 < fraction <= 1:
            raise BadInput(
                f"{self.at('max_fraction')}: {fraction} is not a ratio; give a number above 0 and up to 1, such as 0.2."
            )
        if most is not None and most < 1:
            raise BadInput(
                f"{self.at('max_rows')}: {most} would allow nothing; give a number above 0, or leave it out."
            )
        return {"max_fraction": fraction, "max_rows": most, "min_age": self.span("min_age", zero=True) or Span()}

    def accept(self) -> frozenset[str]:
        for name in self._given["accept"] or ():
            if name not in ACCEPTABLE:
                raise BadInput(
                    f"{self.at('accept')}: {name!r} is nothing to accept; name any of {', '.join(ACCEPTABLE)}."
                )
        return frozenset(self._given["accept"] or ())
