"""The landing page in a real Chromium: phones, the dark, keyboards, and who can't see it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from support import browser
from support.browser import Chromium
from support.collector import Collector, running
from support.landing import LINKS, report, send_a_day

CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = channels(getComputedStyle(each).backgroundColor);
      if (color[3] !== 0) return color;
    }
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = {};
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
    const colors = [channels(getComputedStyle(element).color), behind(element)];
    const [dark, light] = colors.map(luminance).sort((a, b) => a - b);
    found[`${element.tagName} ${texts.currentNode.data.trim()}`] = (light + 0.05) / (dark + 0.05);
  }
  return found;
}"""
"""The contrast of every text with what is behind it, as WCAG counts it."""

NAMES = "all => all.map((each) => (each.getAttribute('aria-label') ?? each.textContent).trim())"

PHONE, SMALL_PHONE, DESKTOP = 390, 320, 1280


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with browser.running() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running(tmp_path_factory.mktemp("landing"), links=LINKS) as collector:
        send_a_day(collector)
        yield collector


@pytest.mark.parametrize("javascript", [True, False], ids=["with scripts", "without scripts"])
def test_it_shows_the_same_with_and_without_scripts(collector: Collector, chromium: Chromium, javascript: bool) -> None:
    with chromium.page(collector.url, java_script_enabled=javascript) as page:
        assert page.locator("#today ~ dl dd").all_inner_texts()[0] == "134"
        assert page.locator("tbody th").first.inner_text() == "claude-sonnet-4-5"
        assert page.locator("#state").inner_text().endswith("All well")


@pytest.mark.parametrize("width", [SMALL_PHONE, PHONE, 768, DESKTOP])
def test_nothing_has_to_be_scrolled_sideways(collector: Collector, chromium: Chromium, width: int) -> None:
    collector.report(
        report("models.internal", "organisation/a-model-with-a-very-long-name" * 4, (1, 1), datetime.now(UTC))
    )
    with chromium.page(collector.url, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = (
            "[...document.querySelectorAll('td, th, dd, a')].filter((e) => e.scrollWidth > e.clientWidth + 1 && "
            "getComputedStyle(e).display !== 'inline').map((e) => e.textContent)"
        )
        assert page.evaluate(cut) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("well", [True, False], ids=["well", "not well"])
def test_every_text_can_be_read(
    tmp_path: Path, collector: Collector, chromium: Chromium, scheme: Any, well: bool
) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 4.5 between a text and what is behind it."""
    with running(tmp_path, links=LINKS) as ill:
        source = {"boot": "a", "sequence": 1, "dropped": 4, "failed": 2}
        ill.report(report("models.internal", "qwen", (1, 1), datetime.now(UTC)) | {"source": source})
        with chromium.page((collector if well else ill).url, color_scheme=scheme) as page:
            contrasts: dict[str, float] = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert {text: contrast for text, contrast in contrasts.items() if contrast < 4.5} == {}


def test_it_is_dark_where_that_is_preferred(collector: Collector, chromium: Chromium) -> None:
    def brightness(scheme: Any) -> int:
        with chromium.page(collector.url, color_scheme=scheme) as page:
            color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)))

    assert brightness("dark") < 150
    assert brightness("light") > 600


def test_the_keyboard_reaches_everything_in_the_order_of_the_page_and_one_sees_where(
    collector: Collector, chromium: Chromium
) -> None:
    with chromium.page(collector.url) as page:
        reached = []
        for _ in range(6):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent.trim()"))
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid", f"nobody sees that {reached[-1]} has the focus"
        assert reached[:5] == ["Skip to content", "Metrics", "API", "Grafana", "Prometheus"]
        assert re.match(r"\d\d:\d\d:\d\d$", reached[5]), "the newest call"


def test_who_has_heard_the_links_can_skip_them(collector: Collector, chromium: Chromium) -> None:
    with chromium.page(collector.url) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")


def test_it_can_be_heard(collector: Collector, chromium: Chromium) -> None:
    """What a screen reader goes by: language, one heading of the page, landmarks, names, captions, heads of tables."""
    with chromium.page(collector.url) as page:
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("h1").all_inner_texts() == ["llmtoken"]
        headings = page.locator("h1, h2, h3").evaluate_all("all => all.map((each) => Number(each.tagName[1]))")
        assert all(after - before <= 1 for before, after in pairwise(headings))
        for landmark in ("banner", "navigation", "main", "contentinfo"):
            assert page.get_by_role(landmark).count() == 1  # type: ignore[arg-type]
        assert page.get_by_role("region").count() == page.locator("section").count() == 3
        assert all(page.locator("a").evaluate_all(NAMES))
        for table in page.get_by_role("table").all():
            assert table.locator("caption").inner_text()
            assert table.locator("thead th:not([scope='col'])").count() == 0
            assert table.locator("tbody tr:not(:has(th[scope='row']))").count() == 0
        assert page.locator("[id]").evaluate_all("all => all.length === new Set(all.map((each) => each.id)).size")


def test_what_has_happened_meanwhile_appears_by_itself(tmp_path: Path, chromium: Chromium) -> None:
    with running(tmp_path) as collector, chromium.page(collector.url) as page:
        assert page.locator("dl.tiles dd").first.inner_text() == "0"
        collector.report(report("models.internal", "qwen", (7, 3), datetime.now(UTC)))
        page.locator("dl.tiles dd", has_text=re.compile("^1$")).first.wait_for()
        assert page.locator("tbody th").first.inner_text() == "qwen"


def test_nothing_is_taken_from_under_the_hands_of_a_reader(tmp_path: Path, chromium: Chromium) -> None:
    with running(tmp_path) as collector:
        collector.report(report("models.internal", "qwen", (7, 3), datetime.now(UTC)))
        with chromium.page(collector.url) as page:
            page.clock.install()
            page.reload()
            page.locator("tbody a").first.focus()
            collector.report(report("models.internal", "qwen", (7, 3), datetime.now(UTC)))
            page.clock.run_for(60_000)
            assert page.evaluate("document.activeElement.closest('table') !== null")
            assert page.locator("dl.tiles dd").first.inner_text() == "1"
            page.evaluate("document.activeElement.blur()")
            page.clock.run_for(6000)
            page.locator("dl.tiles dd", has_text=re.compile("^2$")).first.wait_for()


def test_a_collector_that_is_gone_is_said(tmp_path: Path, chromium: Chromium) -> None:
    with running(tmp_path) as collector, chromium.browser.new_context() as window:
        page: Page = window.new_page()
        page.goto(collector.url)
        window.set_offline(True)
        page.locator("#state", has_text="Not reachable").wait_for()
