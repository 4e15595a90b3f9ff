# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a notice to its channels, each within its time. One that fails is told, and keeps nobody from the others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Optional

from ansible_collections.day2.ops.plugins.module_utils._core import clock
from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import BadInput, OpsError, Stopped, StoreError
from ansible_collections.day2.ops.plugins.module_utils._core.files import replace_file
from ansible_collections.day2.ops.plugins.module_utils._core.module import Run
from ansible_collections.day2.ops.plugins.module_utils._core.scrub import scrub
from ansible_collections.day2.ops.plugins.module_utils._notify import mail, memory, texts
from ansible_collections.day2.ops.plugins.module_utils._notify.plan import (
    LOCAL,
    Decision,
    Notice,
    Policy,
    Sent,
    decide,
)
from ansible_collections.day2.ops.plugins.module_utils._notify.spec import SLACK, Channel, name_of
from ansible_collections.day2.ops.plugins.module_utils._observability.sending import Sender
from ansible_collections.day2.ops.plugins.module_utils._store.base import Store

_SLACK_API = "/api/chat.postMessage"
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_WHSEC = "whsec_"


def tell(run: Run, notice: Notice, channel: Channel, store: Optional[Store]) -> dict[str, Any]:
    """Decide, claim, send, settle, for one channel. Returns what became of it."""
    name, now = name_of(channel), clock.now()
    policy = Policy(channel["when"], timedelta(seconds=run.params["remind_after"]), run.params["most_per_hour"])

    def choose(sent: Optional[Sequence[Sent]]) -> Decision:
        return decide(channel["type"], notice, sent, policy, now)

    remembers = store is not None and channel["type"] not in LOCAL and not notice.rehearsal
    trouble = ""
    try:
        if not (remembers and store):
            decision = choose(None)
        elif run.check_mode:
            decision = choose(memory.read(store, name))
        else:
            decision = memory.claim(store, name, notice, now, choose)
    except StoreError as error:  # two notices are better than none
        remembers, trouble = False, f"; what was sent before is not known: {error}"
        decision = choose(None)
    if not decision.send or run.check_mode:
        return _outcome(channel, decision, "would_send" if decision.send else "unsent", decision.reason + trouble)
    try:
        _give(run, notice, decision, channel)
    except Stopped:
        raise  # it may have arrived, so the claim stays; the next run will tell
    except OpsError as error:
        trouble += _settled(store if remembers else None, name, notice, done=False)
        return _outcome(channel, decision, "failed", scrub(str(error)) + trouble)
    trouble += _settled(store if remembers else None, name, notice, done=True)
    return _outcome(channel, decision, "sent", decision.reason + trouble)


def _settled(store: Optional[Store], name: str, notice: Notice, *, done: bool) -> str:
    try:
        if store is not None:
            memory.settle(store, name, notice, clock.now(), done=done)
    except StoreError as error:
        return f"; it could not be kept in the store: {error}"
    return ""


def _outcome(channel: Channel, decision: Decision, status: str, reason: str) -> dict[str, Any]:
    return {
        "channel": name_of(channel),
        "type": channel["type"],
        "status": status,
        "kind": decision.kind,
        "reason": reason,
    }


def _give(run: Run, notice: Notice, decision: Decision, channel: Channel) -> None:
    patience = float(channel["wait_at_most"])
    left = run.deadline.left()
    patience = patience if left is None else max(0.0, min(patience, left))
    if channel["type"] == "file":
        _write(channel, texts.plain(notice, decision), run.check_mode)
    elif channel["type"] == "slack":
        _slack(run, channel, texts.slack(notice, decision), patience)
    elif channel["type"] == "webhook":
        _webhook(run, channel, notice, decision, patience)
    elif channel["type"] == "email":
        until = Deadline(clock.after(clock.now(), channel["request_timeout"] + patience))
        message = texts.mail(notice, decision, channel["sender"], channel["to"], clock.now())
        mail.send(channel, message, until, read_only=run.check_mode)


def _write(channel: Channel, text: str, read_only: bool) -> None:
    if read_only:
        raise AssertionError("Contract violation: a file would be written in check mode")
    replace_file(channel["path"], text.encode(), int(channel["mode"], 8))


def _sender(run: Run, channel: Channel, *, secret_url: bool, **more: Any) -> Sender:
    params = {**channel, "timeout": channel["request_timeout"], **more}
    option = f"channels.{name_of(channel)}"
    return Sender(name_of(channel), option, params, read_only=run.check_mode, secret_url=secret_url)


def _slack(run: Run, channel: Channel, message: dict[str, Any], patience: float) -> None:
    by_token = bool(channel["token"])
    sender = _sender(run, channel, secret_url=not by_token, url=channel["url"] or SLACK)
    body = {"channel": channel["channel"], "unfurl_links": False, **message} if by_token else message
    answer = sender.send(
        "POST", _SLACK_API if by_token else "", _encoded(body), _JSON, patience=patience, wait=run.live.sleep
    )
    failed = f"Failed to send to {sender.name} at {sender.url}"
    if answer.status != 200:
        raise OpsError(f"{failed}: it answers {answer.status}{_word(answer.body)}.")
    if by_token:
        # Slack says 200 to what it refuses, too.
        try:
            said = json.loads(answer.body)
            good, why = said.get("ok") is True, said.get("error")
        except (ValueError, AttributeError):
            good, why = False, "its answer is not Slack's"
        if not good:
            raise OpsError(f"{failed}: {scrub(str(why))[:100]}.")


def _webhook(run: Run, channel: Channel, notice: Notice, decision: Decision, patience: float) -> None:
    now = clock.now()
    body = _encoded(texts.payload(notice, decision, now))
    identity, moment = texts.identity(notice), str(int(now.timestamp()))
    headers = {**_JSON, "webhook-id": identity, "webhook-timestamp": moment}
    if channel["signing_secret"]:
        signed = f"{identity}.{moment}.".encode() + body
        digest = hmac.new(_secret(channel), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    sender = _sender(run, channel, secret_url=True)
    answer = sender.send("POST", "", body, headers, patience=patience, wait=run.live.sleep)
    if not 200 <= answer.status < 300:
        raise OpsError(f"Failed to send to {sender.name} at {sender.url}: it answers {answer.status}.")


def _secret(channel: Channel) -> bytes:
    """The key as Standard Webhooks writes it (``whsec_`` and base64), or any other text as it is."""
    given: str = channel["signing_secret"]
    if not given.startswith(_WHSEC):
        return given.encode()
    try:
        return base64.b64decode(given[len(_WHSEC) :], validate=True)
    except binascii.Error as error:
        option = f"channels.{name_of(channel)}.signing_secret"
        raise BadInput(f"{option}: what follows whsec_ is not base64; give it as the receiver shows it.") from error


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _word(body: bytes) -> str:
    """Slack's webhooks say in one word what is wrong."""
    text = body[:100].decode("utf-8", "replace").strip()
    return f" ({text})" if text.replace("_", "").isalnum() else ""
