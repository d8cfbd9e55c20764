"""How often a client has a turn."""

from __future__ import annotations

import pytest

from llmtoken.guard import Throttle
from llmtoken.guard.throttle import network


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_then_a_steady_rate() -> None:
    clock = Clock()
    throttle = Throttle(2, 3, clock=clock)
    assert [throttle.take("a") for _ in range(3)] == [0, 0, 0]
    assert throttle.take("a") == pytest.approx(0.5)
    clock.now = 0.5
    assert throttle.take("a") == 0
    assert throttle.take("a") > 0
    clock.now = 1000
    assert [throttle.take("a") for _ in range(4)].count(0) == 3, "no more than a burst is saved up"


def test_clients_do_not_take_each_others_turns() -> None:
    throttle = Throttle(1, 1, clock=Clock())
    assert throttle.take("a") == 0
    assert throttle.take("b") == 0


def test_looking_takes_no_turn() -> None:
    throttle = Throttle(1, 1, clock=Clock())
    assert [throttle.wait("a") for _ in range(3)] == [0, 0, 0]


def test_memory_is_bounded_whoever_comes() -> None:
    throttle = Throttle(1, 1, clients=100, clock=Clock())
    for number in range(5000):
        throttle.take(f"10.0.{number // 256}.{number % 256}")
    assert len(throttle._left) == 100


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_a_client_is_an_address_or_a_network(host: str, client: str) -> None:
    assert network(host) == client
