"""The pictures: drawn from the dashboards' own queries, of calls that went through a real collector."""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from grafana.asking import Time
from grafana.pictures import history
from grafana.pictures.drawing import draw
from grafana.pictures.looks import LOOKS
from grafana.pictures.traffic import HOUR
from grafana.pictures.units import written

from grafana import asking
from support.needs import ROOT, program

DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
IMAGES = ROOT / "docs" / "images"
every_dashboard = pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)


@dataclass(frozen=True)
class Past:
    """An hour and more of made-up calls, in a Prometheus and in the collector's database."""

    client: httpx.Client
    time: Time
    database: Path


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    for name in ("prometheus", "promtool"):
        program(name, "install Prometheus")
    folder = tmp_path_factory.mktemp("past")
    end = time.time() // 60 * 60
    start = (end - HOUR) // HOUR * HOUR
    with history.prometheus(folder, end, HOUR) as client:
        yield Past(client, Time(start, end), folder / "llmtoken.db")


def test_the_past_has_every_call_of_the_collector(past: Past) -> None:
    with closing(sqlite3.connect(past.database)) as connection:
        ((calls,),) = connection.execute("SELECT count(*) FROM calls")
    answer = past.client.get("/api/v1/query", params={"query": "sum(llmtoken_requests_total)", "time": past.time.end})
    assert float(answer.json()["data"]["result"][0]["value"][1]) == calls > 10


@every_dashboard
def test_a_dashboard_can_be_drawn(past: Past, file: Path, tmp_path: Path) -> None:
    dashboard = json.loads(file.read_text("utf-8"))
    values = asking.variables(dashboard, {})
    for name, look in LOOKS.items():
        picture = tmp_path / f"{name}.png"
        draw(dashboard, lambda panel: list(asking.answers(past.client, panel, values, past.time)), look, picture)
        assert size(picture) == size(IMAGES / f"{file.stem}-{name}.png"), "run make pictures"


def size(picture: Path) -> tuple[int, int]:
    """Width and height, as a PNG says them: the layout of its panels."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


@every_dashboard
@pytest.mark.parametrize("look", LOOKS)
def test_the_committed_pictures_are_small(file: Path, look: str) -> None:
    assert (IMAGES / f"{file.stem}-{look}.png").stat().st_size < 300_000


def test_every_committed_picture_of_a_dashboard_is_shown() -> None:
    pictures = {f"{file.stem}-{look}.png" for file in DASHBOARDS for look in LOOKS}
    pages = "".join((ROOT / page).read_text("utf-8") for page in ("README.md", "docs/dashboards.md"))
    assert {picture for picture in pictures if f"images/{picture}" not in pages} == set()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "short", "0"),
        (7, "short", "7"),
        (1440, "short", "1.44 K"),
        (3_100_000, "short", "3.1 Mil"),
        (0.004, "currencyUSD", "$0.00"),
        (12.5, "currencyUSD", "$12.50"),
        (0.0516, "percentunit", "5.16%"),
        (0.234, "s", "234 ms"),
        (100, "s", "1.67 mins"),
        (2**20, "bytes", "1 MiB"),
    ],
)
def test_numbers_are_written_as_grafana_writes_them(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text
