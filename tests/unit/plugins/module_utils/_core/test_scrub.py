# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not be passed on, and what may."""

from __future__ import annotations

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.scrub import flat, scrub

SECRETS = {
    "hunter2-s3cret": [
        "FATAL: connection to postgresql://app:hunter2-s3cret@db.example.com:5432/shop failed",
        "redis://:hunter2-s3cret@cache:6379 refused",
        "invalid dsn: host=db password=hunter2-s3cret user=app",
        "password: 'hunter2-s3cret' is wrong",
        '{"secret_key": "hunter2-s3cret", "a": 1}',
        "Authorization: Bearer hunter2-s3cret",
        "api_key=hunter2-s3cret&x=1",
        "PGPASSWORD=hunter2-s3cret psql",
        "GET /x?X-Amz-Signature=hunter2-s3cret&b=2",
    ],
    "AKIAIOSFODNN7EXAMPLE": ["The key AKIAIOSFODNN7EXAMPLE is not known"],
    "AGE-SECRET-KEY-1QQPZ": ["no identity AGE-SECRET-KEY-1QQPZRY9X8 matched"],
    "MIIEvQIBADAN": [
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----MIIEvQIBADAN",
    ],
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi": ["token eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc was refused"],
    "ada.lovelace@example.org": [
        "Key (email)=(ada.lovelace@example.org) already exists.",
        "mail to ada.lovelace@example.org bounced",
    ],
    "Lovelace": [
        "DETAIL:  Key (name, born)=(Ada (Countess) Lovelace, 1815-12-10) already exists.",
        "Failing row contains (7, Ada Lovelace, null).",
        'invalid input syntax for type integer: "Lovelace"',
    ],
}  # fmt: skip


@pytest.mark.parametrize(("secret", "text"), [(secret, text) for secret, texts in SECRETS.items() for text in texts])
def test_it_is_taken_out(secret: str, text: str) -> None:
    assert secret not in scrub(text)
    assert "[hidden]" in scrub(text)
    assert scrub(scrub(text)) == scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "The data disk is 91 % full.",
        "Failed to reach https://prometheus.example.com:9090/api: timeout",
        "Set password_encryption to scram-sha-256.",
        "Held by day2/20261206T020000Z-7c1e on ansible-01 since 02:00.",
        "permission denied for table orders; run: GRANT SELECT ON public.orders TO day2_backup;",
        "The password of app is wrong.",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert scrub(text) == text


def test_measures_are_flat() -> None:
    given = {"a": 1, "b": "password=x1", "c": {"d": 1}, "e": [1], "f": None, "g": True, "h": 0.5}
    assert flat(given) == {"a": 1, "b": "password=[hidden]", "f": None, "g": True, "h": 0.5}
    assert flat(None) == flat("text") == {}
