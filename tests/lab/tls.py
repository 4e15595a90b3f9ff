# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate authority of the lab's own, and certificates for its servers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

from .processes import Account, give


@dataclass(frozen=True)
class Certificate:
    """Files of one certificate; the key is readable by the servers' user only."""

    cert_file: Path
    key_file: Path
    ca_file: Path


class Authority:
    """Issues certificates that nobody outside the lab trusts."""

    def __init__(self, folder: Path, account: Account | None) -> None:
        self._folder = folder
        self._account = account
        self._ca = trustme.CA(organization_name="day2.ops lab")
        self.ca_file = folder / "ca.pem"
        folder.mkdir()
        folder.chmod(0o755)
        self._ca.cert_pem.write_to_path(str(self.ca_file))
        self.ca_file.chmod(0o644)

    def issue(
        self,
        *names: str,
        file: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Certificate:
        """A server certificate for host names and addresses (default: localhost and 127.0.0.1)."""
        names = names or ("localhost", "127.0.0.1")
        issued = self._ca.issue_cert(*names, not_before=not_before, not_after=not_after)
        base = file or names[0].replace("*", "_")
        made = Certificate(self._folder / f"{base}.crt", self._folder / f"{base}.key", self.ca_file)
        made.cert_file.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        made.cert_file.chmod(0o644)
        made.key_file.touch(0o600)
        made.key_file.write_bytes(issued.private_key_pem.bytes())
        give(made.key_file, self._account, 0o600)
        return made
