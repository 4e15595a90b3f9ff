# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that others read: each appears whole, or stays as it was."""

from __future__ import annotations

import os
import tempfile

from ansible_collections.day2.ops.plugins.module_utils._core.errors import OpsError


def replace_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Write ``data`` to ``path``, or raise :class:`OpsError`; a reader sees the old content or the new one."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        # Hidden, and with another ending: those who read all files of a folder do not see it.
        handle, made = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".new")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(made, mode)
            os.replace(made, path)
        except OSError:
            os.unlink(made)
            raise
    except OSError as error:
        raise OpsError(f"Failed to write {path}: {error.strerror}.") from error
