"""Which labels a call is counted under: its own names, as many as there are places for.

Owns the dimensions whose values come from outside, and their limits. Must not know what is
counted under the labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from llmtoken.call import Call
from llmtoken.metrics.names import LONGEST, OTHER, Names
from llmtoken.totals import Labels

_FEW = 100
"""Distinct providers, operations, error types and problems: a vocabulary, unless somebody plays tricks."""

_REMEMBERED = 10_000
"""Sets of names whose labels are kept ready."""

_DIMENSIONS = {
    "operation_name": "operation",
    "provider_name": "provider",
    "request_model": "model",
    "response_model": "model",
    "error_type": "error",
    "consumer": "consumer",
}
"""The labels that clients choose, each with the dimension whose places it takes."""

_names_of = attrgetter(*Labels._fields)


class Labelling:
    """Gives labels out. `of` is for one writer thread; everything else may be called from any thread."""

    def __init__(self, *, max_models: int, max_consumers: int) -> None:
        self._names = {
            "model": Names(max_models),
            "consumer": Names(max_consumers),
            **{dimension: Names(_FEW) for dimension in ("provider", "operation", "error", "problem")},
        }
        self._ready: dict[tuple[str | int | bool | None, ...], Labels] = {}

    @property
    def dimensions(self) -> tuple[str, ...]:
        """All that are limited."""
        return tuple(self._names)

    def of(self, call: Call) -> Labels:
        """The labels of a call."""
        said = _names_of(call)
        known_already = self._ready.get(said)
        if known_already is not None:
            return known_already
        labels = self._find(call)
        # A name that has no place yet may get one later, and what clients choose may be of any length.
        if OTHER not in labels and all(len(name) <= LONGEST for name in said if isinstance(name, str)):
            if len(self._ready) >= _REMEMBERED:
                self._ready.clear()
            self._ready[said] = labels
        return labels

    def problem(self, name: str) -> str:
        """The label of something that could not be understood."""
        return self._names["problem"].label(name)

    def keep(self, labels: Labels) -> None:
        """Give these labels their places whatever the limits are: they have a series already."""
        for name, dimension in _DIMENSIONS.items():
            self._names[dimension].keep(getattr(labels, name))

    def _find(self, call: Call) -> Labels:
        failed = call.error_type is not None
        names = self._names
        return Labels(
            names["operation"].label(call.operation_name),
            names["provider"].label(call.provider_name),
            names["model"].label(call.request_model, failed=failed),
            names["model"].label(call.response_model, failed=failed),
            call.stream,
            call.http_status,
            names["error"].label(call.error_type),
            call.aborted or "",
            call.usage_source,
            names["consumer"].label(call.consumer, failed=failed),
        )


def overflown(labels: Labels) -> Iterator[str]:
    """The dimension of each label that found no place."""
    return (dimension for name, dimension in _DIMENSIONS.items() if getattr(labels, name) == OTHER)
