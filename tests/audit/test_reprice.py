"""Corrected costs: what is changed, what the books say of it, and what happens when it is cut short."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Filter
from llmtoken.audit import reprice as repricing
from llmtoken.audit.reprice import Pricer
from support.records import record

EVERYTHING = Filter()
OLD = Decimal("0.00037")


def costs(amounts: Mapping[str, str | None], version: str = "new") -> Pricer:
    """Prices by request_id; the others keep their cost."""

    def price(row: Any) -> tuple[Decimal, str] | None:
        if row.request_id not in amounts:
            return None if row.cost is None else (row.cost, "another version of the same")
        amount = amounts[row.request_id]
        return None if amount is None else (Decimal(amount), version)

    return price


@pytest.fixture
def stored(store: Audit) -> Audit:
    store.write(
        [
            record("a"),
            record("b", consumer="bob"),
            record("free", cost=None, price_version=None),
            record("other", provider_name="anthropic", request_model="claude", response_model=None),
        ]
    )
    assert store.unbalanced() == 0
    return store


def cost(store: Audit, request_id: str) -> tuple[str | None, str | None]:
    call = store.call(request_id)
    assert call
    return call["cost"], call["price_version"]


def test_a_preview_says_what_would_change_by_model_and_price_and_changes_nothing(stored: Audit) -> None:
    found = stored.preview_prices(EVERYTHING, costs({"a": "0.00040", "free": "1", "other": None}))
    assert (found.looked_at, found.calls) == (4, 3)
    assert [
        (row.model, row.old_version, row.new_version, row.calls, row.old_cost, row.new_cost) for row in found.changes
    ] == [
        ("gpt-4o-2024-08-06", None, "new", 1, None, Decimal(1)),
        ("claude", "2026-01-01", None, 1, OLD, None),
        ("gpt-4o-2024-08-06", "2026-01-01", "new", 1, OLD, Decimal("0.00040")),
    ]
    assert cost(stored, "a") == ("0.00037", "2026-01-01")


def test_costs_and_their_versions_are_corrected_and_equal_ones_stay_as_they_are(stored: Audit) -> None:
    stored.reprice(EVERYTHING, costs({"a": "0.00040", "free": "1", "other": None}))
    assert cost(stored, "a") == ("0.00040", "new")
    assert cost(stored, "b") == ("0.00037", "2026-01-01")
    assert cost(stored, "free") == ("1", "new")
    assert cost(stored, "other") == (None, None)


def test_only_the_calls_that_were_asked_for_are_corrected(stored: Audit) -> None:
    done = stored.reprice(Filter(provider="anthropic"), costs({"a": "1", "other": "1"}))
    assert (done.looked_at, done.calls) == (1, 1)
    assert cost(stored, "a")[0] == "0.00037"


def test_counters_keep_what_they_counted_and_the_books_balance(stored: Audit, database: str) -> None:
    counted = dict(stored.counters)
    stored.reprice(EVERYTHING, costs({"a": "0.00030", "free": "1", "other": None}))
    assert stored.counters == counted
    assert stored.unbalanced() == 0
    balance = stored.verify()
    assert balance.balanced
    assert Decimal(balance.repriced) == Decimal("0.00030") - OLD + 1 - OLD
    stored.close()
    with audit.open(database) as again:
        assert dict(again.counters) == counted
        assert again.unbalanced() == 0


def test_prices_that_come_and_go_leave_nothing_behind(stored: Audit) -> None:
    stored.reprice(EVERYTHING, costs({"a": None, "free": "1"}))
    stored.reprice(EVERYTHING, costs({"a": "0.00037", "free": None}))
    balance = stored.verify()
    assert balance.balanced
    assert Decimal(balance.repriced) == 0


def test_what_was_corrected_and_then_pruned_still_balances(stored: Audit, database: str) -> None:
    stored.reprice(EVERYTHING, costs({"a": "5", "free": "1"}))
    with stored._changing() as connection:
        audit.counters.take_out(connection, audit.counters.calls.c.request_id.in_(["a", "free"]))
        connection.exec_driver_sql("DELETE FROM calls WHERE request_id IN ('a', 'free')")
    assert stored.verify().differences == ()
    stored.close()
    with audit.open(database) as again:
        assert again.unbalanced() == 0


def test_a_correction_that_nobody_noted_is_found(stored: Audit) -> None:
    with stored._changing() as connection:
        connection.exec_driver_sql("UPDATE calls SET cost = '9' WHERE request_id = 'a'")
    (difference,) = stored.verify().differences
    assert (difference.name, difference.rows) == ("cost", "9")


def test_a_call_whose_tokens_another_one_has_stays_without_a_cost(store: Audit) -> None:
    store.write([record("make"), record("fetch", fetched=True, method="GET")])
    store.reprice(EVERYTHING, lambda _: (Decimal(1), "new"))
    assert cost(store, "fetch") == (None, None)


def test_the_log_says_what_was_corrected_in_one_row_a_run_model_and_price(
    stored: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing, "_BATCH", 1)
    stored.reprice(EVERYTHING, costs({"a": "1", "b": "2"}))
    stored.reprice(EVERYTHING, costs({"a": "3"}, "newer"))
    newer, first = stored.repricings(10)
    assert (first.calls, first.old_cost, first.new_cost, first.new_version) == (2, 2 * OLD, Decimal(3), "new")
    assert (newer.calls, newer.old_cost, newer.new_cost, newer.old_version) == (1, Decimal(1), Decimal(3), "new")
    assert first.began_at < newer.began_at


def cut_short(after: int) -> Callable[[float], None]:
    left = [after]

    def pause(_: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return pause


def test_a_run_that_is_cut_short_leaves_balanced_books_and_is_finished_by_the_next(
    stored: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing, "_BATCH", 1)
    prices = costs({"a": "1", "b": "2", "free": "3"})
    with pytest.raises(KeyboardInterrupt):
        repricing.reprice(stored._repricing(), EVERYTHING, prices, pause=cut_short(after=2))
    assert stored.verify().balanced
    assert stored.reprice(EVERYTHING, prices).calls == 1
    assert stored.verify().balanced


def test_a_collector_writes_and_prunes_meanwhile(stored: Audit, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "_BATCH", 1)

    def others(_: float) -> None:
        stored.write([record(f"late-{stored.count()}")])
        with stored._changing() as connection:
            audit.counters.take_out(connection, audit.counters.calls.c.request_id == "free")
            connection.exec_driver_sql("DELETE FROM calls WHERE request_id = 'free'")

    with audit.open_beside(database) as editor:
        done = repricing.reprice(
            editor._repricing(), EVERYTHING, costs({"a": "1", "b": "2", "free": "3"}), pause=others
        )
    assert done.calls == 2
    assert stored.verify().differences == ()
    assert stored.unbalanced() == 0


def test_progress_is_told_to_who_asks(stored: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "_PAGE", 3)
    told: list[tuple[int, int]] = []
    stored.preview_prices(EVERYTHING, costs({}), advanced=lambda at: told.append((at.looked_at, at.total)))
    assert told == [(3, 4), (4, 4)]
