# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate authorities are trusted: the same ones for every connection."""

from __future__ import annotations

import os
from typing import Optional

# Where systems keep the CAs they trust; requests alone would look only into a list of its own.
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def trusted_file(given: Optional[str]) -> Optional[str]:
    """The PEM file with the trusted CAs: the one given, else the environment's, else the system's; None without any."""
    asked = given or os.environ.get("REQUESTS_CA_BUNDLE")
    return asked or next((path for path in BUNDLES if os.path.exists(path)), None)
