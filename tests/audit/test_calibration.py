"""What counting has learned survives a restart."""

from __future__ import annotations

import pytest

from llmtoken import audit
from llmtoken.audit import Audit
from llmtoken.errors import StorageUnavailable

FIRST = ("openai", "gpt-4o", "input", ((10, 12), (20, 24)))
SECOND = ("openai", "gpt-4o", "output", ((1, 1),))


def test_what_is_kept_is_there_again_after_opening(database: str) -> None:
    with audit.open(database) as store:
        store.keep([FIRST, SECOND])
    with audit.open(database) as store:
        assert sorted(store.lessons()) == [FIRST, SECOND]


def test_a_new_database_has_learned_nothing(store: Audit) -> None:
    assert store.lessons() == []


def test_a_lesson_takes_the_place_of_the_one_before(store: Audit) -> None:
    store.keep([FIRST, SECOND])
    store.keep([(*FIRST[:3], ((7, 8),))])
    assert sorted(store.lessons()) == [(*FIRST[:3], ((7, 8),)), SECOND]


def test_a_lesson_without_pairs_is_forgotten(store: Audit) -> None:
    store.keep([FIRST, SECOND])
    store.keep([(*FIRST[:3], ())])
    assert store.lessons() == [SECOND]


def test_lessons_come_in_the_order_in_which_they_were_kept(store: Audit) -> None:
    """Who has room for fewer forgets the oldest."""
    store.keep([SECOND])
    store.keep([FIRST])
    assert store.lessons() == [SECOND, FIRST]


def test_a_closed_audit_refuses_lessons(store: Audit) -> None:
    store.close()
    with pytest.raises(StorageUnavailable):
        store.keep([FIRST])
