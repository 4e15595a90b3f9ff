# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on certificates: what is known of them and thresholds in, checks out. Pure, but for the time it is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Optional, Sequence

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.limits import Limits
from ansible_collections.day2.ops.plugins.module_utils._core.records import Check, CheckType, judge, rank
from ansible_collections.day2.ops.plugins.module_utils._tls import chain, names

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

DAY = 86400
MOST_NAMES = 20
# `days` are days left; of keys the largest size that is a finding (NIST SP 800-131A: RSA 2048 and curves of 224 bits
# and more are good).
DEFAULTS: Limits = {
    "days": {"warn": 30, "crit": 14},
    "rsa_bits": {"warn": 2047, "crit": 1024},
    "ec_bits": {"warn": 255, "crit": 223},
}
WEAK_HASHES = ("md5", "sha1")

DAYS = CheckType(
    "certificate_days",
    "seconds",
    "below",
    ("issued_to", "issued_by", "serial", "not_after", "fingerprint_sha256", "shortest", "certificates", "protocol"),
)
NAME = CheckType("certificate_name", evidence=("wanted", "names"))
CHAIN = CheckType("certificate_chain", evidence=("sent", "unused", "root"))
KEY = CheckType("certificate_key", "count", "below", ("key", "signature", "weakest"))
NOT_YET = CheckType("certificate_not_yet_valid", "seconds", "above", ("not_before",))


@dataclass(frozen=True)
class Known:
    """``held``: all certificates, the one that matters first. ``path``: those that it stands on, itself first, whose
    end is its end. ``trouble``: why the chain is not trusted; "": it is; None: nobody asked."""

    held: tuple[Certificate, ...]
    path: tuple[Certificate, ...]
    trouble: Optional[str] = None
    protocol: str = ""


def unknown(subject: str, why: str) -> Check:
    return DAYS(subject, None, summary=why, advice="See that it is where it is looked for, and can be read from here.")


def checks(subject: str, known: Known, wanted: Sequence[str], limits: Limits, now: datetime) -> list[Check]:
    """All verdicts on one certificate and its chain. ``wanted``: the names that it must be for."""
    found = [days(subject, known, limits, now), _not_yet(subject, known, now), _key(subject, known, limits)]
    if wanted:
        found.append(_name(subject, known.held[0], wanted))
    if known.trouble is not None:
        found.append(_chain(subject, known, now))
    return found


def days(subject: str, known: Known, limits: Limits, now: datetime) -> Check:
    from cryptography.hazmat.primitives.hashes import SHA256

    leaf = known.held[0]
    shortest = min(known.path, key=lambda one: one.not_valid_after_utc)
    left = int((shortest.not_valid_after_utc - now).total_seconds())
    which = "It" if shortest is leaf else f"{chain.name(shortest.subject)}, which it stands on,"
    when = f"on {shortest.not_valid_after_utc:%Y-%m-%d}"
    ends = f"ends in {left // DAY} days, {when}" if left >= 0 else f"expired {-left // DAY} days ago, {when}"
    seconds = {level: None if limit is None else limit * DAY for level, limit in limits["days"].items()}
    return DAYS(
        subject,
        left,
        **seconds,
        summary=f"{which} {ends}.",
        advice="Renew it, and see that what renews it also makes its servers load it.",
        issued_to=chain.name(leaf.subject),
        issued_by=chain.name(leaf.issuer),
        serial=f"{leaf.serial_number:x}",
        not_after=clock.iso(leaf.not_valid_after_utc),
        fingerprint_sha256=leaf.fingerprint(SHA256()).hex(),
        shortest=chain.name(shortest.subject),
        certificates=len(known.held),
        protocol=known.protocol or None,
    )


def _not_yet(subject: str, known: Known, now: datetime) -> Check:
    latest = max(known.path, key=lambda one: one.not_valid_before_utc).not_valid_before_utc
    wait = max(0, int((latest - now).total_seconds()))
    return NOT_YET(
        subject,
        wait,
        status="crit" if latest > now else "ok",
        summary=f"It is {'not valid before' if latest > now else 'valid since'} {clock.iso(latest)}.",
        advice="Compare the clocks of this host and of who issued it; if they agree, put the one before it back.",
        not_before=clock.iso(latest),
    )


