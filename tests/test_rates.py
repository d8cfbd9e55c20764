"""Own prices in the configuration, and what is wrong with them."""

from pathlib import Path

import pytest

from llmtoken import config
from llmtoken.errors import ConfigError


def load(directory: Path, text: str) -> config.Settings:
    file = directory / "llmtoken.toml"
    file.write_text(text, "utf-8")
    return config.load(file)


def test_prices_are_tables_of_the_file_and_exact(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [[prices]]
        model = "qwen*"
        since = 2026-01-01
        input_per_million = 0.1
        output_per_million = "0.4"
        """,
    )
    assert dict(settings.prices[0].rates()) == {
        "input_per_million": settings.prices[0].input_per_million,
        "output_per_million": settings.prices[0].output_per_million,
    }
    assert str(settings.prices[0].input_per_million) == "0.1"


def test_prices_are_a_json_list_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOKEN_PRICES", '[{"model": "*", "per_second": "0.001"}]')
    assert [price.model for price in config.load(None).prices] == ["*"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[prices]]\nmodel = "a"', "prices.0: the price of a has no rate: give input_per_million"),
        ("[[prices]]\nper_call = 1", "prices.0.model: Field required"),
        ('[[prices]]\nmodel = "a"\nper_call = -1', "prices.0.per_call"),
        ('[[prices]]\nmodel = "a"\nper_call = inf', "prices.0.per_call"),
        ('[[prices]]\nmodel = "a"\nper_call = "cheap"', "prices.0.per_call"),
        ('[[prices]]\nmodel = "a"\nper_hour = 1', "prices.0.per_hour"),
        ('[[prices]]\nmodel = "a"\nper_call = 1\nsince = "soon"', "prices.0.since"),
        (
            '[[prices]]\nmodel = "a"\ncache_read_per_million = 1',
            "the price of a has cache_read_per_million but no input_per_million",
        ),
        (
            '[[prices]]\nmodel = "a"\nper_call = 1\n[[prices]]\nmodel = "A"\nper_call = 2\nsince = 2026-01-01',
            "the price of A since 2026-01-01 never applies",
        ),
    ],
)
def test_a_wrong_price_stops_the_start_and_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert complaint in caught.value.message


def test_the_newer_price_stands_above_the_older_one(tmp_path: Path) -> None:
    newer, older = (
        '[[prices]]\nmodel = "a"\nper_call = 2\nsince = 2026-01-01\n',
        '[[prices]]\nmodel = "a"\nper_call = 1\n',
    )
    assert len(load(tmp_path, newer + older).prices) == 2
