"""The audit over HTTP, and the examples that the documentation gives."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmtoken import audit
from llmtoken.server import reads
from support.collector import Collector, running, wait_for
from support.needs import ROOT
from support.records import record

EXAMPLES = re.findall(
    r"\$ curl 'http://localhost:8000(\S+)'\n```\n\n```json\n(.*?)\n```",
    (ROOT / "docs" / "api.md").read_text("utf-8"),
    re.DOTALL,
)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector with the calls of docs/api.md."""
    folder = tmp_path_factory.mktemp("api")
    tokens: dict[str, Any] = {
        "input_tokens": 1250,
        "output_tokens": 320,
        "total_tokens": 1570,
        "cost": Decimal("0.005045"),
    }
    nothing: dict[str, Any] = dict.fromkeys(tokens)
    refused = {"http_status": 429, "error_type": "rate_limit", "consumer": "team-search", **nothing}
    with audit.open(str(folder / "llmtoken.db")) as store:
        store.write(
            [
                record("18925f-1", started_at=datetime(2026, 1, 30, 9, 30, tzinfo=UTC), **tokens),
                record("18925f-2", started_at=NOON + timedelta(seconds=2), **tokens),
                record("18925f-3", started_at=NOON + timedelta(seconds=3), request_model="claude-sonnet", **refused),
            ]
        )
    with running(folder) as collector:
        yield collector


def get(collector: Collector, path: str, status: int = 200) -> Any:
    answer = collector.client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def within(shown: Any, answer: Any) -> Any:
    """As much of the answer as the documentation shows."""
    if isinstance(shown, dict):
        return {name: within(value, answer.get(name, "missing")) for name, value in shown.items()}
    if isinstance(shown, list):
        assert len(shown) == len(answer)
        return [within(one, other) for one, other in zip(shown, answer, strict=True)]
    return answer


@pytest.mark.parametrize(("path", "shown"), EXAMPLES, ids=[path for path, _ in EXAMPLES])
def test_the_documentations_examples_are_answered_as_it_says(collector: Collector, path: str, shown: str) -> None:
    expected = json.loads(shown)
    assert within(expected, collector.client.get(path).json()) == expected


def test_the_documentation_has_an_example_of_each_route() -> None:
    assert {re.sub(r"[?].*|(?<=calls/).*", "", path) for path, _ in EXAMPLES} == {
        "/api/calls",
        "/api/calls/",
        "/api/usage",
    }


def test_the_documentation_names_every_filter_and_group() -> None:
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert not [name for name in (*audit.Filter.model_fields, *audit.USAGE_GROUPS) if f"`{name}`" not in text]


def test_a_listed_call_has_every_field_of_one(collector: Collector) -> None:
    assert get(collector, "/api/calls?limit=1")["calls"] == [get(collector, "/api/calls/18925f-3")]


def test_the_described_example_is_a_call_as_it_goes_out(collector: Collector) -> None:
    assert list(reads.EXAMPLE) == list(get(collector, "/api/calls/18925f-1"))
    reads.CallAnswer.model_validate(reads.EXAMPLE)


def test_a_group_may_be_given_again_instead_of_with_a_comma(collector: Collector) -> None:
    assert get(collector, "/api/usage?group_by=day&group_by=model") == get(collector, "/api/usage?group_by=day,model")


def test_fields_that_are_empty_ask_for_nothing(collector: Collector) -> None:
    nothing = "&".join(f"{name}=" for name in (*audit.Filter.model_fields, "cursor"))
    assert get(collector, f"/api/calls?{nothing}") == get(collector, "/api/calls")
    assert get(collector, "/api/usage?group_by=") == get(collector, "/api/usage")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/api/calls?modle=gpt-4o", "query.modle: Extra inputs are not permitted"),
        ("/api/calls?limit=1001", "query.limit: Input should be less than or equal to 1000"),
        ("/api/calls?since=yesterday", "query.since: 'yesterday' isn't a time"),
        ("/api/calls?since=2026-02-01&until=2026-01-01", "query: since is not before until"),
        ("/api/calls?cursor=guess", "The cursor isn't one of ours"),
        ("/api/usage?group_by=weekday", "Usage can't be grouped by 'weekday'"),
        ("/api/usage?group_by=hour,day", "Usage can be grouped by one length of time only"),
        ("/api/usage?limit=1", "query.limit: Extra inputs are not permitted"),
    ],
)
def test_what_can_not_be_answered_is_refused_with_the_reason(collector: Collector, path: str, complaint: str) -> None:
    refusal = get(collector, path, 422)
    assert list(refusal) == ["status", "error", "hint"]
    assert refusal["error"].startswith(complaint)


def test_more_groups_than_an_answer_holds_are_refused(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MOST_GROUPS", 1)
    assert get(collector, "/api/usage?group_by=day", 422)["error"] == "That is 2 groups, more than 1"


@pytest.mark.parametrize("path", ["/api/calls", "/api/calls/18925f-1", "/api/usage"])
def test_the_audit_is_read_with_the_read_token_only(tmp_path: Path, path: str) -> None:
    with running(tmp_path, token="report-secret", read_token="read-secret") as collector:
        for given in (None, "Bearer report-secret", "Bearer guess", "read-secret"):
            headers = {"authorization": given} if given else {}
            assert collector.client.get(path, headers=headers).status_code == 401
        allowed = collector.client.get(path, headers={"authorization": "Bearer read-secret"})
        assert allowed.status_code in (200, 404)


def test_what_was_said_is_found_where_the_setting_says_so(tmp_path: Path) -> None:
    with audit.open(str(tmp_path / "llmtoken.db")) as store:
        store.write([record("old", request_body=json.dumps({"content": "the refund policy"}))])
    with running(tmp_path, search=True) as collector:
        new = {
            "request_id": "new",
            "request_body": '{"content": "Refunds?"}',
            "response_body": "a refund",
            "elapsed_time": 1,
        }
        assert collector.report(new).status_code == 200

        def found(q: str) -> list[str]:
            calls = collector.client.get("/api/calls", params={"q": q}).json()["calls"]
            return [call["request_id"] for call in calls]

        assert wait_for(lambda: len(found("refund")) == 2)
        assert (found("refund*"), found('"refund policy"')) == (["new", "old"], ["old"])
