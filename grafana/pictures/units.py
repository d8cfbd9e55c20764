"""Numbers as Grafana writes them, for the units that our panels have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Scale = Sequence[tuple[float, str]]

_SHORT: Scale = ((1e12, " Tri"), (1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))
_DOLLARS: Scale = ((1e9, "B"), (1e6, "M"), (1e3, "K"))
_BYTES: Scale = ((2**40, " TiB"), (2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"))
_SECONDS: Scale = (
    (86400, " days"), (3600, " hours"), (60, " mins"), (1, " s"), (1e-3, " ms"), (1e-6, " µs"),
)  # fmt: skip


def written(value: float, unit: str) -> str:
    """A number with its unit."""
    return _FORMATS[unit](value)


def _scaled(value: float, scale: Scale, least: str = "") -> str:
    for size, name in scale:
        if abs(value) >= size:
            return f"{_digits(value / size)}{name}"
    return f"{_digits(value)}{least}"


def _digits(value: float) -> str:
    """Three digits that mean something, and no zeros behind them."""
    if value == 0:
        return "0"
    decimals = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    text = f"{value:.{decimals}f}" if abs(value) >= 0.01 else f"{value:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _dollars(value: float) -> str:
    return f"${_scaled(value, _DOLLARS)}" if abs(value) >= 1000 else f"${value:.2f}"


_FORMATS: dict[str, Callable[[float], str]] = {
    "short": lambda value: _scaled(value, _SHORT),
    "s": lambda value: _scaled(value, _SECONDS, " s"),
    "percentunit": lambda value: f"{_digits(value * 100)}%",
    "currencyUSD": _dollars,
    "bytes": lambda value: _scaled(value, _BYTES, " B"),
}
