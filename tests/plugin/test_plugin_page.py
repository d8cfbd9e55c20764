"""docs/plugin.md names the keys that the plugin has, with their defaults."""

from __future__ import annotations

import re

from support.needs import ROOT

PAGE = (ROOT / "docs" / "plugin.md").read_text("utf-8")
SOURCE = (ROOT / "plugin" / "llmtoken.go").read_text("utf-8")


def documented() -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? *\|", PAGE.split("## Configuration")[1], re.MULTILINE))


def defaults() -> dict[str, str]:
    """Each key of the Go configuration with its default as one would write it; empty where there is none."""
    fields = re.search(r"type Config struct \{(.*?)\n\}", SOURCE, re.DOTALL)
    given = re.search(r"return &Config\{(.*?)\n\t\}", SOURCE, re.DOTALL)
    assert fields
    assert given
    names = [name for name in re.findall(r"^\t(\w+) ", fields[1], re.MULTILINE) if name != "Unknown"]
    values = dict(re.findall(r"(\w+): +(.*),", given[1]))
    found = {name: values.get(name, "").replace("mebibyte", "1048576").strip('"') for name in names}
    found["CaptureUpstream"] = "false"
    for name, value in found.items():
        if "*" in value:
            factor, unit = value.split("*")
            found[name] = str(int(factor) * int(unit))
    return {name[0].lower() + name[1:]: value for name, value in found.items()}


def test_the_page_has_every_key_with_its_default() -> None:
    assert documented() == defaults()
