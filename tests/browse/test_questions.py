"""Every ready-made question answers what it says, held against the same sums made in Python."""

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from llmtoken import audit
from llmtoken.browse.questions import QUESTIONS
from llmtoken.call import Call, Record
from support.calls import call, failed, streamed, without_tokens

NOW = datetime.now(UTC)
BY_NAME = {each.name: each for each in QUESTIONS}
Rows = list[dict[str, Any]]


def made_up(number: int, dice: random.Random) -> Call:
    kind = dice.choice([call, call, streamed, failed, without_tokens])
    cost = dice.choice([None, Decimal("0.000123"), Decimal("1.5"), Decimal("0.1")])
    made = kind(
        request_id=f"r{number}",
        # Not at a border, where this test and the query would look at the clock at different times.
        started_at=NOW - timedelta(hours=dice.randrange(0, 24 * 60) + 0.5),
        consumer=dice.choice(["alice", "bob", None]),
        request_model=dice.choice(["gpt-4o", "o3", None]),
        duration=dice.uniform(0.1, 100),
        usage_source=dice.choice(["reported", "estimated", "partial"]),
    )
    return made if kind in (failed, without_tokens) else call_with(made, cost, dice.randrange(1000))


def call_with(made: Call, cost: Decimal | None, tokens: int) -> Call:
    return replace(made, cost=cost, input_tokens=tokens, total_tokens=tokens + (made.output_tokens or 0))


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    dice = random.Random(7)  # noqa: S311
    return [made_up(number, dice) for number in range(400)]


