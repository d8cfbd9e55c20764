"""The architecture that can be seen: data flows one way, imports point down only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.needs import ROOT

PACKAGE = ROOT / "exporter" / "llmtoken"

LAYERS = [
    {"errors", "inference", "rates"},
    {"config", "exchange", "report"},
    {"decode", "call"},
    {"ledger", "redact", "timing", "totals"},
    {"extract"},
    {"count", "pricing"},
    {"audit", "guard", "metrics", "payload", "reading"},
    {"pipeline"},
    {"landing"},
    {"explain", "export", "replay", "server"},
    {"conversation"},
    {"browse", "demo_server", "stack"},
    {"cli"},
    {"__main__"},
]
"""Lowest first. A module imports from lower layers, or from inside its own package."""

DOMAIN = {
    "errors",
    "inference",
    "rates",
    "config",
    "exchange",
    "report",
    "decode",
    "call",
    "ledger",
    "redact",
    "timing",
    "totals",
    "extract",
    "count",
}
ABOVE = {
    "pricing",
    "audit",
    "guard",
    "metrics",
    "payload",
    "reading",
    "pipeline",
    "landing",
    "server",
    "replay",
    "explain",
    "export",
    "conversation",
}
MUST_NOT_KNOW = {
    "fastapi": DOMAIN | ABOVE - {"landing", "server"},
    "starlette": DOMAIN | ABOVE - {"landing", "server"},
    "sqlalchemy": DOMAIN | ABOVE - {"audit"},
    "opentelemetry": DOMAIN | ABOVE - {"metrics"},
}


def module_of(path: Path) -> str:
    """The top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: say where from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(path: Path) -> set[str]:
    """Our own modules that a file imports."""
    names = (name.split(".") for name in imported(path))
    return {parts[1] for parts in names if parts[0] == "llmtoken" and len(parts) > 1} - {"__version__"}


LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}


def test_every_module_has_its_layer() -> None:
    assert {module_of(path) for path in sources()} == set(LEVEL)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path: Path) -> None:
    module = module_of(path)
    upward = {other for other in own_modules(path) - {module} if LEVEL[other] >= LEVEL[module]}
    assert not upward, f"{module} may not import {upward}: they stand above or beside it"


@pytest.mark.parametrize("library", MUST_NOT_KNOW)
def test_a_library_is_known_only_where_it_belongs(library: str) -> None:
    knowing = {module_of(path) for path in sources() if any(name.split(".")[0] == library for name in imported(path))}
    assert not knowing & MUST_NOT_KNOW[library]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path} has no docstring"
