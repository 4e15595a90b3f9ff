# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on one endpoint: an answer, its times and its certificate in, checks out. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Mapping, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType, rank
from ansible_collections.day2.ops.plugins.module_utils._observability import assertions
from ansible_collections.day2.ops.plugins.module_utils._observability.series import percentile
from ansible_collections.day2.ops.plugins.module_utils._observability.service import Answer, without_query
from ansible_collections.day2.ops.plugins.module_utils._tls import checks as certificates
from ansible_collections.day2.ops.plugins.module_utils._tls.checks import Known

# `latency` is the 95th percentile in seconds, `certificate` the days left.
DEFAULTS: Limits = {"latency": {"warn": 0.2, "crit": 1.0}, "certificate": {"warn": 30, "crit": 14}}
MOST_TOLD = 3
Told = Union[Answer, OpsError]

STATUS = CheckType("http_status", evidence=("url", "method", "expected", "leads_to"))
LATENCY = CheckType("http_latency", "seconds", "above", ("p50", "p95", "p99", "slowest", "samples"))
JSON = CheckType("http_json", "count", "above", ("demands", "failed"))
BODY = CheckType("http_body", evidence=("bytes",))
CERTIFICATE = CheckType(
    "http_certificate", "seconds", "below", ("issued_to", "issued_by", "not_after", "fingerprint_sha256", "trusted")
)


def status(subject: str, told: Told, expected: Sequence[int], url: str, method: str) -> Check:
    """Being reachable is this very check, so an endpoint without an answer is crit."""
    wanted = " or ".join(map(str, expected))
    evidence: dict[str, Any] = {"url": url, "method": method, "expected": wanted}
    if isinstance(told, OpsError):
        advice = "Look whether the service runs and can be reached from here."
        return STATUS(subject, None, status="crit", summary=str(told), advice=advice, **evidence)
    good = told.status in expected
    leads_to = without_query(told.location) if told.location else ""
    leads = f" and leads to {leads_to}" if leads_to else ""
    return STATUS(
        subject,
        told.status,
        status="ok" if good else "crit",
        summary=f"It answers {told.status}{leads}{'' if good else f', not {wanted}'}.",
        advice="Follow it with follow_redirects, or give the address that it leads to."
        if leads
        else "Look at its log.",
        leads_to=leads_to or None,
        **evidence,
    )


def latency(subject: str, told: Told, seconds: Sequence[float], limits: Limits) -> Check:
    if not seconds:
        return LATENCY(subject, None, **limits["latency"], summary=f"It was not measured. {told}")
    p50, p95, p99 = (percentile(seconds, share) for share in (0.5, 0.95, 0.99))
    several = f" of {len(seconds)} requests, {p50 * 1000:.0f} ms half of them" if len(seconds) > 1 else ""
    cut = " Then it answered no more." if isinstance(told, OpsError) else ""
    return LATENCY(
        subject,
        round(p95, 4),
        **limits["latency"],
        summary=f"It takes {p95 * 1000:.0f} ms{f' for 95 %{several}' if several else ''}.{cut}",
        advice="Look at what it waits for: its database, its caches, the services that it asks.",
        p50=round(p50, 4),
        p95=round(p95, 4),
        p99=round(p99, 4),
        slowest=round(max(seconds), 4),
        samples=len(seconds),
    )


def json(subject: str, told: Told, demands: Sequence[Mapping[str, Any]]) -> Check:
    if isinstance(told, OpsError):
        return JSON(subject, None, summary=f"It was not looked into. {told}", demands=len(demands))
    failed = assertions.failures(told.body, demands)
    more = f"; and {len(failed) - MOST_TOLD} more" if len(failed) > MOST_TOLD else ""
    good = f"All {len(demands)} demands on it are met." if len(demands) > 1 else "The demand on it is met."
    return JSON(
        subject,
        len(failed),
        crit=1,
        summary=f"{'; '.join(failed[:MOST_TOLD])}{more}." if failed else good,
        advice="Look at what the service says of itself there.",
        demands=len(demands),
        failed=len(failed),
    )


def body(subject: str, told: Told, pattern: str) -> Check:
    if isinstance(told, OpsError):
        return BODY(subject, None, status="unknown", summary=f"It was not looked into. {told}")
    found = re.search(pattern, told.body.decode("utf-8", "replace"))
    return BODY(
        subject,
        None,
        status="ok" if found else "crit",
        summary=f"The answer {'has' if found else 'lacks'} what body_regex asks for.",
        advice="Look at the page: it is not the one that it should be.",
        bytes=len(told.body),
    )


def certificate(subject: str, told: Union[Known, OpsError], wanted: str, limits: Limits, now: datetime) -> Check:
    """One verdict of all that M(day2.ops.certificate_info) would say: the worst one, and the days left."""
    levels = limits["certificate"]
    if isinstance(told, OpsError):
        return CERTIFICATE(subject, None, summary=f"It is not known. {told}")
    found = certificates.checks(subject, told, [wanted], {**certificates.DEFAULTS, "days": levels}, now)
    days = found[0]
    worst = max(found, key=lambda check: rank(check["status"]))
    others = "" if worst is days else f" {days['summary']}"
    return CERTIFICATE(
        subject,
        days["value"],
        warn=days["warn"],
        crit=days["crit"],
        status=worst["status"],
        summary=f"{worst['summary']}{others}",
        advice=worst["advice"],
        issued_to=days["evidence"]["issued_to"],
        issued_by=days["evidence"]["issued_by"],
        not_after=days["evidence"]["not_after"],
        fingerprint_sha256=days["evidence"]["fingerprint_sha256"],
        trusted=told.trouble == "",
    )
