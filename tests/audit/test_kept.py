"""The connection that writes is kept, and left behind when something went wrong on it."""

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import QueuePool, create_engine
from sqlalchemy.exc import DBAPIError

from llmtoken.audit.kept import Kept


@pytest.fixture
def kept(tmp_path) -> Iterator[Kept]:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'a.db'}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )
    kept = Kept(engine)
    with kept.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n)")
    yield kept
    kept.dispose()


def rows(kept: Kept) -> int:
    with kept.begin() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one())


def test_one_transaction_after_the_other_goes_over_one_connection(kept: Kept) -> None:
    with kept.begin() as first:
        first.exec_driver_sql("INSERT INTO t VALUES (1)")
    with kept.begin() as second:
        assert second is first
    assert rows(kept) == 1


def test_what_failed_is_rolled_back_and_the_next_transaction_is_not_hurt(kept: Kept) -> None:
    with suppress(ZeroDivisionError), kept.begin() as failed:
        failed.exec_driver_sql("INSERT INTO t VALUES (1)")
        raise ZeroDivisionError
    with kept.begin() as after:
        assert after is not failed
        after.exec_driver_sql("INSERT INTO t VALUES (1)")
    assert rows(kept) == 1


def test_the_drivers_connection_is_to_be_had_in_between(kept: Kept) -> None:
    with kept.raw() as connection:
        connection.cursor().execute("PRAGMA user_version = 7")
    with kept.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA user_version").scalar_one() == 7


def test_who_wants_the_drivers_connection_waits_for_a_transaction(kept: Kept) -> None:
    entered = threading.Event()

    def look() -> None:
        with kept.raw():
            entered.set()

    looking = threading.Thread(target=look)
    with kept.begin():
        looking.start()
        assert not entered.wait(0.05)
    looking.join()
    assert entered.is_set()


def test_after_it_was_disposed_of_it_connects_anew(kept: Kept) -> None:
    with kept.begin() as before:
        driver = before.connection.driver_connection
    kept.dispose()
    with kept.begin() as after:
        assert after.connection.driver_connection is not driver


def test_what_the_driver_complains_of_is_said_by_sqlalchemy(kept: Kept) -> None:
    with pytest.raises(DBAPIError, match="no such table"), kept.begin() as connection:
        connection.connection.cursor().execute("SELECT * FROM missing")
