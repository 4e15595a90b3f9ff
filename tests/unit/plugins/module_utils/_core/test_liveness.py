# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Liveness is about processes, so these tests use real ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.day2.ops.plugins.module_utils._core.errors import Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
from ansible_collections.day2.ops.plugins.plugin_utils._watch import Watch, sentence

WORKER = """
import sys, time
from ansible_collections.day2.ops.plugins.module_utils._core.errors import Stopped
from ansible_collections.day2.ops.plugins.module_utils._core.liveness import Liveness
live = Liveness(sys.argv[1] or None)
live.arm()
print("ready", flush=True)
try:
    if sys.argv[2] == "deaf":
        time.sleep(60)
    live.sleep(60)
except Stopped as stopped:
    print(stopped)
"""
HOLDER = """
import sys, time
from ansible_collections.day2.ops.plugins.plugin_utils._watch import Watch
with Watch(sys.argv[1], print) as watch:
    print(watch.folder, flush=True)
    time.sleep(60)
"""


def start(code, *args):
    worker = subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.PIPE, text=True)
    return worker, worker.stdout.readline().strip()


def end(worker):
    begun = time.monotonic()
    said = worker.stdout.read().strip()
    worker.wait(timeout=10)
    return said, time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("mood", ["polling", "deaf"])
def test_a_signal_stops_work_that_polls_and_work_that_does_not(number, mood):
    worker, ready = start(WORKER, "", mood)
    assert ready == "ready"
    worker.send_signal(number)
    said, seconds = end(worker)
    assert said == f"Stopped: the module received {signal.Signals(number).name}."
    assert seconds < (5 if mood == "deaf" else 2)


def test_a_killed_controller_is_noticed(tmp_path):
    controller, folder = start(HOLDER, str(tmp_path))
    worker, _ready = start(WORKER, folder, "polling")
    time.sleep(1.2)
    assert worker.poll() is None, "it stopped although its controller lives"
    controller.kill()
    said, seconds = end(worker)
    assert said == "Stopped: the controller of this run is gone." and seconds < 3
    controller.wait()


def test_a_folder_that_was_taken_away_means_that_nobody_waits(tmp_path):
    worker, _ready = start(WORKER, str(tmp_path / "gone"), "polling")
    assert end(worker)[0] == "Stopped: the controller of this run is gone."


def test_a_stop_order_reaches_the_module_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("ansible_collections.day2.ops.plugins.plugin_utils._watch.ORDERS_SECONDS", 0.1)
    with Watch(str(tmp_path), print, lambda: "a stop was ordered for _all: incident 7") as watch:
        live = Liveness(watch.folder)
        with pytest.raises(Stopped, match="incident 7"):
            live.sleep(5)
    assert not os.path.exists(watch.folder)


def test_progress_is_shown_and_goes_through_the_folder(tmp_path):
    shown = []
    with Watch(str(tmp_path), shown.append) as watch:
        Liveness(watch.folder).progress("vacuum public.orders", 0.5, 12)
        time.sleep(1.2)
        with open(os.path.join(watch.folder, "progress"), encoding="utf-8") as told:
            assert json.load(told)["fraction"] == 0.5
    assert shown == ["vacuum public.orders: 50 % done, about 12 s left"]


def test_progress_without_numbers_is_plain():
    assert sentence("waiting for the slot", None, None) == "waiting for the slot"
