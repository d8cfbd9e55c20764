"""Draw the dashboards: `python -m grafana.pictures [--into FOLDER] [--prometheus URL]`.

Without a Prometheus of yours it makes up a fortnight of calls, which takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from grafana import asking
from grafana.asking import Time
from grafana.pictures import history
from grafana.pictures.drawing import draw
from grafana.pictures.looks import LOOKS

_PICKED = {"budget": "500"}
"""What a reader would have typed."""

DASHBOARDS = Path(__file__).parents[1] / "dashboards"
IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main() -> None:
    """Draw every dashboard in every look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder of the pictures")
    parser.add_argument("--prometheus", help="URL of a Prometheus to draw instead of made-up calls")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with _prometheus(options.prometheus) as (client, end):
        for file in sorted(DASHBOARDS.glob("*.json")):
            dashboard = json.loads(file.read_text("utf-8"))
            values = asking.variables(dashboard, _PICKED)
            time = Time(end - asking.seconds(dashboard["time"]["from"].removeprefix("now-")), end)
            ask = cache(lambda place: list(asking.answers(client, dashboard["panels"][place], values, time)))  # noqa: B023
            places = {panel["id"]: place for place, panel in enumerate(dashboard["panels"])}
            for name, look in LOOKS.items():
                draw(dashboard, lambda panel: ask(places[panel["id"]]), look, options.into / f"{file.stem}-{name}.png")  # noqa: B023


@contextmanager
def _prometheus(url: str | None) -> Iterator[tuple[httpx.Client, float]]:
    end = time.time() // 60 * 60
    if url is not None:
        with httpx.Client(base_url=url, timeout=120) as client:
            yield client, end
    else:
        with TemporaryDirectory() as folder, history.prometheus(Path(folder), end) as client:
            yield client, end


if __name__ == "__main__":
    main()
