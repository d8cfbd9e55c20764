"""A model server that a test writes itself: a function that has the connection in its hands.

    def script(wire: Wire, head: Head) -> None:
        wire.read_body(head)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with upstream(script) as url:
        ...

The function is called for each request, in a thread for each connection. When it closes the
wire or raises a connection error, the connection ends; any other exception fails the test.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from support.wire import Head, Wire

Script = Callable[[Wire, Head], None]


@contextmanager
def upstream(script: Script, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve the script on a free port, or on that one, over TLS if there is a context for it; gives the URL."""
    listener = socket.create_server(("127.0.0.1", port))
    wires: list[Wire] = []

    def serve(wire: Wire) -> None:
        with suppress(OSError, EOFError):
            while True:
                script(wire, wire.read_head())
        wire.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                if tls:  # shakes hands at the first reading, in the connection's own thread
                    connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                wires.append(Wire(connection))
                threading.Thread(target=serve, args=(wires[-1],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # On Linux closing alone does not wake accept.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for wire in wires:
            wire.close()
