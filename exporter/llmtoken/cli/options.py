"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings.", envvar="LLMTOKEN_CONFIG", metavar="FILE")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
