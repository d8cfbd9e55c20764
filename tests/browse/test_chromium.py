"""`llmtoken audit browse` in a real browser: logging in, reading, and how it looks on any screen."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from llmtoken import audit
from support.collector import wait_for
from support.needs import program
from support.records import record

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@contextmanager
def browsing(database: str, *arguments: str, **environment: str) -> Iterator[str]:
    """The command itself, on a free port; gives its address."""
    command = [sys.executable, "-m", "llmtoken", "audit", "browse", "--port", "0", "--database", database, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+?:\d+/", process.stdout.readline())
            assert found, "it did not start"
            yield found[0].rstrip("/")
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = program("chromium", "apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(written: str) -> Iterator[str]:
    with browsing(written, LLMTOKEN_READ_TOKEN="secret") as address:
        yield address


def overflow(page: Page) -> int:
    """Pixels that the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def log_in(page: Page, token: str = "secret") -> None:  # noqa: S107 - made up
    page.get_by_label("Read token").fill(token)
    page.get_by_role("button", name="Open the audit").click()


def test_a_person_logs_in_reads_a_call_and_leaves(chromium: Browser, address: str) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/audit/slowest_calls")
        log_in(page, "wrong")
        assert page.get_by_role("alert").inner_text() == "That isn't a read token of this audit."
        log_in(page)
        assert page.url == f"{address}/audit/slowest_calls"
        page.goto(address)
        assert page.get_by_role("heading", name="Usage").is_visible()
        page.get_by_role("link", name="Newest calls").click()
        page.get_by_role("link", name="first", exact=True).click()
        # What a client wrote is text: had it been a script, a dialog would have stopped everything.
        assert page.get_by_text("<script>alert('Hi')</script>").is_visible()
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("link", name="Log out").click()
        assert page.get_by_label("Read token").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_its_screen_and_can_be_read(
    chromium: Browser, address: str, tmp_path: Path, scheme: str, size: str
) -> None:
    width, height = SIZES[size]
    with chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(address)
        assert overflow(page) == 0
        log_in(page)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith(address) else complaints.append(request.url))
        for path in ("/", "/audit", "/audit/calls", "/audit/tokens_by_model", "/audit/tokens_by_day", "/-/calls/first"):
            page.goto(f"{address}{path}")
            assert overflow(page) == 0, path
            assert contrast(page) >= 4.5, path
            page.screenshot(path=tmp_path / f"{path.replace('/', '_')}.png", full_page=True)
        assert [each for each in complaints if not each.startswith("data:")] == []


def contrast(page: Page) -> float:
    """How much the text of the page stands out from what is behind it: 4.5 is the least that WCAG allows."""
    ink, ground = (
        page.evaluate(f"getComputedStyle(document.querySelector('{place}')).{style}.match(/[0-9.]+/g).map(Number)")
        for place, style in (("h1", "color"), ("body", "backgroundColor"))
    )

    def light(colour: list[float]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((light(ink), light(ground)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_the_charts_are_drawn_and_say_their_numbers(chromium: Browser, address: str) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/audit/tokens_by_consumer")
        log_in(page)
        box = page.locator("svg.chart rect.series-1").first.bounding_box()
        assert box is not None
        assert box["width"] > 100
        assert "bob" in (page.locator("svg.chart").text_content() or "")


def test_it_runs_beside_a_collector_and_shows_what_arrives(chromium: Browser, tmp_path: Path) -> None:
    path = str(tmp_path / "audit.db")
    with audit.open(path) as store, browsing(path) as address, chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/audit/calls")
        assert page.get_by_text("0 records").or_(page.get_by_text("0 rows")).first.is_visible()
        store.write([record("arrived")])

        def shown() -> bool:
            page.reload()
            return page.get_by_role("link", name="arrived", exact=True).count() > 0

        wait_for(shown)
