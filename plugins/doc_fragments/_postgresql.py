# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the connection to a PostgreSQL database, as community.postgresql's modules name it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description: The host of the server. Without it, the socket in O(login_unix_socket) or libpq's own.
    type: str
    default: ''
  login_port:
    description: The port of the server.
    type: int
    default: 5432
    aliases: [port]
  login_unix_socket:
    description: The folder with the server's socket, for connections on the same machine.
    type: str
    default: ''
  login_user:
    description: The user. It needs no superuser; the module says which grants are missing.
    type: str
    default: postgres
  login_password:
    description: The password of the user.
    type: str
    default: ''
  login_db:
    description: The database to work on.
    type: str
    default: postgres
    aliases: [db]
  ssl_mode:
    description:
      - How far the connection is protected, in libpq's words.
      - Without it V(verify-full), and V(prefer) for sockets and the loopback. Less on another host is a warning in the
        result.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - The file with the certificates of the authorities that may have signed the server's certificate.
      - Without it the file C(~/.postgresql/root.crt), or the authorities that the system trusts.
    type: path
    aliases: [ssl_rootcert]
  ssl_cert:
    description: The file with the client's certificate.
    type: path
  ssl_key:
    description: The file with the client's private key.
    type: path
  connect_timeout:
    description: How many seconds connecting may take, for each address of the host.
    type: int
    default: 10
  lock_db:
    description:
      - The database in which runs lock each other out. All targets of one server need the same.
    type: str
    default: postgres
requirements:
  - psycopg2 >= 2.9 (the package psycopg2-binary)
notes:
  - Poolers in transaction mode are refused where something is changed; connect to the server directly.
"""
