"""A database of its own for every test, of each engine. No body and no token is ever in a log.

Every test is watched for it, and every log file at the end.

What is watched: each record that any logger in this process passes on, with its traceback; what
a test prints; and all files named like logs that the processes of the tests have written.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from llmtoken import audit
from support import postgresql
from support.canary import CANARY
from support.databases import ENGINES
from support.parallel import (  # noqa: F401 - hooks of pytest
    pytest_collection_modifyitems,
    pytest_runtest_protocol,
    pytest_xdist_auto_num_workers,
)

_heard: list[str] = []


class _Listener(logging.Handler):
    """Hears what every handler would write."""

    def emit(self, record: logging.LogRecord) -> None:
        if CANARY in (text := self.format(record)):
            _heard.append(f"{record.name}: {text[:500]}")


def pytest_configure() -> None:
    logging.getLogger().addHandler(_Listener())


@pytest.fixture(autouse=True)
def _nothing_said_of_bodies_and_tokens() -> Iterator[None]:
    _heard.clear()
    yield
    assert _heard == [], "a body or a token is in the log"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.passed and any(CANARY in text for _, text in report.sections):
        report.outcome = "failed"
        report.longrepr = "a body or a token is in what the test printed: " + repr(report.sections)[:2000]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    logs = [path for path in factory.getbasetemp().rglob("*log*") if path.is_file() and path.suffix != ".db"]
    telling = [str(path) for path in logs if CANARY.encode() in path.read_bytes()]
    if telling:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.get_terminal_writer().line(f"\na body or a token is in {', '.join(telling)}", red=True)


# ── Databases ───────────────────────────────────────────────────────────────────────────


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


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of SQLite."""
    path = tmp_path_factory.mktemp("migrated") / "audit.db"
    audit.open(str(path)).close()
    return path


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
        yield shutil.copyfile(request.getfixturevalue("migrated_file"), str(tmp_path / "audit.db"))
        return
    server = request.getfixturevalue("server")
    url = server.copy(request.getfixturevalue("migrated"))
    yield url
    server.drop(url)
