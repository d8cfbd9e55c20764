"""What was said is found, and what was deleted isn't any more, whoever deleted it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from llmtoken import audit
from llmtoken.audit import Audit, Filter, Indexer, Reader, Rules, search
from llmtoken.audit.words import words
from llmtoken.errors import QueryError
from support.collector import wait_for
from support.records import record


@pytest.fixture
def engine() -> str:
    """SQLite alone: this is about its file."""
    return "sqlite"


NOW = datetime.now(UTC)


@pytest.fixture
def searched(database: str) -> Iterator[Audit]:
    with audit.open(database, search=True) as store:
        yield store


def found(store: Reader, q: str, **given: object) -> list[str]:
    return [call["request_id"] for page in store.pages(Filter.of(q=q, **given), size=2) for call in page.calls]


def said(*texts: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": text} for text in texts]})


def test_calls_are_found_by_what_was_asked_and_answered(searched: Audit) -> None:
    searched.write([record("a", request_body=said("the refund policy")), record("b", response_body=said("No refund."))])
    searched.write([record("c", request_body=None, response_body=None)])
    assert found(searched, "refund") == ["b", "a"]
    assert found(searched, "REFUND policy") == ["a"]
    assert found(searched, "nothing") == []


@pytest.mark.parametrize(
    ("asked", "finds"),
    [
        ('"the refund policy"', True),
        ('"policy refund"', False),
        ("polic*", True),
        ('"refund pol"*', True),
        ("polic", False),
        ("UBER", True),
        ("politique-übergreifend", True),
        ("退款", True),
        ("款政", True),
        ("政款", False),
        ("refund OR nothing", False),
        ("refund NOT policy", False),
        ("said:refund", False),
        ('"unclosed refund', False),
        ('"the refund', True),
        ("refund)", True),
        ("refund\0", True),
        ("^refund", True),
    ],
)
def test_words_must_all_occur_and_nothing_else_is_syntax(searched: Audit, asked: str, finds: bool) -> None:
    searched.write([record("a", request_body=said("the refund policy; politique übergreifend, Über", "退款政策"))])
    assert found(searched, asked) == (["a"] if finds else [])


@pytest.mark.parametrize("asked", ['""', "*", "-- ;", "\0"])
def test_a_question_without_a_word_is_refused(searched: Audit, asked: str) -> None:
    with pytest.raises(QueryError, match="There is no word"):
        found(searched, asked)


def test_words_and_filters_must_both_fit(searched: Audit) -> None:
    searched.write([record(str(n), consumer="ann" if n % 2 else "bob") for n in range(5)])
    assert found(searched, "question", consumer="bob") == ["4", "2", "0"]
    assert found(searched, "question", until=NOW - timedelta(days=3650)) == []


def test_a_call_that_comes_twice_is_found_once(searched: Audit) -> None:
    searched.write([record("a")])
    searched.write([record("a"), record("a")])
    assert found(searched, "question") == ["a"]


def test_pruned_calls_and_bodies_are_not_found_any_more(searched: Audit) -> None:
    searched.write([record(str(age), started_at=NOW - timedelta(days=age)) for age in (1, 5, 9)])
    searched.prune(Rules(bodies=timedelta(days=3), calls=timedelta(days=7)), pause=lambda _: True)
    assert found(searched, "question") == ["1"]
    assert searched.count() == 2


@pytest.mark.parametrize(
    "change", ["DELETE FROM bodies", "UPDATE bodies SET request_body = NULL", "DELETE FROM calls", "DELETE FROM series"]
)
def test_what_another_program_deletes_or_changes_is_not_found_any_more(
    searched: Audit, database: str, change: str
) -> None:
    searched.write([record("a")])
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON") if change == "DELETE FROM calls" else None
        connection.execute(change)
    assert found(searched, "question") == ([] if "series" not in change else ["a"])


def test_usage_is_not_searched(searched: Audit) -> None:
    with pytest.raises(QueryError, match="isn't added up"):
        searched.usage(Filter.of(q="question"))


def test_without_the_setting_nothing_is_indexed_and_the_question_is_refused(store: Audit) -> None:
    store.write([record("a")])
    with pytest.raises(QueryError, match="set search = true"):
        found(store, "question")


def test_switched_on_what_is_there_is_indexed_too_in_the_background(store: Audit, database: str) -> None:
    store.write([record(f"old-{n}") for n in range(20)])
    store.write([record("none", request_body=None, response_body=None)])
    store.close()
    with audit.open(database, search=True) as again:
        again.write([record("new")])
        assert found(again, "question") == ["new"]
        indexer = Indexer(again)
        indexer.start()
        wait_for(lambda: len(found(again, "question")) == 21)
        indexer.stop()
        assert found(again, "question")[:2] == ["new", "old-19"]


def test_indexing_goes_on_where_it_stopped(store: Audit, database: str) -> None:
    store.write([record(str(n)) for n in range(5)])
    store.close()
    with audit.open(database, search=True) as again:
        assert again.index_older(2)
        assert found(again, "question") == ["4", "3"]
    with audit.open(database, search=True) as again:
        again.prune(Rules(calls=timedelta(days=1)), pause=lambda _: True)
        again.write([record("new")])
        while again.index_older(2):
            pass
        assert found(again, "question") == ["new"]


def test_whoever_else_writes_keeps_the_index(searched: Audit, database: str) -> None:
    searched.close()
    with audit.open(database, instance="replay") as other:
        other.write([record("a")])
        assert found(other, "question") == ["a"]


def test_switched_off_the_index_is_gone_and_on_again_it_is_made_anew(searched: Audit, database: str) -> None:
    searched.write([record("a")])
    searched.close()
    with audit.open(database, search=False) as off:
        off.write([record("b")])
        with pytest.raises(QueryError, match="isn't indexed"):
            found(off, "question")
    with audit.open(database, search=True) as again:
        while again.index_older(1):
            pass
        assert found(again, "question") == ["b", "a"]


def test_a_read_only_reader_finds_too(searched: Audit, database: str) -> None:
    searched.write([record("a")])
    with audit.open_read_only(database) as reader:
        assert found(reader, "answer") == ["a"]


def test_a_defect_of_ours_costs_the_call_its_words_and_nothing_else(
    searched: Audit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: str | None, reply: str | None) -> str:
        if request == "odd":
            raise RuntimeError("words of a prompt")
        return words(request, reply)

    monkeypatch.setattr(search, "words", broken)
    searched.write([record("a", request_body="odd"), record("b")])
    assert (searched.count(), found(searched, "question"), found(searched, "answer")) == (2, ["b"], ["b"])
    assert "Could not index what was said in call 1" in caplog.text
    assert "words of a prompt" not in caplog.text