def _name(subject: str, leaf: Certificate, wanted: Sequence[str]) -> Check:
    missing = [name for name in wanted if not names.covers(leaf, name)]
    hosts, addresses = names.alternatives(leaf)
    known = [*hosts, *map(str, addresses)]
    held = ", ".join(known[:MOST_NAMES]) + (" ..." if len(known) > MOST_NAMES else "")
    what = f"is not for {', '.join(missing)}, but for {held or 'no name at all'}" if missing else "is for"
    return NAME(
        subject,
        None,
        status="crit" if missing else "ok",
        summary=f"It {what}{'' if missing else ' ' + ', '.join(wanted)}.",
        advice="Issue it with these names as subjectAltName; clients look at nothing else.",
        wanted=", ".join(wanted),
        names=held or None,
    )


def _chain(subject: str, known: Known, now: datetime) -> Check:
    unused = [one for one in known.held if one not in known.path]
    old = [chain.name(one.subject) for one in unused if one.not_valid_after_utc < now]
    status = "crit" if known.trouble else "warn" if old else "ok"
    summary = f"It leads to the trusted {chain.name(known.path[-1].subject)}."
    advice = "Leave the expired one out of the chain: old clients stumble over it."
    if known.trouble:
        summary = f"The chain is not trusted: {known.trouble}."
        advice = "Serve the certificate with all its intermediates; where the CA is your own, set ca_cert to its file."
    elif old:
        summary += f" Also sent, though expired and not needed: {', '.join(old)}."
    return CHAIN(
        subject,
        None,
        status=status,
        summary=summary,
        advice=advice,
        sent=len(known.held),
        unused=len(unused),
        root=chain.name(known.path[-1].subject) if not known.trouble else None,
    )


def _key(subject: str, known: Known, limits: Limits) -> Check:
    # Nobody looks at the signature of a root: it is trusted because it is there.
    relevant = [one for number, one in enumerate(known.path) if number == 0 or not chain.self_signed(one)]
    strengths = [_strength(one, limits) for one in relevant]
    weakest = max(range(len(relevant)), key=lambda number: rank(strengths[number]["status"]))
    told = strengths[weakest]
    which = "Its" if weakest == 0 else f"The intermediate {chain.name(relevant[weakest].subject)}'s"
    return KEY(
        subject,
        told["bits"],
        **told["limits"],
        status=told["status"],
        summary=f"{which} key is {told['key']}, its signature {told['signature']}.",
        advice="Issue it anew, with an RSA key of 2048 bits or more or a P-256 one, and signed with SHA-256.",
        key=told["key"],
        signature=told["signature"],
        weakest=chain.name(relevant[weakest].subject),
    )


def _strength(certificate: Certificate, limits: Limits) -> dict[str, Any]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    bits: Optional[int] = None
    levels: dict[str, Any] = {}
    try:
        key = certificate.public_key()
        signature = certificate.signature_hash_algorithm.name if certificate.signature_hash_algorithm else "EdDSA"
    except (UnsupportedAlgorithm, ValueError):
        return {"bits": None, "limits": {}, "status": "unknown", "key": "of an unknown kind", "signature": "unknown"}
    status, words = "ok", type(key).__name__.lstrip("_").replace("PublicKey", "")
    if isinstance(key, rsa.RSAPublicKey):
        bits, levels, words = key.key_size, dict(limits["rsa_bits"]), f"RSA {key.key_size}"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        bits, levels, words = key.curve.key_size, dict(limits["ec_bits"]), f"EC {key.curve.name}"
    elif isinstance(key, dsa.DSAPublicKey):
        status, words = "crit", f"DSA {key.key_size}"
    if bits is not None:
        status = judge(bits, levels["warn"], levels["crit"], "below")
    # A self-signed leaf is trusted by itself, or not at all.
    if signature in WEAK_HASHES and not chain.self_signed(certificate):
        status = "crit"
    return {"bits": bits, "limits": levels, "status": status, "key": words, "signature": signature}
