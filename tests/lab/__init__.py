# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers for the demo, the tests and molecule: PostgreSQL, PgBouncer, Redis, S3, and a network with faults."""

from .downloads import MAJORS
from .lab import CHECKOUT, Lab
from .pgbouncer import PgBouncer
from .postgres import Postgres
from .processes import LabError
from .proxy import HangingServer, Proxy
from .redis import Redis
from .s3 import S3
from .tls import Authority, Certificate

__all__ = [
    "CHECKOUT",
    "MAJORS",
    "S3",
    "Authority",
    "Certificate",
    "HangingServer",
    "Lab",
    "LabError",
    "PgBouncer",
    "Postgres",
    "Proxy",
    "Redis",
]
