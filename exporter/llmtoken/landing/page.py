"""The facts as HTML: the template, and how numbers and times are written in it.

Whatever clients chose (names of models, errors) is escaped by the template engine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from jinja2 import Environment, PackageLoader, StrictUndefined

from llmtoken.landing.facts import Facts

UNKNOWN = "—"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LARGE = ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k"))
_LEAST_SHORT = 10_000
_ROUNDED = 0.9995
"""What is rounded to 1 with three digits."""


def number(value: int | None) -> str:
    """A whole number with commas, or that nobody knows."""
    return UNKNOWN if value is None else f"{value:,}"


def short(value: int | None) -> str:
    """A number with three digits and a unit, where it is large: 12.3k."""
    if value is None or value < _LEAST_SHORT:
        return number(value)
    size, unit = next((size, unit) for size, unit in _LARGE if value / size >= _ROUNDED)
    return f"{value / size:.3g}{unit}"


def money(value: Decimal | None) -> str:
    """US dollars, to the cent, or with two digits where it is less than that."""
    if value is None:
        return UNKNOWN
    if not value or value >= Decimal("0.01"):
        return f"${value:,.2f}"
    return f"${value:.2g}" if value >= Decimal("0.0001") else "<$0.0001"


def seconds(value: float | None) -> str:
    """A duration of a call."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def ago(now: float, then: float) -> str:
    """How long ago, in its two largest units."""
    left = max(0, int(now - then))
    parts = []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2]) or "0 s"


def rfc3339(moment: float) -> str:
    """A moment for machines, and for who hovers over it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(started_at: str) -> str:
    """The time of day of an RFC 3339 time, to the second."""
    return started_at[11:19]


def share(part: int, whole: int) -> int:
    """Percent of the whole, for a bar."""
    return round(100 * part / whole) if whole else 0


_environment = Environment(
    loader=PackageLoader(__package__, "assets"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {function.__name__: function for function in (number, short, money, seconds, rfc3339, clock)}
_environment.globals |= {"ago": ago, "share": share}
_template = _environment.get_template("page.html")


def render(facts: Facts, *, origin: str) -> str:
    """The page; `origin` is the address that its reader came by."""
    return _template.render(facts=facts, origin=origin)
