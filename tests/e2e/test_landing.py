"""The landing page after real traffic: what it says is what the audit's file says."""

from __future__ import annotations

import httpx

from e2e import sdk
from e2e.sdk import KINDS
from e2e.world import World, new_mark
from support import browser


def test_the_page_says_what_went_through_traefik_today(world: World) -> None:
    for kind in KINDS:
        sdk.make(kind, world.traefik.url, new_mark())
    sums = world.settled()
    with browser.running() as chromium, chromium.page(world.collector.url) as page:
        tiles = page.locator("dl.tiles dd")
        shown = [title or text for title, text in tiles.evaluate_all("all => all.map((e) => [e.title, e.textContent])")]
        assert shown[:3] == [f"{number:,}" for number in (sums.calls, sums.input, sums.output)]
        assert page.locator("#state").inner_text().endswith("All well")
        newest = page.locator("#calls ~ table tbody a").first.get_attribute("href")
    record = httpx.get(f"{world.collector.url}/{newest}").json()
    ((request_id,),) = world.audit.query("SELECT request_id FROM calls ORDER BY started_at DESC LIMIT 1")
    assert record["request_id"] == request_id
