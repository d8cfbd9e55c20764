"""What browsers are told, and that our own pages work all the same in a real one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright

from support.collector import Collector, running
from support.needs import program

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
PATHS = [
    "/",
    "/docs",
    "/openapi.json",
    "/health",
    "/ready",
    "/metrics",
    "/api/calls/x",
    "/nowhere",
    "/docs/assets/nothing",
]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running(tmp_path_factory.mktemp("collector"), read_token="read-me") as collector:
        yield collector


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers(collector: Collector, path: str) -> None:
    answer = collector.client.get(path)
    assert EVERYWHERE.items() <= dict(answer.headers).items()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in re.sub(r"style-src[^;]*", "", policy)
    assert "http" not in policy, "nothing comes from elsewhere"


@pytest.mark.parametrize(
    ("content", "status"), [(b'{"request_body": "", "response_body": "", "elapsed_time": 1}', 200), (b"[]", 422)]
)
def test_answers_to_reports_have_the_headers(collector: Collector, content: bytes, status: int) -> None:
    answer = collector.client.post("/api/report", content=content)
    assert answer.status_code == status
    assert EVERYWHERE.items() <= dict(answer.headers).items()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/api/calls/x", "/metrics", "/openapi.json"])
def test_what_is_said_of_calls_is_kept_nowhere(collector: Collector, path: str) -> None:
    assert collector.client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
@pytest.mark.parametrize("path", ["/api/report", "/api/calls/x", "/metrics"])
def test_no_other_origin_may_read_anything(collector: Collector, method: str, path: str) -> None:
    headers = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    answer = collector.client.request(method, path, headers=headers)
    assert [name for name in answer.headers if name.startswith("access-control-")] == []
    if method == "OPTIONS":
        assert answer.status_code == 405


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_our_pages_run_in_a_browser_that_heeds_the_policy(collector: Collector, path: str) -> None:
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "install chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(collector.url + path)
        page.wait_for_function(
            "document.querySelector('#state') ? document.querySelector('#state').textContent != '…'"
            " : document.querySelector('.opblock') != null",
            timeout=30_000,
        )
        browser.close()
    assert complaints == []
