"""A collector with a day's traffic of several models, and the picture of its landing page in docs/images.

After a change of the page take the picture anew, and look at it: `PYTHONPATH=tests python -m support.landing`.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support import browser
from support.collector import Collector, running
from support.needs import ROOT

PICTURE = ROOT / "docs" / "images" / "landing.png"

LINKS = {"Grafana": "http://127.0.0.1:3000", "Prometheus": "http://127.0.0.1:9090"}

_TRAFFIC = [
    # host, model, input, output, calls
    ("api.openai.com", "gpt-4o", 9120, 740, 24),
    ("api.openai.com", "gpt-4o-mini", 1840, 320, 61),
    ("api.anthropic.com", "claude-sonnet-4-5", 21_400, 1310, 12),
    ("models.internal", "qwen3-32b", 2210, 910, 35),
]


def report(host: str, model: str, tokens: tuple[int, int], ended: datetime, seconds: float = 1.4) -> dict[str, Any]:
    """A call as a plugin reports it."""
    anthropic = "anthropic" in host
    usage = dict(zip(("input_tokens", "output_tokens"), tokens, strict=True))
    if not anthropic:
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    said = {"role": "assistant", "content": [{"type": "text", "text": "Hello"}] if anthropic else "Hello"}
    reply = {"id": "1", "type": "message", **said, "model": model, "stop_reason": "end_turn", "usage": usage}
    if not anthropic:
        choices = [{"index": 0, "finish_reason": "stop", "message": said}]
        reply = {"id": "1", "object": "chat.completion", "model": model, "choices": choices, "usage": usage}
    return {
        "method": "POST",
        "host": host,
        "path": "/v1/messages" if anthropic else "/v1/chat/completions",
        "status": 200,
        "request_body": json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}]}),
        "response_body": json.dumps(reply),
        "elapsed_time": seconds,
        "timestamp": ended.isoformat(),
    }


def failed(model: str, ended: datetime) -> dict[str, Any]:
    """A call that its provider refused."""
    error = {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    changes = {"status": 429, "response_body": json.dumps(error)}
    return report("api.openai.com", model, (0, 0), ended, 0.2) | changes


def send_a_day(collector: Collector) -> None:
    """Report the calls of a day, the last of them just now."""
    now = datetime.now(UTC)
    calls = [(n / calls, n, *call) for *call, calls in _TRAFFIC for n in range(calls)]
    lines = [
        report(
            host, model, (inputs + 37 * n, outputs + 11 * n), now - timedelta(seconds=4 + 1000 * when), outputs / 400
        )
        for when, n, host, model, inputs, outputs in sorted(calls)
    ]
    lines += [failed("gpt-4o", now - timedelta(seconds=6)), failed("gpt-4o-mini", now - timedelta(seconds=90))]
    answer = collector.lines(*lines)
    assert answer.json()["accepted"] == len(lines), answer.text


def main() -> None:
    """Take the picture."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), links=LINKS) as collector:
        send_a_day(collector)
        with browser.running() as chromium, chromium.page(collector.url, width=1100, height=1000) as page:
            # What differs from run to run and tells nothing.
            page.evaluate("document.querySelector('footer').remove()")
            page.screenshot(path=PICTURE, full_page=True)


if __name__ == "__main__":
    main()
