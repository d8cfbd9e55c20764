"""A database of its own for every test, of each engine that the audit can be kept in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmtoken import audit
from support import postgresql
from support.databases import ENGINES


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.Server]:
    """A real PostgreSQL server."""
    with postgresql.running() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(server: postgresql.Server) -> str:
    """A PostgreSQL database as a first start leaves it, to be copied: that takes a tenth of the time."""
    url = server.create()
    audit.open(url).close()
    return url


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Which engine the test runs on."""
    return str(request.param)


@pytest.fixture
def new_database(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Makes databases that have never been opened, each under a name of the test's."""
    made: list[str] = []

    def make(name: str) -> str:
        if engine == "sqlite":
            return str(tmp_path / f"{name}.db")
        made.append(request.getfixturevalue("server").create())
        return made[-1]

    yield make
    for url in made:
        request.getfixturevalue("server").drop(url)


@pytest.fixture
def database(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database that nobody has used yet."""
    if engine == "sqlite":
        yield str(tmp_path / "audit.db")
        return
    server = request.getfixturevalue("server")
    url = server.copy(request.getfixturevalue("migrated"))
    yield url
    server.drop(url)
