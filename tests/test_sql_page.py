"""docs/sql.md: every query gives what the same question gives when Python answers it from the calls."""

from __future__ import annotations

import math
import random
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from llmtoken import audit
from llmtoken.call import Call, Record
from support.calls import call, failed, streamed, without_tokens
from support.needs import ROOT

PAGE = (ROOT / "docs" / "sql.md").read_text("utf-8")
SECTIONS = {
    title: re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
"""Each question with its SQL: for both databases, or for SQLite and for PostgreSQL."""

NOW = datetime.now(UTC)
DAY = datetime(2026, 1, 31, tzinfo=UTC)
Rows = list[tuple[Any, ...]]


# ── Made-up traffic ─────────────────────────────────────────────────────────────────────


def made_up(number: int, dice: random.Random) -> Call:
    kind = dice.choices([call, streamed, failed, without_tokens], [5, 4, 3, 1])[0]
    model = dice.choice(["gpt-4o", "o3", None])
    made = kind(
        request_id=f"r{number}",
        # Recent calls, calls of January, and a burst of errors in one hour; never at a border that "now" could cross.
        started_at=dice.choice(
            [
                NOW - timedelta(minutes=dice.randrange(50 * 24 * 60) + 5, microseconds=number),
                DAY + timedelta(minutes=dice.randrange(-300, 24 * 60 + 300), microseconds=number),
            ]
        ),
        consumer=dice.choice(["team-search", "bob", None]),
        provider_name=dice.choice(["openai", "azure.ai.openai"]),
        request_model=model,
        response_model=model and f"{model}-2026",
        duration=dice.uniform(0.1, 100),
        usage_source=dice.choice(["reported", "estimated", "partial", "unknown"]),
        aborted=dice.choice(["", "", "client", "upstream"]),
        labels=dice.choice([{}, {"team": "search"}, {"team": "research", "tier": "gold"}]),
    )
    if kind in (failed, without_tokens):
        return made
    tokens, cost = dice.randrange(1000), dice.choice([None, Decimal("0.000123"), Decimal("0.1"), Decimal(number)])
    spoken = {"cost": cost, "input_tokens": tokens, "total_tokens": tokens + (made.output_tokens or 0)}
    details = dice.choice([{}, {"provider_cost": 0.25}, {"longest_stall": 2.5, "time_to_first_answer_chunk": 1.25}])
    return replace(made, **spoken, details=details)


def traffic() -> list[Record]:
    dice = random.Random(11)  # noqa: S311
    calls = [made_up(number, dice) for number in range(500)]
    burst = [failed(request_id=f"burst{n}", started_at=DAY + timedelta(hours=3, minutes=n)) for n in range(20)]
    fetched = [
        Record(
            call=call(request_id=name, response_id=reply, started_at=DAY + timedelta(hours=number)),
            request_body=None,
            response_body="done",
            fetched=True,
        )
        for number, (name, reply) in enumerate([(f"fetch{n}", "resp_1") for n in range(3)] + [("once", "resp_2")])
    ]
    said = ["my password is 1234", "nothing", None]
    made = [
        Record(call=replace(each, response_id=f"id-{number}"), request_body=dice.choice(said), response_body="ok")
        for number, each in enumerate((*calls, *burst))
    ]
    return [*made, *fetched]


class Stored:
    """What is in the database, as this test knows it."""

    def __init__(self, records: list[Record], stored: list[Call | None]) -> None:
        self.calls = [each for each in stored if each is not None]
        assert len(self.calls) == len(records)
        self.bodies = {each.call.request_id: (each.request_body, each.response_body) for each in records}
        self.counted_by = {f"fetch{n}": "fetch0" for n in range(3)}

    def groups(self, key: Callable[[Call], Any], fits: Callable[[Call], Any] = lambda _: True) -> dict[Any, list[Call]]:
        found = defaultdict(list)
        for each in self.calls:
            if fits(each):
                found[key(each)].append(each)
        return found

    def newest(self, fits: Callable[[Call], Any]) -> list[Call]:
        return sorted(filter(fits, self.calls), key=lambda each: each.started_at, reverse=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path_factory.mktemp("sql") / "audit.db")
        return
    postgresql = pytest.importorskip("support.postgresql")
    with postgresql.running() as server:
        yield server.create()


@pytest.fixture(scope="module")
def stored(place: str) -> Stored:
    records = traffic()
    with audit.open(place) as store:
        return Stored(records, store.write(records))


@pytest.fixture(scope="module")
def ask(place: str, stored: Stored) -> Iterator[Callable[[str], Rows]]:
    """Runs the SQL of a section as another program would."""
    assert stored.calls
    on_server = "://" in place
    if on_server:
        psycopg = pytest.importorskip("psycopg")
        connection = psycopg.connect(place.replace("+psycopg", ""), autocommit=True)
    else:
        connection = sqlite3.connect(place)

    def run(title: str) -> Rows:
        queries = SECTIONS[title]
        return list(map(tuple, connection.execute(queries[-1] if on_server else queries[0]).fetchall()))

    with closing(connection):
        yield run


# ── The same in Python ──────────────────────────────────────────────────────────────────


def total(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def mean(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def percent(part: int | None, whole: int) -> Any:
    """A share, as near as one that is rounded to a tenth can be."""
    return None if part is None else pytest.approx(100 * part / whole, abs=0.050001)


def dollars(calls: list[Call], digits: int = 6) -> Any:
    """The sum, as near as one that is rounded to so many digits can be."""
    found = total(each.cost for each in calls)
    return None if found is None else pytest.approx(float(found), abs=0.500001 * 10**-digits)


def nearest_rank(values: list[float], share: int) -> float:
    return sorted(values)[math.ceil(share * len(values) / 100) - 1]


def this_month(each: Call) -> bool:
    return each.started_at >= NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def last_day(each: Call) -> bool:
    return each.started_at >= NOW - timedelta(days=1)


def that_day(each: Call) -> bool:
    return each.started_at.date() == DAY.date()


def day(each: Call) -> str:
    return f"{each.started_at:%Y-%m-%d}"


def tokens_in(calls: list[Call]) -> Any:
    return total(each.input_tokens for each in calls)


def tokens_out(calls: list[Call]) -> Any:
    return total(each.output_tokens for each in calls)


def tokens(calls: list[Call]) -> Any:
    return total(each.total_tokens for each in calls)


def top_consumers(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: each.consumer, this_month)
    return [(name, len(its), tokens_in(its), tokens_out(its), dollars(its, 4)) for name, its in groups.items()]


def day_by_day(stored: Stored) -> Rows:
    return [
        (name, len(its), sum(e.error_type is not None for e in its), tokens(its), dollars(its, 12))
        for name, its in sorted(stored.groups(day).items(), reverse=True)[:30]
    ]


def cost_by_day_and_model(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: (day(each), each.request_model))
    return [(*key, len(its), dollars(its)) for key, its in groups.items()]


def invoice(stored: Stored) -> Rows:
    groups = stored.groups(
        lambda each: (each.provider_name, each.response_model),
        lambda each: each.consumer == "team-search" and that_day(each),
    )
    return [
        (
            *key,
            len(its),
            tokens_in(its),
            total(e.cache_read_input_tokens for e in its),
            tokens_out(its),
            dollars(its, 12),
            sum(e.usage_source != "reported" for e in its),
        )
        for key, its in groups.items()
    ]


def by_label(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: each.labels.get("team"))
    return [(name, len(its), tokens(its)) for name, its in groups.items()]


def unpriced(stored: Stored) -> Rows:
    groups = stored.groups(
        lambda each: (each.provider_name, each.response_model), lambda e: e.cost is None and e.total_tokens
    )
    return [(*key, len(its), tokens(its)) for key, its in groups.items()]


def percentiles(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: each.request_model)
    times = {model: [each.duration for each in its] for model, its in groups.items()}
    return [(model, len(its), nearest_rank(its, 50), nearest_rank(its, 95)) for model, its in times.items()]


def slowest(stored: Stored) -> Rows:
    calls = sorted(filter(last_day, stored.calls), key=lambda each: -each.duration)[:20]
    return [
        (e.request_id, e.started_at, e.request_model, e.duration, e.time_to_first_chunk, e.output_tokens) for e in calls
    ]


def waiting(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: each.request_model, lambda each: each.stream)
    return [
        (
            model,
            len(its),
            mean(e.time_to_first_chunk for e in its),
            mean(e.details.get("time_to_first_answer_chunk") for e in its),
            max((e.details["longest_stall"] for e in its if "longest_stall" in e.details), default=None),
        )
        for model, its in groups.items()
    ]


def failed_calls(stored: Stored) -> Rows:
    return [
        (e.started_at, e.consumer, e.provider_name, e.request_model, e.http_status, e.error_type, e.request_id)
        for e in stored.newest(lambda each: each.error_type)[:50]
    ]


def errors_by_kind(stored: Stored) -> Rows:
    groups = stored.groups(
        lambda each: (each.error_type, each.http_status, each.provider_name), lambda e: e.error_type and last_day(e)
    )
    return [(*key, len(its), max(e.started_at for e in its)) for key, its in groups.items()]


def bursts(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: (f"{each.started_at:%Y-%m-%dT%H}", each.provider_name))
    counted = [(*key, sum(e.error_type is not None for e in its), len(its)) for key, its in groups.items()]
    return [row for row in counted if row[2] >= 5 and row[2] > 0.2 * row[3]]


def broken_off(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: (each.aborted, each.request_model), lambda e: e.stream and e.aborted)
    return [(*key, len(its), tokens_out(its), mean(e.duration for e in its)) for key, its in groups.items()]


def estimated(stored: Stored) -> Rows:
    groups = stored.groups(lambda each: each.usage_source)
    return [(source, len(its), tokens(its), percent(len(its), len(stored.calls))) for source, its in groups.items()]


def shares(side: str, part: str) -> Callable[[Stored], Rows]:
    def found(stored: Stored) -> Rows:
        groups = stored.groups(lambda e: (e.provider_name, e.request_model), lambda e: getattr(e, side))
        rows = []
        for key, its in groups.items():
            whole, of_it = total(getattr(e, side) for e in its), total(getattr(e, part) for e in its)
            rows.append((*key, whole, of_it, percent(of_it, whole)))
        return rows

    return found


def fetched(stored: Stored) -> Rows:
    [mine] = stored.groups(lambda each: each.response_id, lambda e: e.request_id in stored.counted_by).items()
    return [(mine[0], len(mine[1]), "fetch0", 120)]


def providers_price(stored: Stored) -> Rows:
    return [(e.request_id, e.details["provider_cost"], e.cost) for e in stored.calls if "provider_cost" in e.details]


def costliest(stored: Stored) -> Rows:
    calls = sorted((each for each in stored.calls if each.cost is not None), key=lambda e: -(e.cost or 0))[:10]
    return [(each.request_id, each.cost, *stored.bodies[each.request_id]) for each in calls]


def words(stored: Stored) -> Rows:
    return [
        (e.request_id, e.started_at, e.consumer)
        for e in reversed(stored.newest(that_day))
        if "password" in (stored.bodies[e.request_id][0] or "")
    ]


EXPECTED: dict[str, Callable[[Stored], Rows]] = {
    "Top consumers this month": top_consumers,
    "Usage day by day": day_by_day,
    "Cost by day and model": cost_by_day_and_model,
    "One consumer's tokens on one day, to prove an invoice": invoice,
    "Usage by a label": by_label,
    "Calls without a known price": unpriced,
    "Median and 95th percentile of the duration, by model": percentiles,
    "Slowest calls of the last 24 hours": slowest,
    "Waiting for the answer while the model reasons, or stalls": waiting,
    "Failed calls, newest first": failed_calls,
    "Errors by kind in the last 24 hours": errors_by_kind,
    "Error bursts": bursts,
    "Streams that were broken off": broken_off,
    "Share of what we counted ourselves": estimated,
    "Share of the input that came from a cache": shares("input_tokens", "cache_read_input_tokens"),
    "Share of the output that was reasoning": shares("output_tokens", "reasoning_output_tokens"),
    "Replies that were fetched more than once, and who has their tokens": fetched,
    "The provider's own price beside ours": providers_price,
    "The costliest calls with their bodies": costliest,
    "Calls in which a word was said": words,
}

ORDERED_BY = {
    "Top consumers this month": (4, -1),
    "Usage day by day": (0, -1),
    "Calls without a known price": (3, -1),
    "Median and 95th percentile of the duration, by model": (3, -1),
    "Slowest calls of the last 24 hours": (3, -1),
    "Failed calls, newest first": (0, -1),
    "The costliest calls with their bodies": (1, -1),
    "Calls in which a word was said": (1, 1),
}
"""The column that rows come by, and in which direction."""


def plain(value: Any) -> Any:
    """As it compares, whichever database it comes from."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
        return datetime.fromisoformat(value)
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    return float(value) if isinstance(value, Decimal) else value


def same(found: Rows, expected: Rows) -> bool:
    """Whether the rows are the same, in whatever order."""
    left, right = (sorted((tuple(map(plain, row)) for row in rows), key=repr_of) for rows in (found, expected))
    return len(left) == len(right) and all(
        len(one) == len(other) and all(map(near, one, other)) for one, other in zip(left, right, strict=True)
    )


def repr_of(row: tuple[Any, ...]) -> str:
    """What a row is known by: its texts, times and whole numbers."""
    return repr([value for value in row if isinstance(value, str | int | datetime)])


def near(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def test_every_question_has_an_expectation() -> None:
    assert list(SECTIONS) == list(EXPECTED)
    assert all(len(queries) in {1, 2} for queries in SECTIONS.values())


@pytest.mark.parametrize("title", EXPECTED)
def test_a_query_answers_what_its_title_asks(title: str, ask: Callable[[str], Rows], stored: Stored) -> None:
    found, expected = ask(title), EXPECTED[title](stored)
    assert expected, "the made-up traffic has nothing of this"
    assert same(found, expected), (found[:5], expected[:5])


@pytest.mark.parametrize("title", ORDERED_BY)
def test_a_query_gives_first_what_matters_most(title: str, ask: Callable[[str], Rows]) -> None:
    column, direction = ORDERED_BY[title]
    values = [plain(row[column]) for row in ask(title) if row[column] is not None]
    assert values == sorted(values, reverse=direction < 0)
    assert values
