"""A call on record costs what it cost as it was read: a price depends on nothing that isn't in its row."""

from __future__ import annotations

import pytest

from llmtoken import config, pricing
from llmtoken.rates import OwnPrice
from llmtoken.reading import read
from support import recordings

OWN = (OwnPrice(model="gpt*", per_call="0.001", per_second="0.1"), OwnPrice(model="claude*", input_per_million=1))


@pytest.mark.parametrize("own", [(), OWN], ids=["by the list", "by own prices"])
def test_every_recorded_call_is_repriced_to_what_it_cost(own: tuple[OwnPrice, ...]) -> None:
    settings = config.Settings(prices=own)
    priced = 0
    for recording in recordings.load():
        call = read(recording.report, settings).record.call
        found = pricing.price_of_call(call, own)
        assert (found.amount if found else None) == call.cost, recording.id
        assert (found.version if found else None) == call.price_version
        priced += found is not None
    assert priced > 400
