# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Prometheus, and its subscriber."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.lab.lab import Lab
from tests.lab.prometheus import Prometheus

pytestmark = pytest.mark.lab


def test_what_is_told_is_known_and_forgotten(prometheus: Prometheus) -> None:
    prometheus.tell('lab_gauge{disk="a"}', 5)
    prometheus.tell('lab_gauge{disk="b"}', 7)
    assert prometheus.ask("sum(lab_gauge)") == [12]
    prometheus.tell('lab_gauge{disk="a"}', None)
    assert prometheus.ask("lab_gauge") == [7]


def test_with_tls_it_asks_for_a_password(lab: Lab) -> None:
    server = lab.prometheus("prometheus-with-tls", tls=True)
    assert server.ask("vector(1)") == [1]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(server.url, timeout=5)
    server.stop()


def test_a_subscriber_is_paused_and_catches_up(lab: Lab) -> None:
    publisher = lab.postgres(18, "publisher", {"wal_level": "logical"})
    subscriber = lab.subscriber(publisher, "subscriber")
    for server in (publisher, subscriber):
        server.create_database("app")
        server.execute("CREATE TABLE orders (id int PRIMARY KEY)", dbname="app")
    publisher.execute("INSERT INTO orders SELECT generate_series(1, 10)", dbname="app")
    publisher.publish("app", "public.orders")
    subscription = subscriber.subscribe(publisher, "app")
    rows = "SELECT count(*) FROM orders"
    assert subscriber.value(rows, dbname="app") == 10
    subscription.pause()
    publisher.execute("INSERT INTO orders SELECT generate_series(11, 5000)", dbname="app")
    assert subscription.retained() > 100_000
    assert subscriber.value(rows, dbname="app") == 10
    subscription.resume()
    subscription.caught_up()
    assert subscriber.value(rows, dbname="app") == 5000
    subscription.drop()
    assert publisher.value("SELECT count(*) FROM pg_replication_slots") == 0
    for server in (publisher, subscriber):
        server.stop("immediate")
