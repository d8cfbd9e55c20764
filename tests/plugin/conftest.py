from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stage import SetStage, theatre


@pytest.fixture
def set_stage(tmp_path: Path) -> Iterator[SetStage]:
    with theatre(tmp_path) as set_up:
        yield set_up
