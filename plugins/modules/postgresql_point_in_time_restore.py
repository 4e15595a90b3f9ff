#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgresql_point_in_time_restore
short_description: Make a copy of a server as it was at a point in time, with pgBackRest
version_added: 0.1.0
description:
  - Restores the newest backup from before O(target_time) into a folder of its own, starts a server there, replays the
    WAL archive up to that time and proves where it stopped, by the server's log and its own account.
  - The original is not touched and need not exist any more. A folder that holds anything this module did not make, or
    in which a server runs, is refused; tablespaces go beside the folder.
  - A time before the first backup, or after the last transaction in the archive, is refused before anything is
    touched, and the possible times are named.
  - Until it is proven the copy can only be entered through a socket in a folder of its owner. It archives nothing,
    loads no extension at its start and runs no subscription of the original.
  - Into a folder with an older copy only what differs is copied.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._run
options:
  state:
    description:
      - V(started) makes the copy, or starts one that is there and was proven.
      - V(stopped) shuts it down and keeps it. V(absent) removes it.
    type: str
    choices: [started, stopped, absent]
    default: started
  data_dir:
    description:
      - The folder of the copy, absolute and without links; it is made when it is not there. It, or else its parent,
        belongs to the user that the copy runs as.
      - Beside it C(<data_dir>.day2) holds the socket, the log, tablespaces and what is known of the copy.
    type: path
    required: true
  target_time:
    description: The time to go back to, with its zone, such as V(2026-12-06T02:14:59.5Z). Needed for V(started).
    type: str
  target_action:
    description:
      - V(promote) makes the copy a server of its own that can be written to.
      - V(pause) stops there and allows to read only.
    type: str
    choices: [promote, pause]
    default: promote
  pgbackrest:
    description: How to call pgBackRest on this host. Needed for V(started).
    type: dict
    suboptions:
      program:
        description: The program.
        type: str
        default: pgbackrest
      config:
        description: Its configuration. Without it, pgBackRest's own default.
        type: path
      stanza:
        description: The stanza of the original.
        type: str
        required: true
      repo:
        description: The number of the repository.
        type: int
        default: 1
      user:
        description: Not used here; pgBackRest runs as the owner of O(data_dir).
        type: str
  bin_dir:
    description:
      - The folder with the server programs of the original's version. Without it, where distributions keep them.
    type: path
  copy_port:
    description: The port of the copy; it is also part of its socket's name.
    type: int
    default: 5433
  listen_addresses:
    description:
      - The addresses at which the copy can be reached once it is proven, with the roles and passwords of that time,
        without TLS. Without it, only the socket.
    type: str
    default: ""
  login_user:
    description: A role of the original as which the module looks at the copy, through the socket.
    type: str
    default: postgres
  settings:
    description:
      - Further settings of the copy's server, over its own few defaults. The original's C(postgresql.conf) is not read;
        limits that its WAL needs are taken from the backup.
    type: dict
    default: {}
requirements:
  - pgBackRest
  - the server programs of the original's version, with pg_waldump
  - psycopg2
  - zstandard, to tell exactly how far an archive compressed with zst reaches
notes:
  - Run it as root or as the owner of O(data_dir).
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Make a copy of the server as it was before the accident
  day2.ops.postgresql_point_in_time_restore:
    data_dir: /var/lib/postgresql/rescue
    target_time: "2026-12-06T02:14:59Z"
    pgbackrest:
      stanza: shop

- name: Remove it
  day2.ops.postgresql_point_in_time_restore:
    data_dir: /var/lib/postgresql/rescue
    state: absent
"""

RETURN = r"""
checks:
  description: What was found, one entry per subject.
  returned: always
  type: list
  elements: dict
actions:
  description: What was planned, done or left, each with its reason, and what was measured before and after.
  returned: always
  type: list
  elements: dict
error:
  description: What went wrong, as C(kind) and C(message); null when nothing did.
  returned: always
  type: dict
copy:
  description: Where the copy is and how to enter it; null when there is none.
  returned: always
  type: dict
  sample:
    data_dir: /var/lib/postgresql/rescue
    log: /var/lib/postgresql/rescue.day2/server.log
    port: 5433
    set: 20261205-020000F_20261206-000000I
    socket_dir: /var/lib/postgresql/rescue.day2
    target_time: "2026-12-06T02:14:59Z"
"""

from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._physical import pitr


def main() -> None:
    run_module(pitr.options(), pitr.point_in_time)


if __name__ == "__main__":
    main()
