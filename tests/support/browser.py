"""The system's Chromium, headless, that complains about everything: scripts' errors, blocked files, broken links.

with browser.running() as chromium, chromium.page(url, width=390) as page:
    assert page.title() == "llmtoken"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from support.needs import program

# It is root's in a container, without a screen, and shall ask nobody on the internet for anything.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@dataclass(frozen=True)
class Chromium:
    """A running browser."""

    browser: Browser

    @contextmanager
    def page(self, url: str, *, width: int = 1280, height: int = 900, **context: Any) -> Iterator[Page]:
        """Show an address in a window of its own; fails when anything was wrong with it meanwhile."""
        with self.browser.new_context(viewport={"width": width, "height": height}, **context) as window:
            page = window.new_page()
            wrong: list[str] = []

            def complain(message: ConsoleMessage) -> None:
                if message.type in ("error", "warning"):
                    wrong.append(message.text)

            page.on("console", complain)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(url)
            yield page
            assert wrong == []


@contextmanager
def running() -> Iterator[Chromium]:
    """Start it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "apt-get install chromium"), args=_ARGUMENTS
        )
        try:
            yield Chromium(browser)
        finally:
            browser.close()
