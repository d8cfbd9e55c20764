"""Samples as lines of text: what a series is called, and its numbers.

Owns how names, labels and numbers are spelled, which is the same in both formats. Must not know
what is counted, nor what a family says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from llmtoken.metrics.beside import Numbers, Series, attributes
from llmtoken.metrics.instruments import Instrument


class Samples:
    """An instrument's samples. Few of its series move between two scrapes: the others stay as they were written."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._written: dict[Hashable, tuple[Sequence[str], Numbers, str]] = {}
        """Of each series what stands before its numbers, the numbers, and all that as text."""

    def lines(self, series: Series) -> list[str]:
        """Of what is kept beside the SDK a line for each number, those of a series in one text."""
        found = []
        for labels, numbers in series.items():
            written = self._written.get(labels)
            if written is None or written[1] != numbers:
                written = self._write(labels, attributes(self._instrument, labels), numbers)
            found.append(written[2])
        return found

    def of_point(self, point: Any) -> str:
        """The same of a data point of the SDK."""
        numbers = (point.sum, *point.bucket_counts) if self._instrument.kind == "histogram" else (point.value,)
        key = frozenset((point.attributes or {}).items())
        written = self._written.get(key)
        if written is None or written[1] != numbers:
            written = self._write(key, point.attributes, numbers)
        return written[2]

    def _write(
        self, key: Hashable, known: Mapping[str, Any] | None, numbers: Numbers
    ) -> tuple[Sequence[str], Numbers, str]:
        before = self._written.get(key)
        names = before[0] if before else _names(self._instrument, known)
        written = self._written[key] = names, numbers, _text(self._instrument, names, numbers)
        return written


def _names(instrument: Instrument, known: Mapping[str, Any] | None) -> Sequence[str]:
    """What stands before each number: of a histogram the buckets, the count and the sum."""
    name, labels = instrument.prometheus, label_text(known)
    braced = f"{{{labels}}}" if labels else ""
    if instrument.kind != "histogram":
        return (f"{name}{braced}",)
    before = f'{name}_bucket{{{labels},le="' if labels else f'{name}_bucket{{le="'
    bounds = [*map(repr, instrument.buckets), "+Inf"]
    return (*(f'{before}{bound}"}}' for bound in bounds), f"{name}_count{braced}", f"{name}_sum{braced}")


def _text(instrument: Instrument, names: Sequence[str], numbers: Numbers) -> str:
    if instrument.kind != "histogram":
        return f"{names[0]} {float(numbers[0])!r}"
    total, *counts = numbers
    below = [*accumulate(counts)]
    values = [f"{count}.0" for count in (*below, below[-1])]
    return "\n".join(map("{} {}".format, names, (*values, repr(float(total)))))


def label_text(attributes: Mapping[str, Any] | None) -> str:
    """What stands between the braces. What is not known is not there, which to Prometheus means the same as empty."""
    return ",".join(f'{_LABELS[name]}="{_spelled(value)}"' for name, value in sorted((attributes or {}).items()))


def _spelled(value: Any) -> str:
    if isinstance(value, str):
        return escaped(value).replace('"', r"\"") if '"' in value or "\\" in value or "\n" in value else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def escaped(text: str) -> str:
    """A text as HELP may say it."""
    return text.replace("\\", r"\\").replace("\n", r"\n")


class _Labels(dict[str, str]):
    """The label of each attribute; they are as many as we have, and those of the resource."""

    def __missing__(self, attribute: str) -> str:
        self[attribute] = label = re.sub(r"^(?=[0-9])|[^a-zA-Z0-9_]", "_", attribute)
        return label


_LABELS = _Labels()
