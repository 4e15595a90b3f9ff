# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the documentation site (``make docs``). Nothing is fetched: references stay inside the collection."""

from __future__ import annotations

project = "day2.ops"
copyright = "2026, day2.ops maintainers"
extensions = ["sphinx_antsibull_ext"]
html_theme = "sphinx_ansible_theme"
html_title = "day2.ops"
html_show_sphinx = False
html_theme_options = {"collapse_navigation": False, "navigation_depth": 3}
highlight_language = "YAML+Jinja"
pygments_style = "ansible"
default_role = "any"
nitpicky = False
suppress_warnings = ["ref.any", "ref.ref"]  # pages of ansible-core are not part of this site
