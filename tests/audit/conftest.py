"""An open audit for every test."""

from collections.abc import Iterator

import pytest

from llmtoken import audit
from llmtoken.audit import Audit


@pytest.fixture
def store(database: str) -> Iterator[Audit]:
    with audit.open(database, busy_timeout=0.05) as store:
        yield store
