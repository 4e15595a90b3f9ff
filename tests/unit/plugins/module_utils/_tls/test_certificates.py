# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates in files and at servers, and what is made of them."""

from __future__ import annotations

import base64
import doctest
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError
from ansible_collections.day2.ops.plugins.module_utils._tls import chain, names, read
from ansible_collections.day2.ops.plugins.module_utils._tls.certificates import certificate_spec, wanted_of
from tests.lab import Lab, module
from tests.unit.plugins.module_utils._tls.made import (
    NOW,
    Authorities,
    Dripping,
    Issued,
    issue,
    pem,
)


def ask(*certificates: dict[str, Any], seconds: float = 60, run: dict[str, Any] | None = None, **given: Any) -> Any:
    """What the module says, as {(subject, check): check}."""
    arguments = {"certificates": list(certificates), **given}
    result = module.start("certificate_info", arguments, **(run or {})).result(seconds)
    assert not result.get("failed"), result
    assert result["changed"] is False and result["actions"] == []
    return {(one["subject"], one["check"].replace("certificate_", "")): one for one in result["checks"]}


def statuses(found: Any, subject: str) -> dict[str, str]:
    return {check: one["status"] for (name, check), one in found.items() if name == subject}


GOOD = {"days": "ok", "not_yet_valid": "ok", "key": "ok", "name": "ok", "chain": "ok"}


# -- names


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(names).failed == 0


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("example.com", "EXAMPLE.com.", True),
        ("example.com", "www.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("w*.example.com", "www.example.com", False),
        ("*", "localhost", False),
        ("*.*.example.com", "a.b.example.com", False),
        ("xn--bcher-kva.example", "bücher.example", True),
    ],
)
def test_names(pattern: str, name: str, fits: bool) -> None:
    assert names.fits(pattern, name) is fits


def test_only_alternative_names_count(authorities: Authorities) -> None:
    leaf = authorities.leaf("shop.example.com", "*.shop.example.com", "10.0.0.1").certificate
    covered = ["shop.example.com", "www.shop.example.com", "10.0.0.1"]
    assert all(names.covers(leaf, name) for name in covered)
    assert not any(names.covers(leaf, name) for name in ("10.0.0.2", "a.b.shop.example.com", "example.com"))
    assert not names.covers(issue("shop.example.com").certificate, "shop.example.com")


# -- reading


def test_every_form(authorities: Authorities, tmp_path: Path) -> None:
    leaf = authorities.leaf()
    der = leaf.certificate.public_bytes(serialization.Encoding.DER)
    locked = serialization.BestAvailableEncryption(b"a-passphrase")
    store = pkcs12.serialize_key_and_certificates(b"n", leaf.key, leaf.certificate, [*leaf.chain], locked)
    for content, passphrase, count in (
        (leaf.key_pem + leaf.pem, None, 2),
        (der, None, 1),
        (store, "a-passphrase", 2),
    ):
        file = tmp_path / "file"
        file.write_bytes(content)
        found = read.from_file(str(file), passphrase)
        assert found[0] == leaf.certificate and len(found) == count
        text = content.decode() if b"BEGIN" in content else base64.encodebytes(content).decode()
        assert read.from_text(text, "it", passphrase) == found
    for wrong in (None, "another"):
        with pytest.raises(OpsError, match="nor PKCS#12 that opens with the passphrase given") as caught:
            read.parse(store, "it", wrong)
        assert "another" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate(content: bytes) -> None:
    with pytest.raises(OpsError, match="Failed to read it: "):
        read.parse(content, "it")
    with pytest.raises(OpsError, match="neither PEM nor base64"):
        read.from_text("a text", "it")


# -- chains


def troubles(authorities: Authorities, leaf: Issued, *sent: Any) -> str:
    return chain.way(leaf.certificate, sent, [authorities.root.certificate], NOW).trouble


def test_ways_to_a_trusted_one(authorities: Authorities) -> None:
    leaf, middle = authorities.leaf(), authorities.middle.certificate
    assert troubles(authorities, leaf, middle) == ""
    assert troubles(authorities, leaf, authorities.root.certificate, middle, middle) == ""
    assert troubles(authorities, leaf) == "incomplete: the issuer The Middle is neither sent along nor trusted"
    assert troubles(authorities, issue("alone", names=["alone"])) == "self-signed"
    stranger = issue("A Stranger")
    assert troubles(authorities, stranger.below("x", names=["x"]), stranger.certificate) == (
        "its root A Stranger is not trusted"
    )
    old = authorities.root.below("The Old Middle", days=-1)
    assert "the intermediate The Old Middle expired on" in troubles(
        authorities, old.below("x", names=["x"]), old.certificate
    )
    early = authorities.root.below("The Early Middle", since=-2)
    assert "is not valid before" in troubles(authorities, early.below("x", names=["x"]), early.certificate)
    false = authorities.middle.below("no CA", names=["no CA"])
    assert "the intermediate no CA may not issue" in troubles(
        authorities, false.below("x", names=["x"]), false.certificate, middle
    )
    short = authorities.root.below("short", path_length=0)
    longer = short.below("longer")
    assert "the intermediate short may not issue" in troubles(
        authorities, longer.below("x", names=["x"]), longer.certificate, short.certificate
    )


