#!/usr/bin/python
# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: notice
short_description: Tell the channels that want it what a run came to
version_added: 0.1.0
description:
  - One digest per channel and run, however many targets failed.
  - A channel is told when the state has changed since the last notice it was given of the same playbook on the same
    targets. The state is the status of the run, and that of each target that needs a person. While that stays bad, it
    is told again after O(remind_after) seconds.
  - A channel is given at most O(most_per_hour) notices an hour. What is held back is told by a later run.
  - What was sent is known from C(v1/history/_notices/<channel>.json) in the store. A notice is claimed there by a
    conditional put before it is sent, so the same run is not sent twice, by whomever. A run that is killed between the
    two is not told; the next one is. Without a store every run is told, and RV(summary) says so.
  - Consoles and files are told of every run.
  - A service that is busy (429, or 503 with C(Retry-After)) is asked again when it says, within
    O(channels[].wait_at_most). After any other answer nothing is sent again, because it might arrive twice.
  - A channel that fails is told in RV(notices), in RV(summary) and in the report. It never fails the run.
  - In check mode nothing is sent, and RV(notices) says what would be. The digest of a rehearsal is never sent.
  - Runs on the controller. The role P(day2.ops.notify#role) calls it once for all channels.
extends_documentation_fragment:
  - day2.ops._attributes
  - day2.ops._run
  - day2.ops._store
attributes:
  check_mode:
    description: Sends nothing, changes nothing in the store, and says what would be sent.
    support: full
  idempotent:
    description: With a store, a run is sent once. RV(ignore:changed) is always false.
    support: full
options:
  result:
    description: What the run came to, as RV(day2.ops.report#module:result).
    type: dict
    required: true
  verdicts:
    description: What each target ended with, as RV(day2.ops.report#module:verdicts).
    type: dict
    required: true
  lines:
    description: The digest, line by line, as RV(day2.ops.report#module:summary).
    type: list
    elements: str
    required: true
  folder:
    description: The run's folder. C(notices.json) is written there, so that the report can say what became of them.
    type: path
  remind_after:
    description: Seconds after which a state that stays bad is told again.
    type: float
    default: 86400
  most_per_hour:
    description: The most notices that a channel is given within an hour, whatever the playbook. Needs a store.
    type: int
    default: 6
  channels:
    description: Where the digest goes.
    type: list
    elements: dict
    required: true
    suboptions:
      type:
        description:
          - V(console) is printed by the role; V(file) is a file on the controller.
          - V(slack) is a webhook of Slack's (O(channels[].url)), or C(chat.postMessage) with O(channels[].token) and
            O(channels[].channel).
          - V(email) is SMTP with a certificate that is verified.
          - V(webhook) is JSON by POST; the body's schema is C(docs/schemas/notice-1.json). It carries C(webhook-id),
            C(webhook-timestamp) and, with O(channels[].signing_secret), C(webhook-signature), as in Standard Webhooks.
        type: str
        required: true
        choices: [console, file, slack, email, webhook]
      name:
        description: What the channel is called in results and in the store. Default is its type.
        type: str
      when:
        description: Whether a channel is told of changes, or always. V(console) and V(file) are always told.
        type: str
        choices: [change, always]
        default: change
      path:
        description: For V(file), the file; it is overwritten.
        type: path
      mode:
        description: For V(file), its mode.
        type: str
        default: "0600"
      url:
        description:
          - For V(webhook) and V(slack), the address of the webhook. It is a secret and needs https, but for this host.
          - With O(channels[].token), the address of Slack's API, V(https://slack.com) unless yours is another.
        type: str
      token:
        description: For V(slack), the token of a bot that may write; for V(webhook), a bearer token.
        type: str
      username:
        description: For V(email) and V(webhook), a user. Needs O(channels[].password).
        type: str
      password:
        description: The user's password.
        type: str
      ca_cert:
        description: The file with the CA of the service's certificate. Default is what the system trusts.
        type: path
      signing_secret:
        description: For V(webhook), the key of the signature (HMAC-SHA256), as C(whsec_…) or as any text.
        type: str
      channel:
        description: For V(slack) with O(channels[].token), the id of the channel.
        type: str
      host:
        description: For V(email), the mail server.
        type: str
      port:
        description: For V(email), its port. Default is 587 with C(starttls), 465 with C(tls), 25 with C(none).
        type: int
      encryption:
        description: For V(email). V(none) is for a mail server on this host only.
        type: str
        choices: [starttls, tls, none]
        default: starttls
      sender:
        description: For V(email), the address it comes from.
        type: str
      to:
        description: For V(email), the addresses it goes to.
        type: list
        elements: str
        default: []
      request_timeout:
        description: Seconds in which an answer must be there.
        type: float
        default: 10
      wait_at_most:
        description: Seconds to wait altogether for a service that is busy.
        type: float
        default: 60
notes:
  - RV(ignore:changed) is always false. A message about a run is no change to what the run looks after.
  - Needs C(s3:GetObject) and C(s3:PutObject) on C(v1/history/_notices/*) below the prefix, where the store is a bucket.
requirements:
  - requests >= 2.28.0, for Slack and webhooks
seealso:
  - module: day2.ops.report
author:
  - day2.ops maintainers (@day2-ops)
"""

EXAMPLES = r"""
- name: Tell Slack, the operators' mailbox and a service of ours
  day2.ops.notice:
    result: "{{ made.result }}"
    verdicts: "{{ made.verdicts }}"
    lines: "{{ made.summary }}"
    store: s3://my-bucket/day2
    channels:
      - type: slack
        url: "{{ lookup('ansible.builtin.env', 'SLACK_WEBHOOK') }}"
      - type: email
        host: smtp.example.com
        username: day2
        password: "{{ lookup('ansible.builtin.env', 'SMTP_PASSWORD') }}"
        sender: day2@example.com
        to: [operators@example.com]
      - type: webhook
        name: tickets
        url: https://tickets.example.com/hooks/day2
        signing_secret: "{{ lookup('ansible.builtin.env', 'TICKETS_SECRET') }}"
  delegate_to: localhost
  run_once: true
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
notices:
  description: What became of each channel.
  returned: success
  type: list
  elements: dict
  contains:
    channel:
      description: The channel's name.
      type: str
    type:
      description: The channel's type.
      type: str
    status:
      description: V(sent), V(unsent), V(failed), or in check mode V(would_send).
      type: str
    kind:
      description: V(first), V(change), V(recovery), V(reminder) or V(every); empty when there is nothing to send.
      type: str
    reason:
      description: Why it was sent, why not, or why that failed.
      type: str
      sample: it is failed and was ok at 2026-12-06T03:00:00Z
summary:
  description: A sentence for each channel that was not reached, and for what else should be known; often none.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.day2.ops.plugins.module_utils._core.module import run_module
from ansible_collections.day2.ops.plugins.module_utils._notify.notice import work
from ansible_collections.day2.ops.plugins.module_utils._notify.spec import notice_spec


def main() -> None:
    run_module(notice_spec(), work)


if __name__ == "__main__":
    main()
