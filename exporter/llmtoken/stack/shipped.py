"""Files that ship with llmtoken and aren't Python: the plugin, Traefik's routes, Prometheus' rules.

In a checkout they are the repository's own folders; in an installed wheel they lie beside
this module, put there by pyproject's force-include.
"""

from __future__ import annotations

from pathlib import Path

from llmtoken.errors import StackError

PLUGIN_MODULE = "github.com/lemonit-eric-mao/llmtoken"
"""The plugin's Go module: Traefik looks for it under `plugins-local/src/`."""

_PLACES = (Path(__file__).resolve().parents[3], Path(__file__).resolve().parent / "files")


def plugin() -> Path:
    """The folder of the Traefik plugin's source."""
    return _shipped("plugin/.traefik.yml").parent


def routes() -> Path:
    """Traefik's dynamic configuration, a template over environment variables."""
    return _shipped("traefik/dynamic/llmtoken.yml")


def rules() -> Path:
    """The folder of Prometheus' recording rules and alerts."""
    return _shipped("prometheus/rules/recording.yml").parent


def _shipped(name: str) -> Path:
    for place in _PLACES:
        if (place / name).is_file():
            return place / name
    raise StackError(
        f"{name} isn't among the installed files",
        hint="run from a clone of the repository, or install llmtoken from a whole wheel again",
    )
