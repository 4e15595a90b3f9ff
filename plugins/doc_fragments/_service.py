# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: the connection to a service that speaks HTTP."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description: The address of the service, up to where C(/api/) begins.
    type: str
    required: true
  ca_cert:
    description: The file with the CA of its certificate. Default is what the system trusts.
    type: path
  token:
    description: A bearer token. Like a password it is sent over https, or within this host, only.
    type: str
  username:
    description: A user, for basic authentication. Needs O(password).
    type: str
  password:
    description: The user's password.
    type: str
  request_timeout:
    description: Seconds in which an answer must be there.
    type: float
    default: 5
requirements:
  - requests >= 2.28.0
"""
