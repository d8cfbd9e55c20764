"""The real parts, started once for all end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import upstream
from e2e.world import Stage, World, assembled
from support import model_server, tiny_model
from support.model_server import ModelServer


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's file."""
    return tiny_model.build(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="session")
def llama(model: Path) -> Iterator[ModelServer]:
    """A real llama.cpp server."""
    with model_server.running(model) as server:
        yield server


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, llama: ModelServer) -> Iterator[World]:
    """Everything, with reports sent at once so that tests needn't wait for them."""
    folder = tmp_path_factory.mktemp("world")
    with assembled(folder, llama, flushInterval="20ms", captureUpstream=True) as world:
        yield world


@pytest.fixture(scope="session")
def stage(world: World) -> Iterator[Stage]:
    """An upstream of the tests' own behind the same Traefik, for replies that no real server gives on demand."""
    with upstream.running() as server, world.route(server.url) as header:
        yield Stage(server, header)
