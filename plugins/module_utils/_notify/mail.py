# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way to a mail server: its certificate is verified, and each of its answers has so long and no longer.

(``community.general.mail`` gives smtplib no context, so it encrypts without looking at the certificate.)
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils._core.deadline import Deadline
from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError, Refused, Unreachable
from ansible_collections.day2.ops.plugins.module_utils._core.scrub import scrub
from ansible_collections.day2.ops.plugins.module_utils._core.trust import trusted_file
from ansible_collections.day2.ops.plugins.module_utils._notify.spec import PORTS, Channel


def send(channel: Channel, message: EmailMessage, deadline: Deadline, *, read_only: bool) -> None:
    """Hand the message over; ``deadline`` is when no further step is begun. Failures are errors of ``_core.errors``."""
    if read_only:
        raise AssertionError("Contract violation: mail would be sent in check mode")
    host, port = channel["host"], channel["port"] or PORTS[channel["encryption"]]
    doing = f"Failed to send mail by {host}:{port}"
    try:
        with _connect(channel, host, port, deadline) as server:
            if channel["encryption"] == "starttls":
                server.starttls(context=_trust(channel))
                _within(server, channel, deadline)
            if channel["username"]:
                server.login(channel["username"], channel["password"])
                _within(server, channel, deadline)
            refused = server.send_message(message)
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"{doing}: its certificate cannot be trusted ({error.verify_message.rstrip('.')}); "
            "set ca_cert to the file with its CA, and host to a name that is in it."
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(f"{doing}: it does not offer what is needed: {str(error).rstrip('.')}.") from error
    except smtplib.SMTPAuthenticationError as error:
        raise Refused(f"{doing}: it does not accept username and password ({error.smtp_code}).") from error
    except smtplib.SMTPResponseException as error:
        raise OpsError(f"{doing}: it answers {error.smtp_code}: {_said(error.smtp_error)}.") from error
    except smtplib.SMTPRecipientsRefused as error:
        raise OpsError(f"{doing}: {_nobody(error.recipients)}.") from error
    except (smtplib.SMTPException, OSError) as error:
        late = isinstance(error, TimeoutError) or "timed out" in str(error)
        cause = f"it gave no answer within {channel['request_timeout']:g} s" if late else "the conversation broke off"
        raise Unreachable(f"{doing}: {'nobody answers there' if _refused(error) else cause}.") from error
    if refused:
        raise OpsError(f"{doing}: it was taken for some only; {_nobody(refused)}.")


def _connect(channel: Channel, host: str, port: int, deadline: Deadline) -> smtplib.SMTP:
    timeout = _timeout(channel, deadline)
    if channel["encryption"] == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=_trust(channel))
    return smtplib.SMTP(host, port, timeout=timeout)


def _within(server: smtplib.SMTP, channel: Channel, deadline: Deadline) -> None:
    """The library's timeout is one of silence: what is left is given to each step anew."""
    if server.sock is not None:
        server.sock.settimeout(_timeout(channel, deadline))


def _timeout(channel: Channel, deadline: Deadline) -> float:
    deadline.check()
    left = deadline.left()
    timeout = float(channel["request_timeout"])
    return timeout if left is None else max(0.05, min(timeout, left))


def _trust(channel: Channel) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=trusted_file(channel["ca_cert"]))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _refused(error: Exception) -> bool:
    return isinstance(error, (ConnectionRefusedError, smtplib.SMTPConnectError))


def _nobody(recipients: dict[str, Any]) -> str:
    codes = sorted({str(code) for code, _text in recipients.values()})
    return f"it refuses {len(recipients)} of the addresses ({', '.join(codes)})"


def _said(text: Any) -> str:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return scrub(" ".join(said.split()))[:200].rstrip(".")