def test_a_forged_issuer_is_none(authorities: Authorities) -> None:
    forged = issue("The Middle")
    found = troubles(authorities, forged.below("x", names=["x"]), authorities.middle.certificate)
    assert found.startswith("incomplete")


def test_the_second_of_two_ways_is_found(authorities: Authorities) -> None:
    """An issuer that changed its root: one certificate of it leads nowhere, the other one to a trusted root."""
    stranger = issue("A Stranger")
    crossed = stranger.below("The Middle", key=authorities.middle.key)
    assert troubles(authorities, authorities.leaf(), crossed.certificate, authorities.middle.certificate) == ""


# -- servers


def place(port: int, **given: Any) -> dict[str, Any]:
    return {"name": "it", "host": "127.0.0.1", "port": port, "server_name": "localhost", **given}


def test_a_good_server_takes_one_handshake(authorities: Authorities, serving: Callable[..., Any]) -> None:
    server = serving(authorities.leaf(days=200))
    found = ask(place(server.port), ca_cert=str(authorities.file))
    assert statuses(found, "it") == GOOD
    assert found["it", "days"]["evidence"]["shortest"] == "localhost"
    assert len(found["it", "days"]["evidence"]["fingerprint_sha256"]) == 64
    assert found["it", "chain"]["evidence"]["root"] == "The Root"
    time.sleep(0.2)
    assert server.handshakes == ["done"]


def test_servers_that_lie_are_found_out(authorities: Authorities, serving: Callable[..., Any]) -> None:
    old = authorities.root.below("The Old Middle", days=-1)
    lies = {
        "expired": (serving(authorities.leaf(days=-2)), {"days": "crit", "chain": "crit"}),
        "soon": (serving(authorities.leaf(days=20)), {"days": "warn"}),
        "very soon": (serving(authorities.leaf(days=10)), {"days": "crit"}),
        "early": (serving(authorities.leaf(since=-1)), {"not_yet_valid": "crit", "chain": "crit"}),
        "self-signed": (serving(issue("localhost", names=["localhost"])), {"chain": "crit"}),
        "stranger": (serving(issue("A Stranger").below("x", names=["localhost"])), {"chain": "crit"}),
        "incomplete": (serving(leaf := authorities.leaf(), chain=pem(leaf.certificate)), {"chain": "crit"}),
        "old middle": (serving(old.below("x", names=["localhost"])), {"days": "crit", "chain": "crit"}),
        "wrong name": (serving(authorities.leaf("other.example.com")), {"name": "crit"}),
    }
    found = ask(
        *(place(server.port, name=name) for name, (server, _bad) in lies.items()), ca_cert=str(authorities.file)
    )
    for name, (_server, bad) in lies.items():
        assert statuses(found, name) == {**GOOD, **bad}, name
    assert "It expired 2 days ago" in found["expired", "days"]["summary"]
    assert "The chain is not trusted: it expired on" in found["expired", "chain"]["summary"]
    assert "not trusted: self-signed." in found["self-signed", "chain"]["summary"]
    assert "incomplete: the issuer The Middle" in found["incomplete", "chain"]["summary"]
    assert "intermediate The Old Middle expired on" in found["old middle", "chain"]["summary"]
    assert found["old middle", "days"]["evidence"]["shortest"] == "The Old Middle"
    assert "is not for localhost, but for other.example.com" in found["wrong name", "name"]["summary"]


def test_an_expired_certificate_that_nobody_needs_is_a_warning(
    authorities: Authorities, serving: Callable[..., Any]
) -> None:
    leaf = authorities.leaf()
    crossed = issue("A Stranger").below("The Middle", key=authorities.middle.key, days=-5)
    server = serving(leaf, chain=pem(leaf.certificate, authorities.middle.certificate, crossed.certificate))
    found = ask(place(server.port), ca_cert=str(authorities.file))
    assert statuses(found, "it") == {**GOOD, "chain": "warn"}
    assert "expired and not needed: The Middle" in found["it", "chain"]["summary"]


