"""Load on a collector: as much as it takes, or at a pace, and how long the answers took."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from reporting.reports import Plugin, post
from reporting.servers import Server


@dataclass(frozen=True)
class Measured:
    """What a server did under load; `waits` are the seconds from when a request was due to its answer."""

    rows: int
    wall: float
    cpu: float
    waits: Sequence[float] = ()

    @property
    def cpu_per_report(self) -> float:
        """CPU seconds of the server for each row that is in its database now."""
        return self.cpu / self.rows

    @property
    def rate(self) -> float:
        """Committed reports a second."""
        return self.rows / self.wall

    def wait(self, quantile: float) -> float:
        """How long the answers took: this quantile, in seconds."""
        waits = sorted(self.waits)
        return waits[min(int(quantile * len(waits)), len(waits) - 1)]


def full(server: Server, template: bytes, *, batch: int, connections: int, seconds: float) -> Measured:
    """Each connection sends its next request when it has the answer to the last one."""
    stop = time.monotonic() + seconds

    def send(connection: socket.socket, plugin: Plugin, _: int) -> None:
        while time.monotonic() < stop:
            post(connection, plugin.request([template] * batch))

    return _measure(server, connections, send)


def reports(server: Server, template: bytes, *, batch: int, connections: int, total: int) -> Measured:
    """As `full`, for so many reports instead of a time."""
    turns = count()

    def send(connection: socket.socket, plugin: Plugin, _: int) -> None:
        while next(turns) * batch < total:
            post(connection, plugin.request([template] * batch))

    return _measure(server, connections, send)


def paced(server: Server, template: bytes, *, batch: int, connections: int, rate: float, seconds: float) -> Measured:
    """So many reports a second: what waits for its connection is late, and that counts."""
    waits: list[float] = []
    began = time.monotonic()
    each = connections * batch / rate

    def send(connection: socket.socket, plugin: Plugin, number: int) -> None:
        due = began + each * number / connections
        while due < began + seconds:
            message = plugin.request([template] * batch)
            time.sleep(max(due - time.monotonic(), 0))
            post(connection, message)
            waits.append(time.monotonic() - due)
            due += each

    found = _measure(server, connections, send)
    return Measured(found.rows, found.wall, found.cpu, waits)


@contextmanager
def repeatedly(action: Callable[[], object], every: float) -> Iterator[None]:
    """Do something meanwhile, at once and every so many seconds."""
    over = threading.Event()

    def repeat() -> None:
        action()
        while not over.wait(every):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _measure(server: Server, connections: int, send: Callable[[socket.socket, Plugin, int], None]) -> Measured:
    plugin = Plugin()

    def run(number: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            send(connection, plugin, number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    rows, cpu, began = server.rows(), server.cpu(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Measured(server.rows() - rows, time.monotonic() - began, server.cpu() - cpu, ())
