# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE to the collection: what modules promise about check mode and repetition."""

from __future__ import annotations


class ModuleDocFragment:
    # An acting module.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Shows the plan and changes nothing.
    support: full
  diff_mode:
    description: Shows what would change and what has changed.
    support: full
    details:
      - One line for each action, with its status and its reason. The result holds what was measured before and after.
  idempotent:
    description: A second run on an unchanged target plans nothing.
    support: full
"""

    # A module that only reads.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    description: Reads only, in check mode too.
    support: full
  diff_mode:
    description: Shows what would change and what has changed.
    support: N/A
    details:
      - The module changes nothing.
  idempotent:
    description: A second run on an unchanged target plans nothing.
    support: full
"""