@pytest.fixture(scope="module")
def rows(calls: list[Call], tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = str(tmp_path_factory.mktemp("questions") / "audit.db")
    with audit.open(path) as store:
        store.write([Record(call=each, request_body=None, response_body=None) for each in calls])
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def ask(rows: sqlite3.Connection, name: str, **given: str) -> Rows:
    blanks = {"days": "", "consumer": "", "day": ""}
    return [dict(row) for row in rows.execute(BY_NAME[name].sql, blanks | given)]


def recent(calls: list[Call], days: int = 30) -> list[Call]:
    return [each for each in calls if each.started_at >= NOW - timedelta(days=days)]


def of_days(calls: list[Call], days: int = 30) -> list[Call]:
    """By the calendar, today being the last."""
    return [each for each in calls if each.started_at.date() > (NOW - timedelta(days=days)).date()]


def total(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def money(calls: list[Call]) -> float | None:
    found = total(each.cost for each in calls)
    return None if found is None else round(float(found), 6)


@pytest.mark.parametrize("days", ["", "3", "90"])
@pytest.mark.parametrize(
    ("name", "key", "of"),
    [
        ("tokens_by_day", "day", lambda each: each.started_at.date().isoformat()),
        ("tokens_by_model", "request_model", lambda each: each.request_model),
        ("tokens_by_consumer", "consumer", lambda each: each.consumer),
    ],
)
def test_usage(rows: sqlite3.Connection, calls: list[Call], *, name: str, key: str, of: Any, days: str) -> None:
    groups = defaultdict(list)
    for each in of_days(calls, int(days or 30)):
        groups[of(each)].append(each)
    found = ask(rows, name, days=days)
    assert {row[key] for row in found} == set(groups)
    for row in found:
        mine = groups[row[key]]
        estimated = sum(each.usage_source in ("estimated", "partial") for each in mine)
        assert row == {
            key: row[key],
            "calls": len(mine),
            "errors": sum(each.error_type is not None for each in mine),
            "input_tokens": total(each.input_tokens for each in mine),
            "output_tokens": total(each.output_tokens for each in mine),
            "total_tokens": total(each.total_tokens for each in mine),
            "dollars": money(mine),
            "percent_estimated": pytest.approx(100 * estimated / len(mine), abs=0.051),
        }
    order = [row["day"] if key == "day" else -(row["total_tokens"] or 0) for row in found]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("name", "fits", "order"),
    [
        ("newest_calls", lambda _: True, lambda each: -each.started_at.timestamp()),
        ("slowest_calls", lambda _: True, lambda each: -each.duration),
        ("costliest_calls", lambda each: each.cost is not None, lambda each: -each.cost),
        ("failed_calls", lambda each: each.error_type is not None, lambda each: -each.started_at.timestamp()),
    ],
)
def test_lists(rows: sqlite3.Connection, calls: list[Call], name: str, fits: Any, order: Any) -> None:
    expected = sorted((each for each in recent(calls) if fits(each)), key=order)[:100]
    by_id = {each.request_id: each for each in calls}
    found = [by_id[row["request_id"]] for row in ask(rows, name)]
    assert [order(each) for each in found] == [order(each) for each in expected]
    assert len({each.request_id for each in found}) == len(found) > 20


def test_errors_by_kind(rows: sqlite3.Connection, calls: list[Call]) -> None:
    kinds = Counter(
        (each.error_type, each.http_status, each.provider_name, each.request_model)
        for each in of_days(calls)
        if each.error_type
    )
    names = ("error_type", "http_status", "provider_name", "request_model")
    assert {tuple(row[name] for name in names): row["calls"] for row in ask(rows, "errors_by_kind")} == kinds


def test_errors_by_hour(rows: sqlite3.Connection, calls: list[Call]) -> None:
    hours = Counter(f"{each.started_at:%Y-%m-%dT%H}:00" for each in recent(calls, 20) if each.error_type)
    found = {row["hour"]: row["errors"] for row in ask(rows, "errors_by_hour", days="20")}
    assert {hour: errors for hour, errors in found.items() if errors} == hours
    assert len(ask(rows, "errors_by_hour")) < len(found)


def test_estimated_share(rows: sqlite3.Connection, calls: list[Call]) -> None:
    models, estimated = Counter[Any](), Counter[Any]()
    for each in of_days(calls):
        key = each.provider_name, each.request_model
        models[key] += 1
        estimated[key] += each.usage_source in ("estimated", "partial")
    found = ask(rows, "estimated_share")
    assert {(row["provider_name"], row["request_model"]): row["estimated_calls"] for row in found} == +estimated
    for row in found:
        count = models[row["provider_name"], row["request_model"]]
        assert row["calls"] == count
        assert row["percent_estimated"] == pytest.approx(100 * row["estimated_calls"] / count, abs=0.051)


def test_cache_share(rows: sqlite3.Connection, calls: list[Call]) -> None:
    found = ask(rows, "cache_share")
    assert len(found) == 3
    for row in found:
        mine = [each for each in of_days(calls) if each.request_model == row["request_model"]]
        read, whole = (
            sum(getattr(each, name) or 0 for each in mine) for name in ("cache_read_input_tokens", "input_tokens")
        )
        assert (row["read_from_cache"], row["input_tokens"]) == (read, whole)
        assert row["percent_cached"] == pytest.approx(100 * read / whole, abs=0.051)


def test_one_consumers_day(rows: sqlite3.Connection, calls: list[Call]) -> None:
    day = next(each.started_at.date() for each in calls if each.consumer == "bob")
    mine = [each for each in calls if each.consumer == "bob" and each.started_at.date() == day]
    *found, sums = ask(rows, "one_consumers_day", consumer="bob", day=day.isoformat())
    assert [row["request_id"] for row in found] == [
        each.request_id for each in sorted(mine, key=lambda each: each.started_at)
    ]
    assert sums["total_tokens"] == total(each.total_tokens for each in mine)
    assert (sums["started_at"], sums["cost"]) == (
        "all",
        None if (cost := total(each.cost for each in mine)) is None else float(cost),
    )


def test_every_question_is_held_against_something() -> None:
    assert {each.name for each in QUESTIONS} == {
        *("tokens_by_day", "tokens_by_model", "tokens_by_consumer", "newest_calls", "slowest_calls"),
        *("costliest_calls", "failed_calls", "errors_by_kind", "errors_by_hour", "estimated_share", "cache_share"),
        "one_consumers_day",
    }


def test_every_chart_draws_its_answer(rows: sqlite3.Connection, calls: list[Call]) -> None:
    assert calls
    for question in QUESTIONS:
        if question.chart is not None:
            found = ask(rows, question.name, days="60")
            drawn = question.chart.draw(list(found[0]), [list(row.values()) for row in found])
            assert drawn.count("<rect") >= 2, question.name
            assert not question.chart.draw(["other"], [[1]])
