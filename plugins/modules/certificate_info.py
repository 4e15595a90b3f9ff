#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: certificate_info
short_description: Judge certificates in files and at servers
version_added: 0.1.0
description:
  - Judges how long certificates are valid yet, whether they are for the right names, whether their chain is complete
    and leads to a trusted CA, and whether keys and signatures are strong enough. In files, in texts, and as servers
    serve them, with or without STARTTLS.
  - Each certificate becomes the checks C(certificate_days), C(certificate_not_yet_valid), C(certificate_key), and
    where it applies C(certificate_name) and C(certificate_chain).
  - A finding is a result, not a failure. What cannot be read or reached is V(unknown), with the reason.
  - All servers are asked in one call, many at a time, with one handshake each where all is well. Nothing is ever sent
    to a server but the handshake.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
options:
  certificates:
    description: The certificates to look at. Each one has a O(certificates[].path), O(certificates[].content) or
      O(certificates[].host).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the report calls it. Default is the path, or host and port. Needed with
          O(certificates[].content).
        type: str
      path:
        description: A file with certificates, as PEM with any number of them, as DER, or as PKCS#12. The first one is
          the one that matters; of all of them, the shortest one counts.
        type: path
      content:
        description: The same as a text; DER and PKCS#12 in base64. It is never shown, since a key may stand beside it.
        type: str
      passphrase:
        description: The passphrase of a PKCS#12 file.
        type: str
      host:
        description: A server's name, or its IP address. Each of several servers behind a name is best looked at by its
          address, with O(certificates[].server_name).
        type: str
      port:
        description: The port of the server.
        type: int
        default: 443
      server_name:
        description: The name to ask for (SNI). Default is the host, where that is a name.
        type: str
      starttls:
        description: How TLS begins, where the server first speaks another protocol.
        type: str
        choices: [none, postgres, smtp]
        default: none
      names:
        description: The names that it must be for. Default of a server is what it is asked for; files have none. Only
          C(subjectAltName) counts, as for every client.
        type: list
        elements: str
        default: []
      ca_cert:
        description: The file with the CAs to trust for this one. Default is O(ca_cert).
        type: path
      verify:
        description: Whether the chain must lead to a trusted CA. Default of a server is true; of a file, whether
          O(certificates[].ca_cert) is given. For a file, signatures, dates and the right to issue are looked at.
        type: bool
      thresholds:
        description: As O(thresholds), for this one.
        type: dict
        default: {}
  ca_cert:
    description: The file with the CAs to trust. Default is what the system trusts.
    type: path
  thresholds:
    description:
      - At which values findings become V(warn) and V(crit). A dictionary of kinds, each with C(warn) and C(crit); what
        is left out has its default, null turns a threshold off.
      - C(days) (30 and 14) are the days left, of the shortest certificate that the chain stands on.
      - C(rsa_bits) (2047 and 1024) and C(ec_bits) (255 and 223) are the largest sizes of keys that are a finding.
    type: dict
    default: {}
  connect_timeout:
    description: How many seconds one server may take for all that is asked of it.
    type: float
    default: 5
  jobs:
    description: How many servers are asked at a time, up to 128.
    type: int
    default: 32
requirements:
  - cryptography >= 42.0.0
notes:
  - Before Python 3.10 only a server's own certificate is seen, not what is sent along with it. Whether the chain is
    trusted is known nevertheless.
seealso:
  - module: day2.ops.http_health_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Judge what servers serve, by their addresses and with STARTTLS
  day2.ops.certificate_info:
    certificates:
      - {host: shop.example.com}
      - {host: 192.0.2.10, server_name: shop.example.com}
      - {host: db1.example.com, port: 5432, starttls: postgres, ca_cert: /etc/ssl/database-ca.pem}
      - {host: mail.example.com, port: 25, starttls: smtp}

- name: Judge the certificates of a host, and one out of a secret
  day2.ops.certificate_info:
    certificates:
      - {path: /etc/nginx/tls/shop.pem, names: [shop.example.com, www.shop.example.com], verify: true}
      - {path: /etc/app/keystore.p12, passphrase: "{{ keystore_passphrase }}"}
      - name: secret shop/tls
        content: "{{ secret.data['tls.crt'] | b64decode }}"
    thresholds:
      days: {warn: 45, crit: 20}
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
"""

from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._tls.certificates import certificate_spec, work


def main() -> None:
    run_module(certificate_spec(), work)


if __name__ == "__main__":
    main()
