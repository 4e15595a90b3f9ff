# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages in a real browser: on a desktop and a phone, by day and by night, and on paper."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.day2.ops.plugins.module_utils._report import html, index, keep
from ansible_collections.day2.ops.plugins.module_utils._report.model import Report

from .conftest import leading

PROGRAM = shutil.which("chromium")
WITHOUT_NETWORK = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SAMPLES = ("good", "failed", "daily", "slices", "killed", "check", "silent")
# All text is dark on light, or light on dark: by the contrast that WCAG asks for of normal text.
CONTRAST = """() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] > 0.5) return color;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *:not(svg):not(svg *)")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const text = element.textContent.trim().slice(0, 30);
    if (ratio < 4.5) bad.push(`${element.tagName} ${element.className} ${ratio.toFixed(1)} ${text}`);
  }
  return bad;
}"""
# The summaries of what is folded away so that nobody can see it.
FOLDED = """() => [...document.querySelectorAll("details > summary")]
  .filter(one => !one.nextElementSibling.checkVisibility()).map(one => one.innerText)"""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here: install Debian's package chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Without its sandbox, which root cannot have; what it shows is our own.
        chromium = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", *WITHOUT_NETWORK])
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a page and proves that it is quiet: nothing fetched, nothing complained of, nothing beyond the edge."""
    contexts = []

    def show(text: str, size: str, scheme: str = "light") -> Any:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page, told = context.new_page(), []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        assert told == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_every_report_fits_and_is_quiet(
    report: Callable[..., Report], show: Callable[..., Any], sample: str, size: str
) -> None:
    made = keep.without_store(report(sample))
    page = show(html.render(made, timezone.utc, "report.json"), size)
    assert page.locator("h1").inner_text() in html.render(made, timezone.utc, "report.json")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0], "opened as well"


@pytest.mark.parametrize("size", SIZES)
def test_what_is_coming_fits_however_long_its_name(
    run: Callable[..., Report], show: Callable[..., Any], size: str
) -> None:
    report = leading(run, [0.60, 0.62, 0.64, 0.66, 0.68], subject="/var/lib/" + "deep" * 60)
    page = show(html.render(report, timezone.utc, "report.json"), size)
    section = page.locator("section", has=page.locator("#coming"))
    assert section.is_visible() and "in 11 days" in section.inner_text()
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("sample", ["daily", "failed"])
def test_it_can_be_read_by_day_and_by_night(
    report: Callable[..., Report], show: Callable[..., Any], sample: str, scheme: str
) -> None:
    page = show(html.render(keep.without_store(report(sample)), timezone.utc, "report.json"), "desktop", scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate(CONTRAST) == []


def test_on_paper_everything_is_there(report: Callable[..., Report], show: Callable[..., Any]) -> None:
    page = show(html.render(keep.without_store(report("daily")), timezone.utc, "report.json"), "desktop")
    assert page.evaluate(FOLDED), "there is something to unfold"
    page.emulate_media(media="print")
    assert page.evaluate(FOLDED) == []
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("size", SIZES)
def test_the_index_of_runs(report: Callable[..., Report], show: Callable[..., Any], size: str) -> None:
    known: list[dict[str, Any]] = []
    for sample in SAMPLES:
        made = keep.without_store(report(sample))
        known = index.with_entry(known, index.entry_of(made, index.page_key(made)))
    page = show(index.render(known), size)
    assert page.locator("a").count() >= len(known) > 1
