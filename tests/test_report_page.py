"""docs/report.md says what `Report` takes."""

import json
import re
import subprocess
from pathlib import Path

import msgspec

from llmtoken.ledger import DROPPED, FAILED, OTHER, UNKNOWN
from llmtoken.report import Report, Source
from support.collector import running
from support.needs import ROOT

PAGE = (ROOT / "docs" / "report.md").read_text("utf-8")


def described() -> dict[str, str]:
    """Each field that the page's table describes, with its type."""
    table = PAGE.split("## Fields")[1].split("## Answers")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", table, re.MULTILINE))


def declared() -> dict[str, set[str]]:
    """Each field that `Report` declares, with the JSON types that it takes."""
    (_,), components = msgspec.json.schema_components([Report])
    found = {}
    for name, schema in components["Report"]["properties"].items():
        options = schema.get("anyOf", [schema])
        found[name] = {option.get("type", "object" if "$ref" in option else "string") for option in options} - {"null"}
    return found


def test_the_page_describes_every_field_in_the_order_of_the_code_and_no_other() -> None:
    assert list(described()) == list(declared())


def test_the_page_gives_every_field_its_type() -> None:
    wrong = {name: kinds for name, kinds in declared().items() if described()[name] not in kinds}
    assert wrong == {}


def test_the_required_fields_are_the_first_three() -> None:
    required = [field.name for field in msgspec.structs.fields(Report) if field.required]
    assert list(described())[:3] == required


def test_the_page_names_everything_of_the_loss_ledger_and_the_runbook_every_reason() -> None:
    ledger = PAGE.split("## The loss ledger")[1].split("## Answers")[0]
    named = set(re.findall(r"`(\w+)`", ledger))
    assert named >= {*Source.__struct_fields__, *DROPPED, *FAILED}
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8").split("### LlmtokenReportsLost")[1].split("### ")[0]
    rows = re.findall(r"(?m)^\| (`.+?) \|", runbook)
    assert set(re.findall(r"\w+", " ".join(rows))) == {*DROPPED, *FAILED, OTHER, UNKNOWN}


def test_the_example_answers_as_the_page_says(tmp_path: Path) -> None:
    (command,) = re.findall(r"^(curl .*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
    (answer,) = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
    with running(tmp_path) as collector:
        moved = command.replace("http://127.0.0.1:8000", collector.url)
        printed = json.loads(subprocess.check_output(["sh", "-c", moved], stderr=subprocess.DEVNULL))
    assert {**printed, "request_id": "…"} == json.loads(answer)
