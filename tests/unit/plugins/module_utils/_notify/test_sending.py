# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What arrives, and what becomes of it when nothing can. The module runs as Ansible starts it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, StoreConflict
from ansible_collections.day2.ops.plugins.module_utils._notify import memory, spec
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import Decision, Policy, decide
from ansible_collections.day2.ops.plugins.module_utils._store.spec import open_store
from tests.lab import module
from tests.lab.proxy import HangingServer
from tests.lab.receivers import HOOK, SLACK_CHANNEL, TOKEN, HttpReceiver, MailServer
from tests.lab.tls import Authority

from .conftest import NOW, notice, sent

NOTICES = json.loads((Path(__file__).parents[5] / "docs/schemas/notices-1.json").read_text(encoding="utf-8"))
SECRET = "a signing secret of the lab"
Tell = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca", None)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    made = HttpReceiver()
    yield made
    made.close()


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Runs the module on a run with that status; secrets must never be in what it says."""

    def run(*channels: dict[str, Any], status: str = "failed", check: bool = False, **more: Any) -> dict[str, Any]:
        bad = status == "failed"
        given = {
            "result": {"run_id": "r1", "playbook": "nightly", "status": status, "links": {}, **more.pop("result", {})},
            "verdicts": {"orders": {"status": status, "failed": bad, "why": "The disk is full." if bad else ""}},
            "lines": [f"Nightly, run r1: it is {status}."],
            "channels": list(channels),
            **more,
        }
        answer = module.start("notice", given, check=check).result()
        said = json.dumps({**answer, "invocation": None})
        for secret in (SECRET, TOKEN, HOOK, MailServer.password):
            assert secret not in said
        assert not answer.get("changed")
        return answer

    return run


def became(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["channel"], one["status"]) for one in answer["notices"]]


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir()
    return str(tmp_path / "store")


def test_what_became_of_them_cannot_be_kept_is_told_and_fails_nothing(
    tell: Tell, receiver: HttpReceiver, store: str, tmp_path: Path
) -> None:
    channel = {"type": "slack", "url": receiver.url + HOOK}
    told = tell(channel, store=store, folder=str(tmp_path / "gone"))
    assert not told.get("failed") and became(told) == [("slack", "sent")]
    assert told["summary"] == [
        f"What became of the notices could not be kept: Failed to write {tmp_path}/gone/notices.json: "
        "No such file or directory."
    ]


def test_each_channel_once_and_the_same_run_not_again(
    tell: Tell, receiver: HttpReceiver, store: str, tmp_path: Path
) -> None:
    channels = [
        {"type": "console"},
        {"type": "file", "path": str(tmp_path / "digest.txt"), "mode": "0640"},
        {"type": "slack", "url": receiver.url + HOOK},
        {"type": "slack", "name": "bot", "url": receiver.url, "token": TOKEN, "channel": SLACK_CHANNEL},
        {"type": "webhook", "url": receiver.url + "/hook?key=abc", "signing_secret": SECRET},
    ]
    everything = ["console", "file", "slack", "bot", "webhook"]
    rehearsed = tell(*channels, store=store, folder=str(tmp_path), check=True)
    assert became(rehearsed) == [(name, "would_send") for name in everything]
    assert receiver.requests == [] and list(tmp_path.iterdir()) == [tmp_path / "store"]
    assert list((tmp_path / "store").iterdir()) == []

    first = tell(*channels, store=store, folder=str(tmp_path))
    assert became(first) == [(name, "sent") for name in everything] and first["summary"] == []
    assert len(receiver.taken) == 3
    assert (tmp_path / "digest.txt").read_text() == "Nightly, run r1: it is failed.\n"
    assert (tmp_path / "digest.txt").stat().st_mode & 0o777 == 0o640
    for path in (tmp_path / "notices.json", *(tmp_path / "store/v1/history/_notices").glob("*.json")):
        jsonschema.validate(json.loads(path.read_text()), NOTICES)

    path, headers, body = receiver.requests[-1]
    assert path == "/hook?key=abc"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"

    again = tell(*channels, store=store)
    assert [status for _name, status in became(again)] == ["sent", "sent", "unsent", "unsent", "unsent"]
    assert len(receiver.taken) == 3


def test_a_change_and_its_end_are_told_and_what_stays_is_not(tell: Tell, receiver: HttpReceiver, store: str) -> None:
    hook = {"type": "webhook", "url": receiver.url + "/hook"}
    for run, status in (("1", "ok"), ("2", "ok"), ("3", "failed"), ("4", "ok")):
        tell(hook, store=store, status=status, result={"run_id": run})
    assert [(one["run_id"], one["kind"], one["previous_status"]) for one in receiver.taken] == [
        ("1", "first", None),
        ("3", "change", "ok"),
        ("4", "recovery", "failed"),
    ]


def test_without_a_store_it_is_told_and_said(tell: Tell, receiver: HttpReceiver) -> None:
    hook = {"type": "webhook", "url": receiver.url + "/hook"}
    answers = [tell(hook) for _ in range(2)]
    assert len(receiver.taken) == 2 and all("There is no store" in one["summary"][0] for one in answers)


def test_who_is_busy_is_asked_again_when_it_says(tell: Tell, receiver: HttpReceiver) -> None:
    receiver.answers = [(429, "1"), (503, "0")]
    began = time.monotonic()
    assert became(tell({"type": "slack", "url": receiver.url + HOOK})) == [("slack", "sent")]
    assert len(receiver.requests) == 3 and time.monotonic() - began >= 1
    receiver.answers = [(429, "3600")]
    late = tell({"type": "slack", "url": receiver.url + HOOK, "wait_at_most": 5})
    assert became(late) == [("slack", "failed")]
    assert "asks to wait 3600 s, which is longer than the 5 s" in late["notices"][0]["reason"]


def test_a_failure_is_told_and_keeps_nobody_from_the_others(
    tell: Tell, receiver: HttpReceiver, store: str, tmp_path: Path, authority: Authority
) -> None:
    stranger = HttpReceiver(authority.issue("elsewhere.example.com"))
    with HangingServer() as hanging:
        channels = [
            {"type": "slack", "name": "broken", "url": receiver.url + HOOK},
            {"type": "webhook", "name": "hanging", "url": f"http://127.0.0.1:{hanging.port}/a", "request_timeout": 0.3},
            {"type": "webhook", "name": "stranger", "url": stranger.url + "/hook", "ca_cert": str(authority.ca_file)},
            {"type": "webhook", "name": "nobody", "url": "http://127.0.0.1:1/hook"},
            {"type": "slack", "name": "bot", "url": receiver.url, "token": "xoxb-wrong", "channel": SLACK_CHANNEL},
            {"type": "file", "path": str(tmp_path / "missing/digest.txt")},
            {"type": "webhook", "name": "good", "url": receiver.url + "/hook"},
        ]
        receiver.answers = [(500, "")]
        answer = tell(*channels, store=store, folder=str(tmp_path))
    stranger.close()
    assert [name for name, status in became(answer) if status == "sent"] == ["good"]
    reasons = {one["channel"]: one["reason"] for one in answer["notices"]}
    for name, words in {
        "broken": "it answers 500",
        "hanging": "no answer within 0.3 s",
        "stranger": "certificate cannot be trusted",
        "nobody": "nobody answers there",
        "bot": "invalid_auth",
        "file": "No such file or directory",
    }.items():
        assert words in reasons[name]
    assert stranger.requests == [] and len(answer["summary"]) == 6
    left = memory.failures([str(tmp_path)])
    assert [one.partition(": ")[0] for one in left] == [one.partition(": ")[0] for one in answer["summary"]]
    # What failed is not claimed any more, so it can be sent; nothing was sent twice by itself.
    assert sum(path == HOOK for path, _headers, _body in receiver.requests) == 1
    assert became(tell(channels[0], channels[-1], store=store)) == [("broken", "sent"), ("good", "unsent")]


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_mail_arrives_encrypted(tell: Tell, authority: Authority, encryption: str) -> None:
    server = MailServer(authority.issue(file=f"mail-{encryption}"), implicit=encryption == "tls")
    answer = tell(mail(server, authority, encryption=encryption))
    server.close()
    assert became(answer) == [("email", "sent")]
    ((sender, receivers, data),) = server.taken
    assert (sender, receivers) == ("day2@example.com", ["a@example.com", "b@example.com"])
    message = message_from_bytes(data, policy=default)
    assert message["Subject"] == "[day2] Nightly: failed" and "it is failed" in message.get_content()


def mail(server: Any, authority: Authority, **more: Any) -> dict[str, Any]:
    given = {"type": "email", "host": "127.0.0.1", "port": server.port, "username": "day2", "request_timeout": 2}
    given |= {"password": MailServer.password, "sender": "day2@example.com", "ca_cert": str(authority.ca_file)}
    return {**given, "to": ["a@example.com", "b@example.com"], **more}


def test_mail_that_cannot_be_sent(tell: Tell, authority: Authority) -> None:
    good, stranger = MailServer(authority.issue()), MailServer(authority.issue("elsewhere.example.com"))
    plain = MailServer(authority.issue(), offers_tls=False)
    with HangingServer() as hanging:
        channels = [
            mail(stranger, authority, name="stranger"),
            mail(plain, authority, name="plain"),
            mail(hanging, authority, name="hanging", request_timeout=0.3, wait_at_most=0),
            mail(good, authority, name="wrong", password="another one"),
            mail(good, authority, name="some", to=["a@example.com", "x@example.org"]),
        ]
        answer = tell(*channels)
        assert became(tell(*channels, check=True)) == [(one["name"], "would_send") for one in channels]
    for server in (good, stranger, plain):
        server.close()
    assert {status for _name, status in became(answer)} == {"failed"}
    for one, words in zip(
        answer["notices"],
        ("certificate cannot be trusted", "not offer", "no answer within 0.3 s", "(535)", "refuses 1 of the addresses"),
        strict=True,
    ):
        assert words in one["reason"]
    assert "AUTH" not in stranger.commands + plain.commands, "no password goes to a stranger, or in the open"


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({"type": "slack"}, "channels.slack.url: a channel of type slack needs it"),
        ({"type": "slack", "token": TOKEN}, "channels.slack: give url, the address of a webhook; or token and channel"),
        ({"type": "file"}, "channels.file.path: a channel of type file needs it"),
        ({"type": "file", "path": "/tmp/x", "mode": "rw"}, "'rw' is no mode of a file"),
        ({"type": "email", "host": "h", "sender": "me", "to": ["a@b.c"]}, "channels.email.sender: 'me' is no address"),
        ({"type": "email", "host": "h", "sender": "a@b.c", "to": ["a@b.c"], "encryption": "none"}, "within this host"),
        ({"type": "webhook", "url": "https://a/b", "username": "u"}, "username and password go together"),
        ({"type": "webhook", "url": "https://a/b", "request_timeout": 0}, "request_timeout: give a number of seconds"),
        ({"type": "console", "name": "../x"}, "'../x' cannot name a channel"),
    ],
)
def test_what_cannot_be_meant(channel: dict[str, Any], says: str) -> None:
    defaults = {key: option.get("default") for key, option in spec.channel_options().items()}
    with pytest.raises(BadInput) as told:
        spec.checked([{**defaults, **channel}])
    assert says in str(told.value)


def test_an_address_that_cannot_be_meant_is_not_repeated(tell: Tell) -> None:
    channels = [
        {"type": "webhook", "name": "open", "url": "http://10.0.0.1/secret-part"},
        {"type": "webhook", "name": "none", "url": "hooks.example.com/secret-part"},
        {"type": "webhook", "name": "key", "url": "http://127.0.0.1:1/secret-part", "signing_secret": "whsec_%"},
    ]
    answer = tell(*channels)
    assert {status for _name, status in became(answer)} == {"failed"} and "secret-part" not in json.dumps(answer)
    says = ("would travel in plain text to 10.0.0.1", "channels.none.url: this is no address", "is not base64")
    assert all(words in one["reason"] for one, words in zip(answer["notices"], says, strict=True))


def test_of_two_who_send_the_same_run_one_does(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = open_store({"store": store}, read_only=False)
    given, real, met = notice("failed"), place.put, []

    def choose(known: Any) -> Decision:
        return decide("slack", given, known, Policy(), NOW)

    def put(key: str, data: Any, **condition: Any) -> Any:
        if not met:  # the other one is quicker, once
            met.append(True)
            assert memory.claim(place, "slack", given, NOW, choose).send
            raise StoreConflict("changed")
        return real(key, data, **condition)

    monkeypatch.setattr(place, "put", put)
    assert not memory.claim(place, "slack", given, NOW, choose).send
    memory.settle(place, "slack", given, NOW, done=True)
    assert [one.done for one in memory.read(place, "slack")] == [True]


def test_the_memory_stays_small_and_keeps_the_last_of_each() -> None:
    old = sent(notice("failed"), 24 * 30)
    younger = sent(notice("ok"), 24 * 20)
    kept = memory._kept([old, younger, *(sent(notice(), one / 1000, run=str(one)) for one in range(2000))], NOW)
    assert len(kept) == memory.MOST
    assert memory._kept([old, younger], NOW) == [younger]
