"""docs/apis.md names every API that is read, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from llmtoken.extract import generic, registry

PAGE = (Path(__file__).parents[2] / "docs" / "apis.md").read_text("utf-8")
NAMES = {api.name for api in (*registry.APIS, generic.API, registry.UNKNOWN)}


def test_every_api_is_named() -> None:
    assert {name for name in NAMES if f"`{name}`" not in PAGE} == set()


def test_what_a_table_names_is_read() -> None:
    firsts = re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
    assert firsts
    assert {name for first in firsts for name in re.findall(r"`([^`]+)`", first)} <= NAMES
