"""What the landing page says: gathered when it is asked for, from those who know.

Every number is one of `/metrics`, or what the calls of today add up to. What can't be read now is left out
and said, because the page is most needed when something is wrong. Must not know how it looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from llmtoken import __version__
from llmtoken.audit import Audit, Filter
from llmtoken.config import Settings, without_password
from llmtoken.errors import StorageUnavailable
from llmtoken.metrics import Metrics
from llmtoken.pipeline import Pipeline

CALLS = 10
"""Calls that are listed."""
MODELS = 12
"""Models that are listed; the others are added up."""
NEARLY = 0.8
"""A queue that is fuller than this needs somebody's eye."""

_PAUSE = 19
"""How many times as long as it took to ask the database it is left alone then."""

State = Literal["good", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Part:
    """How one part does. `since`, in Unix time, is when it did so last."""

    name: str
    state: State
    says: str
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What some calls add up to; `None` where no call said."""

    model: str | None = None
    provider: str | None = None
    calls: int = 0
    errors: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None

    @property
    def tokens(self) -> int:
        """In and out together, for comparing."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the page shows. `today` and `calls` are `None` when they can't be read or may not be shown."""

    version: str
    now: float
    started: float
    instance: str
    database: str
    links: Mapping[str, str]
    parts: Sequence[Part]
    today: Used | None
    models: Sequence[Used]
    others: Used | None
    calls: Sequence[Mapping[str, Any]] | None
    calls_need_token: bool
    numbers_need_token: bool

    @property
    def well(self) -> bool:
        """Whether no part is bad."""
        return all(part.state != "bad" for part in self.parts)


_Said = tuple[Sequence[Used] | None, Sequence[Mapping[str, Any]] | None]


class Watcher:
    """Looks at one collector, from any thread.

    The database is asked at most a twentieth of the time, however many look and however much there is to
    add up: others get what it said last.
    """

    def __init__(
        self, settings: Settings, store: Audit, pipeline: Pipeline, metrics: Metrics, *, started: float
    ) -> None:
        self._settings = settings
        self._store = store
        self._pipeline = pipeline
        self._metrics = metrics
        self._started = started
        self._calls_guarded, self._numbers_guarded = bool(settings.read_tokens), bool(settings.metrics_tokens)
        self._asking = threading.Lock()
        self._said: _Said | None = None
        self._not_before = float("-inf")

    def look(self) -> Facts:
        """How things are now."""
        models, calls = self._ask()
        return Facts(
            version=__version__,
            now=time.time(),
            started=self._started,
            instance=self._store.instance,
            database=self._database(),
            links=self._settings.links,
            parts=self._parts(),
            today=None if models is None else _added_up(models),
            models=(models or [])[:MODELS],
            others=_added_up(models[MODELS:]) if models and models[MODELS:] else None,
            calls=calls,
            calls_need_token=self._calls_guarded,
            numbers_need_token=self._numbers_guarded,
        )

    def _ask(self) -> _Said:
        """What each model used today, most first, and the last calls."""
        with self._asking:
            began = time.monotonic()
            if self._said is None or began >= self._not_before:
                self._said = self._asked()
                self._not_before = time.monotonic() + _PAUSE * (time.monotonic() - began)
            return self._said

    def _asked(self) -> _Said:
        try:
            rows = [] if self._numbers_guarded else self._store.usage(Filter(since=_midnight()), ("model", "provider"))
            calls = None if self._calls_guarded else self._store.list(limit=CALLS).calls
        except StorageUnavailable:
            return None, None
        return sorted(map(_used, rows), key=lambda used: (-used.tokens, -used.calls)), calls

    def _database(self) -> str:
        """Where the audit is; only which kind it is when reading it takes a token."""
        where = without_password(self._settings.database)
        if not self._calls_guarded:
            return where
        return where.partition(":")[0].partition("+")[0] if "://" in where else "SQLite"

    def _parts(self) -> list[Part]:
        doings, waiting = self._metrics.doings(), self._pipeline.waiting_reports
        limit, unbalanced = self._settings.queue_reports, self._pipeline.unbalanced
        full = self._pipeline.fullness
        writable = self._store.writable()
        known_to_all = [
            Part("Database", "good", "takes writes")
            if writable
            else Part("Database", "bad", "can't be written: reports are refused, and come again"),
            Part("Queue", "bad" if full > NEARLY else "good", f"{waiting:,} of {limit:,} reports wait"),
        ]
        if self._numbers_guarded:
            return known_to_all
        return [
            *known_to_all,
            _last("Last report", doings.last_report),
            _last("Last commit", doings.last_commit),
            Part("Plugins", "bad", f"lost {doings.lost:,} reports, by their own account")
            if doings.lost
            else Part("Plugins", "good", "lost nothing"),
            Part("Missing", "bad", f"{doings.missing:,} reports didn't arrive, and no plugin knows why")
            if doings.missing
            else Part("Missing", "good", "no reports"),
            _balance(unbalanced),
        ]


def _balance(unbalanced: int | None) -> Part:
    if unbalanced is None:
        return Part("Counters", "unknown", "not compared with the audit lately")
    if unbalanced:
        return Part("Counters", "bad", f"{unbalanced:,} series differ from the audit")
    return Part("Counters", "good", "are the sums of the audit's rows")


def _last(name: str, at: float | None) -> Part:
    return Part(name, "unknown", "none since the start") if at is None else Part(name, "good", "", at)


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _used(row: Mapping[str, Any]) -> Used:
    return Used(
        model=row["model"],
        provider=row["provider"],
        calls=row["calls"],
        errors=row["errors"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost=None if row["cost"] is None else Decimal(row["cost"]),
    )


def _added_up(all_used: Sequence[Used]) -> Used:
    def known(name: str) -> Any:
        values = [value for used in all_used if (value := getattr(used, name)) is not None]
        return sum(values) if values else None

    return Used(
        calls=sum(used.calls for used in all_used),
        errors=sum(used.errors for used in all_used),
        input_tokens=known("input_tokens"),
        output_tokens=known("output_tokens"),
        cost=known("cost"),
    )
