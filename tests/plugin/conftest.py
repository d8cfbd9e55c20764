from collections.abc import Iterator
from pathlib import Path

import pytest

from support.differential import Routes, routes
from support.stage import SetStage, theatre


@pytest.fixture
def set_stage(tmp_path: Path) -> Iterator[SetStage]:
    with theatre(tmp_path) as set_up:
        yield set_up


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routes]:
    """The tapped and the plain route of one Traefik, which scenes are compared on."""
    with routes(tmp_path_factory.mktemp("traefik")) as routes_:
        yield routes_
