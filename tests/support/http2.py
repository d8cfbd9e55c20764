"""One HTTP/2 connection in the test's hands, without TLS: streams, resets, windows and trailers when the test wants."""

from __future__ import annotations

import socket
from collections import defaultdict
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.settings

PATIENCE = 30.0
Header = tuple[str, str]


class Connection:
    """Reading waits for what a stream brings; what comes for other streams meanwhile is kept for them."""

    def __init__(self, url: str, *, window: int = 1 << 20) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), PATIENCE)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        initial = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window, h2.settings.SettingCodes.ENABLE_PUSH: 0}
        self._http.local_settings = h2.settings.Settings(client=True, initial_values=initial)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(1 << 30)  # so that a full stream does not stop the connection
        self._events: dict[int, list[h2.events.Event]] = defaultdict(list)
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    # ── Sending ───────────────────────────────────────────────────────────────────────────

    def ask(self, path: str, body: bytes = b"", *, method: str = "POST", headers: tuple[Header, ...] = ()) -> int:
        """Send a whole request; the number of its stream."""
        stream = self.begin(path, method=method, headers=(*headers, ("content-length", str(len(body)))))
        self.send(stream, body)
        self.end(stream)
        return stream

    def begin(self, path: str, *, method: str = "POST", headers: tuple[Header, ...] = ()) -> int:
        """Send a request's headers; its body may follow."""
        stream = self._http.get_next_available_stream_id()
        pseudo = ((":method", method), (":scheme", "http"), (":authority", "models.example"), (":path", path))
        self._http.send_headers(stream, [*pseudo, *headers])
        self._flush()
        return stream

    def send(self, stream: int, data: bytes) -> None:
        """Send a part of a body, as far and as soon as the windows allow."""
        while data:
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
            if not room:
                self._receive()
                continue
            self._http.send_data(stream, data[:room])
            data = data[room:]
            self._flush()

    def end(self, stream: int, trailers: tuple[Header, ...] = ()) -> None:
        """The request is whole, with these trailers."""
        if trailers:
            self._http.send_headers(stream, trailers, end_stream=True)
        else:
            self._http.end_stream(stream)
        self._flush()

    def reset(self, stream: int) -> None:
        """Break this stream off and leave the others alone."""
        self._http.reset_stream(stream)
        self._flush()

    # ── Receiving ─────────────────────────────────────────────────────────────────────────

    def read(self, stream: int) -> bytes | list[Header] | int | None:
        """What comes next: a block of headers, a piece of the body, the code of a reset, or `None` at the end."""
        while not self._events[stream]:
            self._receive()
        event = self._events[stream].pop(0)
        match event:
            case h2.events.DataReceived():
                self._http.acknowledge_received_data(event.flow_controlled_length, stream)
                self._flush()
                return event.data
            case h2.events.StreamReset():
                return int(event.error_code)
            case h2.events.StreamEnded():
                return None
            case _:
                return [header for header in event.headers if header[0] != "date"]  # type: ignore[attr-defined]

    def read_all(self, stream: int) -> list[bytes | list[Header] | int | None]:
        """All that comes; pieces of the body are put together."""
        seen: list[bytes | list[Header] | int | None] = []
        body = bytearray()
        while True:
            part = self.read(stream)
            if isinstance(part, bytes):
                body += part
                continue
            if body:
                seen.append(bytes(body))
                body.clear()
            seen.append(part)
            if not isinstance(part, list):
                return seen

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError("the connection ended")
        kinds = (
            h2.events.ResponseReceived,
            h2.events.InformationalResponseReceived,
            h2.events.TrailersReceived,
            h2.events.DataReceived,
            h2.events.StreamReset,
            h2.events.StreamEnded,
        )
        for event in self._http.receive_data(data):
            if isinstance(event, kinds):
                self._events[event.stream_id].append(event)
        self._flush()

    def _flush(self) -> None:
        if data := self._http.data_to_send():
            self._socket.sendall(data)
