"""Where calls are to be found that few are like: on which days, and under which models.

Pages are read by time, newest first, until they are full: quick when every hundredth call fits, but a second a
million when hardly one does. Models, consumers and failures have indexes of their own. For the rest the daily
sums say which days have such calls, and of which models. Nothing is left out: no call is in no sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Connection, and_, case, func, null, or_, select

from llmtoken.audit.filter import Filter
from llmtoken.audit.rollups import daily_model_usage
from llmtoken.audit.schema import calls

_BEARABLE = 20_000
"""Calls that may be looked at one by one for a page."""


@dataclass(frozen=True, slots=True)
class Place:
    """Some days, from the first to the last, and the models under which their calls are; unknown is `None`."""

    first: str
    last: str
    models: frozenset[str | None]

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """What is true of these calls."""
        column = calls.c.request_model
        known = column.in_(sorted(model for model in self.models if model is not None))
        yield or_(known, column.is_(None)) if None in self.models else known
        first, last = date.fromisoformat(self.first), date.fromisoformat(self.last)
        yield calls.c.started_at.between(datetime.combine(first, time.min, UTC), datetime.combine(last, time.max, UTC))


def places(connection: Connection, which: Filter, wanted: int, before: datetime | None) -> list[Place] | None:
    """Newest first; `None` when reading by time, or by another index, finds `wanted` calls soon enough."""
    if not which.dimensions() or which.has_index():
        return None
    table = daily_model_usage.c
    fits = and_(*which.of_dimensions(table))
    query = select(table.day, func.sum(table.calls), func.sum(case((fits, table.calls), else_=null())))
    until = min((moment for moment in (which.until, before) if moment is not None), default=None)
    days = [] if until is None else [table.day <= until.date().isoformat()]
    if which.since is not None:
        days.append(table.day >= which.since.date().isoformat())
    looked_at = found = 0
    for _, total, fitting in connection.execute(query.where(*days).group_by(table.day).order_by(table.day.desc())):
        looked_at, found = looked_at + int(total), found + int(fitting or 0)
        if found >= wanted or looked_at > _BEARABLE:
            break
    if looked_at <= _BEARABLE:
        return None
    models: dict[str, set[str | None]] = {}
    where = select(table.day, table.request_model).where(fits, *days).order_by(table.day.desc())
    for day, model in connection.execute(where):
        models.setdefault(day, set()).add(model)
    return list(_spans(models))


def _spans(models: Mapping[str, set[str | None]]) -> Iterator[Place]:
    """The newest day alone, then up to twice as many at once that follow each other: a question each costs, too."""
    days, first, most = list(models), 0, 1
    while first < len(days):
        behind = first + 1
        while behind < len(days) and behind - first < most and _follows(days[behind], days[behind - 1]):
            behind += 1
        some = days[first:behind]
        yield Place(some[-1], some[0], frozenset[str | None]().union(*(models[day] for day in some)))
        first, most = behind, most * 2


def _follows(day: str, later: str) -> bool:
    return date.fromisoformat(later) - date.fromisoformat(day) == timedelta(days=1)
