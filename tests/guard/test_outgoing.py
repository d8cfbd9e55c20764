"""What goes out, on real sockets and the loop that the collector runs on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from llmtoken.guard.outgoing import AtOnce

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def talk(loop: Callable[[], asyncio.AbstractEventLoop], say: Callable[[AtOnce], None]) -> list[bytes]:
    """What the other side receives, packet by packet, of what is said in one turn."""

    async def run() -> list[bytes]:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        running = asyncio.get_running_loop()
        transport, _ = await running.create_connection(asyncio.Protocol, sock=here)
        with there:
            there.setblocking(False)
            say(AtOnce(transport, running))
            heard = [await asyncio.wait_for(running.sock_recv(there, 1 << 20), 30)]
            transport.close()
            while heard[-1]:
                heard.append(await asyncio.wait_for(running.sock_recv(there, 1 << 20), 30))
        return heard[:-1]

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(run())


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_written_in_one_turn_goes_out_in_one_piece(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    def say(transport: AtOnce) -> None:
        transport.write(b"head")
        transport.write(b", content")

    assert talk(loop, say) == [b"head, content"]


@pytest.mark.parametrize("loop", LOOPS)
def test_what_was_written_before_the_end_is_sent_before_it(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    def say(transport: AtOnce) -> None:
        transport.write(b"head")
        transport.close()
        transport.write(b"too late")

    assert talk(loop, say) == [b"head"]


def test_an_answer_without_end_does_not_gather() -> None:
    def say(transport: AtOnce) -> None:
        for _ in range(4):
            transport.write(b"x" * 40_000)
        transport.abort()

    assert len(b"".join(talk(asyncio.new_event_loop, say))) >= 80_000


def test_a_connection_that_breaks_meanwhile_is_no_error() -> None:
    def say(transport: AtOnce) -> None:
        transport.write(b"head")
        transport.abort()
        transport.write(b"content")

    assert talk(uvloop.new_event_loop, say) == []
