"""Ports for programs that must be told one, while other tests start theirs.

A port that the system gave and got back may be given to the next who asks before the program
listens on it. So these are from below the range that it gives ports from, each at random.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_LOWEST = 11_000


def free_port() -> int:
    """A port that nobody uses."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many ports that nobody uses."""
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    ports = list(range(_LOWEST, max(given, 2 * _LOWEST)))
    random.SystemRandom().shuffle(ports)
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            try:
                held.enter_context(socket.create_server(("127.0.0.1", ports[-1])))
            except OSError:
                ports.pop()
            else:
                found.append(ports.pop())
    return found
