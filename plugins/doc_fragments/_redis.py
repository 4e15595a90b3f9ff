# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the connection to a Redis server, as community.general's modules name it."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description: The host of the server.
    type: str
    default: localhost
  login_port:
    description: The port of the server.
    type: int
    default: 6379
  login_user:
    description: The ACL user. Without it, the server's default user.
    type: str
  login_password:
    description: The password of the user.
    type: str
  tls:
    description:
      - Whether to use TLS. Without it, TLS is used for every host but loopback (V(localhost), V(127.0.0.1), V(::1)).
      - Another host without verified TLS is a warning in the result.
    type: bool
  validate_certs:
    description: Whether to check the server's certificate and that it was issued for O(login_host).
    type: bool
    default: true
  ca_certs:
    description: The path of a PEM file with the CAs to trust. Without it, those of the system.
    type: path
  client_cert_file:
    description: The path of the client's certificate, for servers that ask for one.
    type: path
  client_key_file:
    description: The path of the key of O(client_cert_file), where that file does not hold it.
    type: path
  connect_timeout:
    description: How many seconds to wait for the connection, and for each answer.
    type: int
    default: 10
requirements:
  - redis >= 5.0.0
"""
