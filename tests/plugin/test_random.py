"""Exchanges that nobody thought of: both sides see the same with the plugin and without it, and the report is true.

Hypothesis makes them, shrinks what fails to the smallest exchange that does, and prints how to make it again.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from support.collector import wait_for
from support.differential import Notes, Routes, Scene, dissect
from support.stage import request
from support.wire import Head, Wire

MEBIBYTE = 1024 * 1024
EXAMPLES = 300
BODILESS = {204, 304}
NOISE = bytes(range(256)) * 1500

sizes = st.one_of(
    st.sampled_from([0, 1, 2, 511, 512, 2048, 4095, 4096, 4097, 32_767, 32_768, 65_536, 65_537, 300_000]),
    st.integers(0, 2000),
)
tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)
values = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["Cc"]), max_size=200)
headers = st.lists(st.builds("X-T-{}: {}".format, tokens, values), max_size=6)
cuts = st.lists(st.integers(0, 300_000), max_size=6)
pauses = st.sampled_from([0, 0, 0, 0.002, 0.01])


@dataclass(frozen=True)
class Message:
    """One side's message: how much, in which pieces, and how it is framed."""

    size: int
    splits: list[int]
    pause: float
    framing: str
    lines: list[str]

    @property
    def body(self) -> bytes:
        return NOISE[: self.size]

    @property
    def pieces(self) -> list[bytes]:
        at = sorted({0, self.size, *(split for split in self.splits if split < self.size)})
        return [self.body[start:end] for start, end in itertools.pairwise(at)]

    @property
    def announced(self) -> list[str]:
        return {"length": [f"Content-Length: {self.size}"], "chunked": ["Transfer-Encoding: chunked"]}.get(
            self.framing, []
        )

    def send(self, wire: Wire, end: bytes = b"") -> None:
        """Send the body piece by piece."""
        for piece in self.pieces:
            time.sleep(self.pause)
            (wire.send_chunk if self.framing == "chunked" else wire.send)(piece)
        if self.framing == "chunked":
            wire.send(b"0\r\n" + end + b"\r\n")


@dataclass(frozen=True)
class Exchange:
    method: str
    target: str
    asked: Message
    status: int
    answered: Message
    hints: int
    trailers: list[str]
    cut: int | None
    """After how many pieces the upstream goes away."""

    @property
    def body(self) -> bytes:
        """What the client should get."""
        if self.method == "HEAD" or self.status in BODILESS:
            return b""
        return b"".join(self.answered.pieces[: self.cut])

    @property
    def whole(self) -> bool:
        return self.cut is None

    def __call__(self, notes: Notes) -> Scene:
        def upstream(wire: Wire, head: Head) -> None:
            notes.append(wire.read_body(head))
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * self.hints)
            lines = [f"HTTP/1.1 {self.status} Told", "Date: Mon, 01 Jan 2024 00:00:00 GMT"]
            lines += [*self.answered.announced, *self.answered.lines]
            if self.answered.framing == "close" or not self.whole:
                lines.append("Connection: close")
            wire.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
            if self.method == "HEAD" or self.status in BODILESS:
                return
            if self.whole:
                self.answered.send(wire, "".join(f"{line}\r\n" for line in self.trailers).encode("latin-1"))
            else:
                for piece in self.answered.pieces[: self.cut]:
                    (wire.send_chunk if self.answered.framing == "chunked" else wire.send)(piece)
            if self.answered.framing == "close" or not self.whole:
                wire.close()

        def client(wire: Wire) -> list[bytes]:
            def send() -> None:
                wire.send(
                    request(self.method, self.target, "Connection: close", *self.asked.announced, *self.asked.lines)
                )
                self.asked.send(wire)

            sender = threading.Thread(target=send)
            sender.start()
            raw = wire.read_rest()
            sender.join()
            return dissect(raw)

        return upstream, client


numbers = itertools.count()


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    method = draw(st.sampled_from(["POST", "POST", "POST", "PUT", "GET", "DELETE", "HEAD", "PATCH"]))
    with_body = method not in {"GET", "HEAD"}
    asked = Message(
        draw(sizes) if with_body else 0,
        draw(cuts),
        draw(pauses),
        draw(st.sampled_from(["length", "chunked"])) if with_body else "none",
        draw(headers),
    )
    status = draw(st.sampled_from([200, 200, 200, 201, 204, 206, 299, 304, 400, 404, 429, 500, 503, 599]))
    framing = "none" if status in BODILESS else draw(st.sampled_from(["length", "chunked", "chunked", "close"]))
    answered = Message(0 if framing == "none" else draw(sizes), draw(cuts), draw(pauses), framing, draw(headers))
    trailers = draw(headers) if framing == "chunked" else []
    breaks = method != "HEAD" and framing in {"length", "chunked"} and answered.size and draw(st.integers(0, 9)) == 0
    cut = draw(st.integers(0, len(answered.pieces) - 1)) if breaks else None
    target = "/" + draw(tokens) + draw(st.sampled_from(["", "?", "?a=1&b=%20", "/%2F"]))
    return Exchange(method, target, asked, status, answered, draw(st.integers(0, 2)), trailers, cut)


@settings(max_examples=EXAMPLES, deadline=None, print_blob=True)
@given(exchange=exchanges())
def test_any_exchange_is_the_same_with_the_plugin_and_without_it(both: Routes, exchange: Exchange) -> None:
    if exchange.whole:
        seen = both.compare(exchange)
    else:
        # What Traefik alone has not sent yet it drops, the plugin has handed it on: so the one is a part of the other.
        seen = both.see(both.stage.traefik.url, exchange)
        plain = both.see(both.stage.traefik.plain_url, exchange)
        assert seen.upstream == plain.upstream
        assert exchange.body.startswith(seen.client[-2])
        assert seen.client[-2].startswith(plain.client[-2])
        assert seen.client[-1] == b"cut" or len(seen.client[-2]) < exchange.answered.size
    assert seen.upstream[-1] == exchange.asked.body
    if exchange.whole:
        assert seen.client[-2] == exchange.body


@settings(max_examples=EXAMPLES // 2, deadline=None, print_blob=True)
@given(exchange=exchanges())
def test_the_report_of_any_exchange_is_what_passed(both: Routes, exchange: Exchange) -> None:
    mark = f"/number-{next(numbers)}/"
    seen = both.see(both.stage.traefik.url, replace(exchange, target=mark + exchange.target[1:]))
    (report,) = wait_for(
        lambda: [report for report in both.stage.collector.reports if str(report.path).startswith(mark)]
    )
    assert (report.method, report.request_bytes) == (exchange.method, len(exchange.asked.body))
    assert report.request_content() == exchange.asked.body[:MEBIBYTE]
    if exchange.whole:
        assert (report.status, report.aborted) == (exchange.status, "")
        assert report.response_content() == seen.client[-2] == exchange.body
    else:
        assert report.aborted == "upstream"
        assert exchange.body.startswith(report.response_content())
    assert report.response_bytes == len(report.response_content())