def test_the_name_asked_for_chooses_the_certificate(authorities: Authorities, serving: Callable[..., Any]) -> None:
    shop = authorities.leaf("shop.example.com", days=300)
    server = serving(authorities.leaf("fake.example.com"), others={"shop.example.com": shop})
    asked = [place(server.port, name=name, server_name=name) for name in ("shop.example.com", "none.example.com")]
    found = ask(*asked, {"name": "ip", "host": "127.0.0.1", "port": server.port}, ca_cert=str(authorities.file))
    assert found["shop.example.com", "name"]["status"] == "ok"
    assert found["none.example.com", "name"]["status"] == "crit"
    assert "is not for 127.0.0.1" in found["ip", "name"]["summary"]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_asks_for_a_clients_certificate(
    authorities: Authorities, serving: Callable[..., Any], newest: ssl.TLSVersion
) -> None:
    server = serving(authorities.leaf(), clients=authorities.file, newest=newest)
    assert statuses(ask(place(server.port), ca_cert=str(authorities.file)), "it") == GOOD
    assert statuses(ask(place(server.port)), "it") == {**GOOD, "chain": "crit"}


def test_servers_that_do_not_answer_are_unknown_in_time(
    authorities: Authorities, serving: Callable[..., Any], dripping: Dripping, lab: Lab
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    plain = serving(authorities.leaf(), greet=lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    cases = {
        "closed": (closed, {}, "nothing listens there"),
        "hanging": (lab.hanging_server().port, {}, "it gave no answer in time"),
        "dripping": (dripping.port, {}, "it comes to no TLS with it"),
        "hanging postgres": (lab.hanging_server().port, {"starttls": "postgres"}, "it gave no answer in time"),
        "dripping mail": (dripping.port, {"starttls": "smtp"}, "it gave no answer in time"),
        "plain": (plain.port, {}, "it comes to no TLS with it"),
        "no name": (1, {"host": "nowhere.invalid"}, "nowhere.invalid:1: "),
    }
    began = time.monotonic()
    asked = [place(port, name=name, **more) for name, (port, more, _words) in cases.items()]
    found = ask(*asked, ca_cert=str(authorities.file), connect_timeout=1)
    assert time.monotonic() - began < 30
    for name, (_port, _more, words) in cases.items():
        assert statuses(found, name) == {"days": "unknown"}
        assert words in found[name, "days"]["summary"], name


def test_the_deadline_comes_first(lab: Lab, authorities: Authorities) -> None:
    hanging = lab.hanging_server().port
    end = clock.iso(clock.after(clock.now(), 3))
    began = time.monotonic()
    asked = [place(hanging, name=f"s{number}") for number in range(20)]
    found = ask(*asked, jobs=2, connect_timeout=60, run={"deadline": end})
    assert time.monotonic() - began < 30
    assert {one["status"] for one in found.values()} == {"unknown"} and len(found) == 20
    assert "deadline" in found["s19", "days"]["summary"]


def test_starttls(authorities: Authorities, serving: Callable[..., Any]) -> None:
    def postgres(plain: socket.socket) -> None:
        assert plain.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        plain.sendall(b"S")

    def mail(plain: socket.socket) -> None:
        plain.sendall(b"220-mail.example.com\r\n220 hello\r\n")
        assert plain.recv(100).startswith(b"EHLO ")
        plain.sendall(b"250-mail.example.com\r\n250 STARTTLS\r\n")
        assert plain.recv(100) == b"STARTTLS\r\n"
        plain.sendall(b"220 go ahead\r\n")

    def refusing(plain: socket.socket) -> None:
        plain.recv(8)
        plain.sendall(b"N")

    def refusing_mail(plain: socket.socket) -> None:
        plain.sendall(b"554 no\r\n")

    leaf = authorities.leaf()
    asked = {
        "postgres": (serving(leaf, greet=postgres), "postgres"),
        "mail": (serving(leaf, greet=mail), "smtp"),
        "no": (serving(leaf, greet=refusing), "postgres"),
        "no mail": (serving(leaf, greet=refusing_mail), "smtp"),
    }
    places = [place(server.port, name=name, starttls=kind) for name, (server, kind) in asked.items()]
    found = ask(*places, ca_cert=str(authorities.file))
    assert statuses(found, "postgres") == statuses(found, "mail") == GOOD
    assert "offers no TLS" in found["no", "days"]["summary"]
    assert "offers no STARTTLS (554 no)" in found["no mail", "days"]["summary"]


@pytest.mark.lab
def test_real_servers(lab: Lab) -> None:
    database, pages = lab.postgres(18, "certificates-tls", tls=True), lab.nginx("certificates-pages")
    found = ask(
        place(database.port, name="database", starttls="postgres"),
        place(pages.tls_port, name="pages"),
        ca_cert=str(lab.authority.ca_file),
        thresholds={"days": {"warn": None, "crit": 0}},
    )
    assert statuses(found, "database") == statuses(found, "pages") == GOOD
    database.stop("immediate")
    pages.stop()


def test_many_servers_are_quick(authorities: Authorities, serving: Callable[..., Any]) -> None:
    server = serving(authorities.leaf())
    began = time.monotonic()
    found = ask(*(place(server.port, name=f"s{number}") for number in range(200)), ca_cert=str(authorities.file))
    assert {check: one["status"] for (_name, check), one in found.items()} == GOOD
    assert len(found) == 1000
    assert time.monotonic() - began < 30


# -- files


def test_files(authorities: Authorities, tmp_path: Path, weak_key: Any) -> None:
    leaf = authorities.leaf(days=20)
    sha1 = authorities.leaf(key=weak_key)
    files = {
        "chain": leaf.pem,
        "alone": pem(leaf.certificate),
        "modern": issue("x", names=["x"]).pem,
        "weak": sha1.pem,
        "bundle": pem(authorities.root.certificate, issue("An Old Root", days=-1).certificate),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    asked = [{"name": name, "path": str(tmp_path / name)} for name in files]
    asked[0] |= {"ca_cert": str(authorities.file), "names": ["localhost", "shop"]}
    asked[1] |= {"verify": True}
    found = ask(*asked, {"name": "gone", "path": str(tmp_path / "gone")}, {"name": "folder", "path": str(tmp_path)})
    assert statuses(found, "chain") == {**GOOD, "days": "warn", "name": "crit"}
    assert "is not for shop" in found["chain", "name"]["summary"]
    assert statuses(found, "alone")["chain"] == "crit"
    assert statuses(found, "modern") == {"days": "ok", "not_yet_valid": "ok", "key": "ok"}
    assert found["weak", "key"]["status"] == "crit" and found["weak", "key"]["value"] == 1024
    assert found["bundle", "days"]["status"] == "crit"
    assert found["bundle", "days"]["summary"].startswith("An Old Root, which it stands on, expired 1 days ago")
    assert found["gone", "days"]["summary"].endswith("no such file or directory.")
    assert found["folder", "days"]["status"] == "unknown"


def test_a_text_beside_a_key_is_never_shown(authorities: Authorities) -> None:
    leaf = authorities.leaf()
    text = leaf.key_pem.decode() + leaf.pem.decode()
    result = module.start("certificate_info", {"certificates": [{"name": "it", "content": text}]}).result()
    assert result["checks"][0]["status"] == "ok"
    assert leaf.key_pem.decode().splitlines()[1] not in str(result)


def test_sha1_is_weak(authorities: Authorities, weak_key: Any) -> None:
    from ansible_collections.day2.ops.plugins.module_utils._tls import checks

    class Signed:
        """A certificate as libraries refuse to make it any more."""

        def __init__(self, real: Any) -> None:
            self._real = real
            self.signature_hash_algorithm = hashes.SHA1()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    leaf: Any = Signed(authorities.leaf().certificate)
    found = checks.checks("it", checks.Known((leaf,), (leaf,)), [], checks.DEFAULTS, NOW)
    assert {one["check"]: one["status"] for one in found}["certificate_key"] == "crit"


# -- options


def params(*certificates: dict[str, Any], **given: Any) -> dict[str, Any]:
    spec = certificate_spec().argument_spec
    one = {name: option.get("default") for name, option in spec["certificates"]["options"].items()}
    top = {name: option.get("default") for name, option in spec.items()}
    return {**top, "certificates": [{**one, **each} for each in certificates], **given}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (params({"host": "a"}, {"host": "a"}), "certificates[1].name: 'a:443' is there twice"),
        (params({"host": "https://a"}), "certificates[0].host: 'https://a' is no host"),
        (params({"host": "a", "port": 70000}), "certificates[0].port: 70000 is no port"),
        (params({"host": "a", "ca_cert": "/no/such"}), "certificates[0].ca_cert: Failed to read /no/such"),
        (params({"host": "a"}, ca_cert=__file__), "ca_cert: Failed to read "),
        (params({"host": "a"}, connect_timeout=0), "connect_timeout: 0 is too little"),
        (params({"host": "a"}, jobs=0), "jobs: 0 is out of range"),
        (params({"host": "a"}, thresholds={"day": {}}), "thresholds.day: is not a kind of finding"),
        (params({"host": "a", "thresholds": {"days": 3}}), "certificates[0].thresholds.days: 3 is no dictionary"),
    ],
)
def test_options_that_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        wanted_of(given)
    assert str(caught.value).startswith(words)


def test_what_is_taken_for_granted() -> None:
    [name, ip, other] = wanted_of(
        params({"host": "a.example"}, {"host": "::1", "port": 5}, {"host": "10.0.0.1", "server_name": "b"})
    )
    assert (name.name, name.names, name.verify) == ("a.example:443", ("a.example",), True)
    assert (ip.name, ip.names, ip.place and ip.place.name) == ("::1:5", ("::1",), None)
    assert (other.name, other.names) == ("b at 10.0.0.1:443", ("b",))
