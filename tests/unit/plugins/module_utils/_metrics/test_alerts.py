# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alert rules that are shipped: promtool evaluates them, and every metric in them is one that we export."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from ansible_collections.day2.ops.plugins.module_utils._metrics.families import HELP
from tests.lab import Lab
from tests.lab.prometheus import PACKAGES

RULES = Path(__file__).parents[5] / "extensions/prometheus/day2-alerts.yml"
CASES = Path(__file__).parent / "day2-alerts-test.yml"


def rules() -> list[dict[str, str]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_metric_named_is_exported_and_every_playbook_exists() -> None:
    named = {name for rule in rules() for name in re.findall(r"\bday2_\w+", rule["expr"])}
    assert named and named <= set(HELP)
    scheduled = {rule["labels"]["playbook"] for rule in rules() if "record" in rule}  # type: ignore[index]
    assert all((RULES.parents[2] / f"playbooks/{name}.yml").is_file() for name in scheduled)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    tests = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules() if "alert" in rule}


def test_the_rules_do_what_they_say(lab: Lab, tmp_path: Path) -> None:
    promtool, _libraries = lab.programs.debian("promtool", PACKAGES)
    case = tmp_path / "case.yml"
    case.write_text(CASES.read_text(encoding="utf-8").replace("[RULES]", f"[{RULES}]"))
    done = subprocess.run([promtool, "test", "rules", case], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
