"""Ports: handed out once, and refused with the reason and the way out."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from llmtoken.errors import StackError
from llmtoken.stack import ports
from llmtoken.stack.ports import Ports

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_zero_takes_a_free_port_that_can_be_listened_on() -> None:
    port = Ports().claim(HOST, 0, owner="a", option="--a")
    with socket.create_server((HOST, port)):
        pass


def test_a_port_in_use_is_refused_with_its_holder_and_the_option_that_changes_it(taken: int) -> None:
    with pytest.raises(StackError) as refusal:
        Ports().claim(HOST, taken, owner="Traefik", option="--traefik-port")
    assert refusal.value.message.startswith(f"Port {taken} for Traefik is in use")
    assert "--traefik-port" in refusal.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens")
def test_the_holder_of_a_port_is_named_with_its_process_id(taken: int) -> None:
    holder = ports.holder(taken)
    assert holder
    assert f"(pid {os.getpid()})" in holder


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens")
def test_another_process_and_ipv6_are_found_too() -> None:
    script = (
        "import socket; s = socket.create_server(('::1', 0), family=socket.AF_INET6);print(s.getsockname()[1]); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        holder = ports.holder(int(other.stdout.readline()))
        other.communicate("\n")
    assert holder
    assert f"(pid {other.pid})" in holder


def test_a_port_nobody_listens_on_has_no_holder() -> None:
    assert ports.holder(Ports().claim(HOST, 0, owner="a", option="--a")) is None


def test_one_port_is_not_given_to_two_programs() -> None:
    claim = Ports().claim
    port = claim(HOST, 0, owner="the collector", option="--port")
    with pytest.raises(StackError, match="Prometheus and the collector can't both"):
        claim(HOST, port, owner="Prometheus", option="--prometheus-port")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(StackError, match=f"can't listen on {host}:8000") as refusal:
        Ports().claim(host, 8000, owner="the collector", option="--port")
    assert "host" in refusal.value.hint
