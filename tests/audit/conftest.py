"""A database of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmtoken import audit
from llmtoken.audit import Audit


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "audit.db")


@pytest.fixture
def store(database: str) -> Iterator[Audit]:
    with audit.open(database, busy_timeout=0.05) as store:
        yield store
