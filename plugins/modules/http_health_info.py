#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: http_health_info
short_description: Judge the health of HTTP endpoints
version_added: 0.1.0
description:
  - Visits pages by GET or HEAD, and judges the status, how long it takes, what the body says, and the certificate.
  - Each endpoint becomes the checks C(http_status) and C(http_latency), and where it applies C(http_json), C(http_body)
    and C(http_certificate).
  - An endpoint that cannot be reached is V(crit) in C(http_status), with the reason, and V(unknown) in the others. A
    finding is a result, not a failure.
  - TLS is always verified. No secret is sent in plain text to another host, and none follows a redirect to one.
extends_documentation_fragment:
  - day2.ops._attributes.info_module
  - day2.ops._run
options:
  endpoints:
    description: The pages to visit.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the report calls it.
        type: str
        required: true
      url:
        description: Its address. It may have a query, which checks do not tell; secrets belong into a header.
        type: str
        required: true
      method:
        description: How it is asked for.
        type: str
        choices: [GET, HEAD]
        default: GET
      status:
        description: The statuses that are good.
        type: list
        elements: int
        default: [200]
      headers:
        description: Headers to send along. What looks like a secret is refused here.
        type: dict
        default: {}
      secret_headers:
        description: Headers to send along whose values are secrets. They are masked wherever they would show.
        type: dict
        default: {}
      token:
        description: A bearer token. Like a password it is sent over https, or within this host, only.
        type: str
      username:
        description: A user, for basic authentication. Needs O(endpoints[].password).
        type: str
      password:
        description: The user's password.
        type: str
      json:
        description: Demands on the body, which must be JSON. Each one has a path and exactly one demand.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: A dotted path, such as C(checks.0.status), or a JSON pointer, such as C(/checks/0/status). C(.)
              is the whole.
            type: str
            required: true
          equals:
            description: The value must be this one. Numbers and truths may be written as text.
            type: raw
          matches:
            description: A regular expression that must be found in the value.
            type: str
          above:
            description: The value must be a number above this one.
            type: float
          below:
            description: The value must be a number below this one.
            type: float
          present:
            description: Whether there must be a value at all.
            type: bool
      body_regex:
        description: A regular expression that must be found in the body.
        type: str
      samples:
        description: How many requests to make, one after the other, for the percentiles of the latency. They share a
          connection, which the first one opens.
        type: int
        default: 1
      timeout:
        description: Seconds in which an answer must be there, whole, and redirects included.
        type: float
        default: 5
      ca_cert:
        description: The file with the CA of its certificate. Default is what the system trusts.
        type: path
      client_cert:
        description: The file with a client certificate to show, and its key unless O(endpoints[].client_key) has it.
        type: path
      client_key:
        description: The file with the key of O(endpoints[].client_cert).
        type: path
      follow_redirects:
        description: Whether to follow redirects, five at most, and never out of https. What leads to another host is
          followed without token, user, headers and client certificate.
        type: bool
        default: false
      thresholds:
        description: As O(thresholds), for this endpoint.
        type: dict
        default: {}
  thresholds:
    description:
      - At which values findings become V(warn) and V(crit). A dictionary of kinds, each with C(warn) and C(crit); what
        is left out has its default, null turns a threshold off.
      - C(latency) (0.2 and 1.0) is the 95th percentile of the samples, in seconds from the request to the whole answer.
      - C(certificate) (30 and 14) are the days left of an https certificate. One that is not trusted, or for another
        name, is V(crit) in any case.
    type: dict
    default: {}
  jobs:
    description: How many endpoints are visited at a time, up to 128.
    type: int
    default: 16
requirements:
  - requests >= 2.28.0
  - cryptography >= 42.0.0, for https
notes:
  - Requests go through the proxies of the environment (C(https_proxy) and so on), the handshake of C(http_certificate)
    goes straight to the server.
seealso:
  - module: day2.ops.certificate_info
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Judge a shop and its API
  day2.ops.http_health_info:
    endpoints:
      - {name: shop, url: "https://shop.example.com/", body_regex: "<title>The Shop"}
      - name: orders API
        url: https://api.example.com/v1/health
        token: "{{ api_token }}"
        samples: 20
        json:
          - {path: status, equals: UP}
          - {path: database.connections.free, above: 4}

- name: Judge a slow report page by a limit of its own, and a redirect as what it is
  day2.ops.http_health_info:
    endpoints:
      - name: reports
        url: https://shop.example.com/reports
        timeout: 30
        thresholds:
          latency: {warn: 5, crit: 20}
      - {name: plain http, url: "http://shop.example.com/", status: [301, 308], method: HEAD}
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
from ansible_collections.day2.ops.plugins.module_utils._observability.endpoints import endpoint_spec, work


def main() -> None:
    run_module(endpoint_spec(), work)


if __name__ == "__main__":
    main()
