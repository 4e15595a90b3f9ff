# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: which store, and how to reach it. The options of the AWS ones are those of amazon.aws."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  store:
    description:
      - Where run records, leases, backups and archives lie, as V(s3://bucket/prefix) or V(/absolute/path).
      - A folder must exist; it is never created, so that an unmounted disk is noticed.
    type: str
  endpoint_url:
    description:
      - The URL of a store that speaks like S3. Without it, AWS, or what the AWS configuration names.
      - Certificates are always verified.
    type: str
    aliases: [aws_endpoint_url]
  region:
    description:
      - The region of the bucket. Without it, what the environment or the AWS configuration names.
    type: str
    aliases: [aws_region, ec2_region]
  access_key:
    description:
      - The access key. Without it, what boto3 finds, from the environment to the role of the machine.
      - Mutually exclusive with O(profile).
    type: str
    aliases: [aws_access_key_id, aws_access_key]
  secret_key:
    description: The secret key that belongs to O(access_key).
    type: str
    aliases: [aws_secret_access_key, aws_secret_key]
  session_token:
    description: The session token of temporary credentials.
    type: str
    aliases: [aws_session_token]
  profile:
    description: A profile of the AWS configuration.
    type: str
    aliases: [aws_profile]
  aws_ca_bundle:
    description: A PEM file with the certificate authorities that vouch for O(endpoint_url), for a private CA.
    type: path
requirements:
  - boto3 >= 1.36.0, for a store in S3
"""
