"""Ports: find a free one, or say plainly why one can't be had and who holds it."""

from __future__ import annotations

import errno
import os
import random
import re
import socket
from contextlib import suppress
from pathlib import Path

from llmtoken.errors import StackError

_BELOW_OUTGOING = range(20_000, 32_000)
"""Systems give outgoing connections ports from 32768 (Linux) or 49152 up: staying below keeps out of their way."""


class Ports:
    """The ports of one stack, handed out so that no two programs get the same one."""

    def __init__(self) -> None:
        self._owners: dict[int, str] = {}

    def claim(self, host: str, port: int, *, owner: str, option: str) -> int:
        """The port for `owner`: the one asked for, or a free one for 0; `option` is what changes it.

        Raises `StackError` when it is in use, or can't be listened on.
        """
        port = port or self._free(host)
        try:
            _listen(host, port)
        except OSError as error:
            raise _refused(host, port, owner, option, error) from error
        if other := self._owners.get(port):
            raise StackError(f"{owner} and {other} can't both have port {port}", hint=f"choose another with {option}")
        self._owners[port] = owner
        return port

    def _free(self, host: str) -> int:
        for port in random.sample(_BELOW_OUTGOING, 100):
            if port not in self._owners:
                with suppress(OSError):
                    _listen(host, port)
                    return port
        raise StackError(f"No free port found on {host}", hint="stop a few programs, or give ports by the options")


def holder(port: int) -> str | None:
    """Which program listens on a port, such as `nginx (pid 12)`; `None` where the system doesn't tell."""
    sockets = _listening(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):  # the process ended meanwhile, or isn't ours to look into
            if os.readlink(link) in sockets:  # noqa: PTH115 - the target isn't a path
                process = link.parents[1]
                return f"{process.joinpath('comm').read_text().strip()} (pid {process.name})"
    return None


def _refused(host: str, port: int, owner: str, option: str, error: OSError) -> StackError:
    if error.errno == errno.EADDRINUSE:
        by = holder(port)
        return StackError(
            f"Port {port} for {owner} is in use" + (f" by {by}" if by else ""),
            hint=f"stop that program, or choose another port with {option}",
        )
    may_help = f"choose a port above 1023 with {option}" if error.errno == errno.EACCES else "check the host"
    return StackError(f"{owner} can't listen on {host}:{port}: {error.strerror}", hint=may_help)


def _listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as candidate:
        # As servers do: a port whose last connections are still winding down counts as free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        candidate.bind(address)
        candidate.listen()


def _listening(port: int) -> set[str]:
    """The sockets listening on a port, named as in `/proc/PID/fd`. Source: proc(5), /proc/net/tcp."""
    line = re.compile(rf"^ *\d+: [0-9A-F]+:{port:04X} [0-9A-F:]+ 0A (?:\S+ +){{5}}(\d+)", re.MULTILINE)
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            found.update(f"socket:[{inode}]" for inode in line.findall(Path(table).read_text()))
    return found
