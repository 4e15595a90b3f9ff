# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key pairs of age, for backups that are encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyrage


@dataclass(frozen=True)
class Key:
    """``public`` is what encrypts, ``path`` the identity file that decrypts."""

    public: str
    path: str


def new_key(folder: Path, name: str = "identity.txt") -> Key:
    """A new pair; its file is readable by its owner only."""
    secret = pyrage.x25519.Identity.generate()
    path = folder / name
    path.touch(0o600)
    path.write_text(f"# public key: {secret.to_public()}\n{secret}\n", encoding="utf-8")
    return Key(str(secret.to_public()), str(path))
