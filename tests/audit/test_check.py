"""The books are looked at in the background."""

import pytest

from llmtoken.audit import Audit, Check
from support.collector import wait_for
from support.databases import sql
from support.records import record


def test_nothing_is_said_before_the_first_comparison(store: Audit) -> None:
    assert Check(store).unbalanced() is None


def test_it_says_at_once_that_all_agree(store: Audit) -> None:
    store.write([record()])
    check = Check(store)
    check.start()
    assert wait_for(lambda: check.unbalanced() is not None)
    assert check.unbalanced() == 0
    check.stop()


def test_a_difference_is_shown_and_logged_once(store: Audit, database: str, caplog: pytest.LogCaptureFixture) -> None:
    store.write([record()])
    sql(database, "DELETE FROM calls")
    check = Check(store, interval=0.05)
    check.start()
    wait_for(lambda: check.unbalanced() == 1)
    looked = check._found_at
    wait_for(lambda: check._found_at > looked)
    check.stop()
    assert caplog.text.count("1 series differ from the audit's rows; `llmtoken audit verify` says which") == 1


def test_what_was_found_too_long_ago_is_said_no_more(store: Audit, caplog: pytest.LogCaptureFixture) -> None:
    check = Check(store, interval=0.02)
    check.start()
    wait_for(lambda: check.unbalanced() == 0)
    store.close()
    wait_for(lambda: check.unbalanced() is None)
    check.stop()
    assert "could not be compared" in caplog.text
