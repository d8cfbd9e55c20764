"""Charts say what the numbers say, at any width and whatever the labels are."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from llmtoken.browse.charts import Series, bars, columns, short


def rects(svg: str, series: int) -> list[dict[str, float]]:
    """The rectangles of a series; places across in per cent, heights in pixels."""
    found = re.findall(
        rf'<rect class="series-{series}" x="([\d.]+)%?"[^>]*?width="([\d.]+)%" ?(?:y="([\d.]+)" height="([\d.]+)")?',
        svg,
    )
    return [{"x": float(x), "width": float(w), "y": float(y or 0), "height": float(h or 0)} for x, w, y, h in found]


def test_columns_are_as_high_as_their_numbers_and_stand_on_each_other() -> None:
    svg = columns(["mon", "tue"], [Series("in", [100, 50]), Series("out", [100, None])])
    first, second = rects(svg, 1)
    above, nothing = rects(svg, 2)
    assert first["height"] == 2 * second["height"] == above["height"]
    assert abs(above["y"] + above["height"] - first["y"]) < 0.11
    assert nothing["height"] == 0
    assert (first["x"] + first["width"] < 50 < second["x"], second["x"] + second["width"] < 100) == (True, True)
    assert "mon: in 100, out 100" in svg
    assert "tue: in 50, out –" in svg  # noqa: RUF001


def test_bars_are_as_long_as_their_numbers() -> None:
    svg = bars(["a", "b"], [200, 50], unit=" calls")
    assert [bar["width"] for bar in rects(svg, 1)] == [100, 25]
    assert "b: 50 calls" in svg


def test_a_legend_names_the_series_where_there_are_several() -> None:
    assert "<li>" not in columns(["a"], [Series("only", [1])])
    assert columns(["a"], [Series("in", [1]), Series("out", [1])]).count("<li>") == 2


def test_nothing_to_draw_says_so() -> None:
    for empty in (columns([], []), columns(["a"], [Series("x", [0])]), bars([], []), bars(["a"], [None])):
        assert "Nothing to draw yet." in empty


def test_numbers_for_a_glance() -> None:
    assert [short(value) for value in (None, 0, 7, 999, 1234, 1_250_000, 2e9, 0.00125)] == [
        *("–", "0", "7", "999", "1.23k", "1.25M", "2G", "0.00125")  # noqa: RUF001
    ]


NUMBERS = st.lists(st.none() | st.floats(0, 1e15) | st.integers(0, 2**40), min_size=1, max_size=40)


@given(NUMBERS, st.text())
def test_a_chart_is_always_proper_xml_and_inside_its_frame(values: list[float | None], label: str) -> None:
    visible = "".join(letter for letter in label if letter.isprintable())
    for svg in (columns([visible] * len(values), [Series("x", values)]), bars([visible] * len(values), values)):
        ET.fromstring(f"<div>{svg}</div>")  # noqa: S314 - ours
        for rect in rects(svg, 1):
            assert rect["x"] + rect["width"] <= 100.001
            assert rect["y"] >= 0
