"""Explanations of exchanges: those that are read, and above all those that aren't."""

import base64
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtoken import config, reading
from llmtoken.explain import Explanation, explain
from llmtoken.explain.numbers import Marked, Place, terms_of
from llmtoken.report import Report, from_fields
from support import recordings
from support.exchanges import sse, written

CHAT = "/v1/chat/completions"
ASK = {"model": "gpt-4o", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}
ANSWER: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def report(reply: Any = None, request: Any = ASK, **fields: Any) -> Report:
    said = {"version": 1, "request_id": "r", "elapsed_time": 2.0, "method": "POST", "path": CHAT, "status": 200}
    bodies = {"request_body": written(request), "response_body": written(reply)}
    return from_fields({**said, "aborted": "", **bodies, **fields})


def explained(reply: Any = None, request: Any = ASK, **fields: Any) -> Explanation:
    return explain(report(reply, request, **fields), config.load(None))


def facts(explanation: Explanation, step: str) -> dict[str, tuple[Any, str]]:
    """The facts of a step by their names: value and reason; of several with one name the last."""
    return {
        fact.name: (fact.value, fact.because)
        for found in explanation.steps
        if found.name == step
        for fact in found.facts
    }


# ── Truth ───────────────────────────────────────────────────────────────────────────────


def test_every_recording_is_explained_with_the_numbers_of_the_pipeline() -> None:
    loaded = config.load(None)
    followed = unfollowed = 0
    for one in recordings.load():
        explanation = explain(one.report, loaded)
        call = reading.read(one.report, loaded).record.call
        assert not explanation.defects, one.id
        usage, counting = facts(explanation, "usage"), facts(explanation, "counting")
        for name in ("input_tokens", "output_tokens", "usage_source", "response_model", "error_type", "cost"):
            assert getattr(explanation.call, name) == getattr(call, name), one.id
        for name in ("input_tokens", "output_tokens"):
            value, because = usage[name]
            taken = counting[name][0] if name in counting else value
            assert taken == getattr(call, name), one.id
            followed += because.startswith("=")
            unfollowed += value is not None and not because.startswith("=")
    # What isn't followed through the body is Bedrock's, in headers.
    assert unfollowed < followed / 50


def test_the_explanation_of_anything_whatever_is_given() -> None:
    loaded = config.load(None)

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([CHAT, "/v1/messages", "/x", ""]))
    def check(request: bytes, reply: bytes, path: str) -> None:
        one = report(
            base64.b64encode(reply).decode(),
            base64.b64encode(request).decode(),
            request_body_encoding="base64",
            response_body_encoding="base64",
            path=path,
        )
        assert not explain(one, loaded).defects

    check()


# ── Usage ───────────────────────────────────────────────────────────────────────────────


def test_a_number_is_shown_as_the_sum_that_the_rules_made_of_it() -> None:
    start = {"id": "m", "model": "claude", "usage": {"input_tokens": 30, "cache_read_input_tokens": 1204}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    usage = facts(explained(events, path="/v1/messages"), "usage")
    assert usage["input_tokens"] == (
        1234,
        "= 30 (event 1: message.usage.input_tokens) + 1,204 (event 1: message.usage.cache_read_input_tokens)",
    )
    assert usage["output_tokens"] == (5, "= 5 (event 3: usage.output_tokens)")
    assert usage["source"] == ("reported", "the provider said so")


def test_what_a_total_gives_away_is_shown_as_the_difference_that_it_is() -> None:
    thoughts_left_out = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 15}
    usage = facts(explained({**ANSWER, "model": "gemini-3", "usage": thoughts_left_out}), "usage")
    missing = "15 (usage.total_tokens) - 7 (usage.prompt_tokens) - 3 (usage.completion_tokens)"
    assert usage["output_tokens"] == (8, f"= 3 (usage.completion_tokens) + {missing}")
    assert usage["reasoning_output_tokens"] == (5, f"= {missing}")


def test_a_part_that_was_larger_than_its_whole_is_said_to_be_cut() -> None:
    said = {**USAGE, "prompt_tokens_details": {"cached_tokens": 9}}
    value, because = facts(explained({**ANSWER, "usage": said}), "usage")["cache_read_input_tokens"]
    assert value == 7
    assert because == "= 7 (usage.prompt_tokens)"


def test_the_usage_is_shown_as_it_stands_in_the_reply() -> None:
    usage = facts(explained({**ANSWER, "usage": USAGE}), "usage")
    assert usage["said"] == (USAGE, "in usage")


def test_counts_under_names_that_no_rule_knows_are_pointed_out() -> None:
    new = {"tokens_consumed": 5, "tokens_produced": 9}
    usage = facts(explained({"answer": "Hello", "consumption": new}, path="/v9/answers"), "usage")
    assert usage["source"][0] == "unknown"
    assert usage["not used"] == (new, "in consumption: it looks like counts, but no rule takes them")


def test_counts_in_headers_are_shown() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "6", "x-ratelimit-remaining-tokens": "1000"}
    explanation = explained(
        {"generation": "Hi"}, path="/model/meta.llama3-8b-instruct-v1:0/invoke", response_headers=headers
    )
    usage = facts(explanation, "usage")
    assert usage["said in headers"][0] == {"x-amzn-bedrock-input-token-count": "6"}
    assert usage["input_tokens"][1].startswith("not a number of the body")


def test_marked_numbers_add_up_and_remember_their_terms() -> None:
    three, four = Marked.at(3, Place(None, ("a",))), Marked.at(4, Place(2, ("b", "[0]", "c")))
    assert sum([three, four]) == 7
    assert 10 - three == 7
    assert [str(term) for term in terms_of(0 + three + four - three)] == ["3 (a)", "4 (event 2: b[0].c)", "3 (a)"]
    assert terms_of(7) == ()


# ── API and provider ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "reply", "api", "how"),
    [
        (CHAT, ANSWER, "openai.chat", "by method and path"),
        ("/mine", ANSWER, "openai.chat", "by the bodies, whatever the path"),
        ("/mine", {"usage": USAGE}, "generic", "by a usage in the reply alone"),
        ("/mine", {"a": 1}, "unknown", "neither path nor bodies nor a usage are known"),
    ],
)
def test_the_way_to_the_api_is_told(path: str, reply: Any, api: str, how: str) -> None:
    found = facts(explained(reply, {"model": "m"}, path=path), "API")
    assert found["API"] == (api, how)


@pytest.mark.parametrize(
    ("fields", "provider", "evidence"),
    [
        ({"provider": "mine", "host": "api.openai.com"}, "mine", "the middleware's configuration"),
        ({"upstream": "api.openai.com:443", "host": "proxy"}, "openai", "the upstream's address"),
        ({"host": "api.openai.com"}, "openai", "the host that was asked for"),
        ({"path": "/openai/deployments/d/chat/completions"}, "azure.ai.openai", "the path"),
        ({"response_headers": {"openai-version": "1"}}, "openai", "the response's headers"),
        ({"upstream": "10.0.0.1:80"}, "self_hosted", "the upstream's address, which is of this network"),
        ({}, None, "nothing says who it is"),
    ],
)
def test_the_evidence_for_the_provider_is_told(fields: dict[str, Any], provider: str | None, evidence: str) -> None:
    assert facts(explained(ANSWER, **fields), "API")["provider"] == (provider, evidence)


def test_the_file_that_reads_the_api_is_named() -> None:
    assert facts(explained(ANSWER), "API")["reader"][0] == "llmtoken.extract.openai_chat"
    assert facts(explained("x", "y", path="/mine"), "API")["reader"][0] is None


# ── Decoding ────────────────────────────────────────────────────────────────────────────


def test_a_coding_that_was_undone_is_told() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps(ANSWER).encode())).decode()
    reply = facts(explained(packed, response_body_encoding="base64"), "reply")
    assert reply["coding"] == (f"undone: {len(json.dumps(ANSWER)):,} bytes", "its first bytes say so")


def test_a_coding_that_is_only_named_is_told() -> None:
    reply = facts(explained(ANSWER, response_headers={"content-encoding": "br"}), "reply")
    assert reply["coding"] == ("none", "content-encoding says br, but the bytes aren't")


def test_a_framing_is_told_with_what_speaks_for_it() -> None:
    stream = sse([{"choices": []}, "[DONE]"])
    framing, because = facts(explained(stream, response_headers={"content-type": "text/plain"}), "reply")["framing"]
    assert framing == "sse"
    assert because == "the bytes look like server-sent events; content-type: text/plain"


def test_an_html_page_in_the_place_of_a_reply_is_shown_and_named() -> None:
    explanation = explained("<html>Bad gateway</html>")
    assert facts(explanation, "reply")["begins with"][0] == "<html>Bad gateway</html>"
    assert set(explanation.problems) == {"unreadable_reply"}
    assert facts(explanation, "API")["problem"][0] == "unreadable_reply"


# ── Completeness, timing, counting, price ───────────────────────────────────────────────


def chunk(text: str, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": text}}], **fields}


def test_a_reply_that_was_cut_is_told_by_the_signs_that_are_missing() -> None:
    explanation = explained([chunk("Hello"), chunk(" there")], aborted="upstream")
    completeness = facts(explanation, "completeness")
    assert completeness["complete"][0] is False
    assert completeness["end of the stream"][0] is False
    assert completeness["cut by"][0] == "upstream"
    assert facts(explanation, "counting")["usage source"][0] == "partial"


def test_times_are_told_with_the_offsets_that_they_come_from() -> None:
    stream = sse([chunk("Hello"), chunk(" there"), "[DONE]"])
    first, second = stream.index("\n\n") + 2, stream.index("data: [DONE]")
    explanation = explained(stream, timeline=[(first, 0.5), (second, 1.5)], time_to_first_byte=0.5)
    timing = facts(explanation, "timing")
    assert timing["output events"] == (2, f"the first ends at byte {first}, the last at byte {second} of the reply")
    assert timing["time to first chunk"][0] == 0.5
    assert timing["time per chunk"][0] == 1.0


def test_a_count_is_told_part_by_part() -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    explanation = explained(ANSWER, {**ASK, "tools": [tool]})
    counting = facts(explanation, "counting")
    parts = [counting[name][0] for name in ("message 1", "message 2", "tools", "frame")]
    assert sum(parts) == counting["prompt"][0] == counting["input_tokens"][0] == explanation.call.input_tokens
    assert counting["answer"][0] == explanation.call.output_tokens
    assert counting["tokenizer"][0] == "o200k_base"
    assert counting["usage source"][0] == explanation.call.usage_source == "estimated"


def test_a_count_beside_a_usage_is_for_comparison_only() -> None:
    counting = facts(explained({**ANSWER, "usage": USAGE}), "counting")
    assert counting["needed"] == (False, "the usage was said; what follows is for comparison")
    assert counting["input_tokens"] == (7, "what the provider said")


@pytest.mark.parametrize(
    ("fields", "because"),
    [
        ({"path": "/mine", "response_body": "{}"}, "the tokens aren't known"),
        ({"provider": "mine"}, "the price list doesn't know this provider and model"),
    ],
)
def test_a_call_without_a_price_is_told_why(fields: dict[str, Any], because: str) -> None:
    assert facts(explained({**ANSWER, "usage": USAGE}, {"model": "m"}, **fields), "price")["cost"] == (None, because)


def test_an_error_of_ours_is_shown_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("that was us")

    monkeypatch.setattr("llmtoken.reading.pricing.price", broken)
    explanation = explained(ANSWER)
    assert "that was us" in explanation.defects[0]
    assert "Traceback" in explanation.defects[0]
    assert set(explanation.problems) == {"defect"}


# ── The command ─────────────────────────────────────────────────────────────────────────


def llmtoken(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmtoken", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={name: value for name, value in os.environ.items() if not name.startswith("LLMTOKEN_")},
    )


def line(request_id: str) -> dict[str, Any]:
    bodies = {"request_body": json.dumps(ASK), "response_body": json.dumps({**ANSWER, "usage": USAGE})}
    said = {"version": 1, "request_id": request_id, "elapsed_time": 2.0, "path": CHAT, "method": "POST", "status": 200}
    return {**said, **bodies, "response_headers": {"openai-version": "1"}}


def test_the_command_explains_a_report_that_is_spread_over_lines(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(line("r"), indent=2))
    done = llmtoken("explain", tmp_path / "report.json", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["call"]["input_tokens"] == 7
    assert [step["name"] for step in said["steps"]] == [
        *("report", "request", "reply", "API", "usage", "completeness", "timing", "counting", "price")
    ]
    assert (said["problems"], said["defects"]) == ({}, [])


def test_the_command_explains_the_line_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(gzip.compress("\n".join(["{", json.dumps(line("r-2"))]).encode()))
    done = llmtoken("explain", file, "--line", "2")
    assert done.returncode == 0
    assert "= 7 (usage.prompt_tokens)" in done.stdout
    wrong, absent = llmtoken("explain", file, "--line", "1"), llmtoken("explain", file, "--line", "3")
    assert (wrong.returncode, absent.returncode) == (2, 2)
    assert "line 1: The report isn't JSON" in wrong.stderr
    assert "has nothing on line 3" in absent.stderr


def test_the_command_explains_a_stored_call_and_what_it_was_then(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    (tmp_path / "lines").write_text(json.dumps(line("r-1")))
    assert llmtoken("replay", tmp_path / "lines", "--to", database).returncode == 0
    done = llmtoken("explain", "r-1", "--database", database, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["call"]["request_id"] == "r-1"
    assert said["call"]["provider_name"] == "openai"
    assert said["steps"][-1]["name"] == "stored"


def test_a_reply_that_another_call_counts_is_explained_with_that_call(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    fetch = {**line("r-2"), "method": "GET", "path": f"{CHAT}/c", "request_body": ""}
    (tmp_path / "lines").write_text("\n".join(map(json.dumps, [line("r-1"), fetch])))
    assert llmtoken("replay", tmp_path / "lines", "--to", database).returncode == 0
    said = json.loads(llmtoken("explain", "r-2", "--database", database, "--json").stdout)
    told = {step["name"]: {fact["name"]: fact["value"] for fact in step["facts"]} for step in said["steps"]}
    assert told["API"]["fetched"] is True
    assert told["usage"]["input_tokens"] == 7
    assert told["stored"]["counted by"] == "r-1"


def test_a_usage_that_is_not_final_is_explained() -> None:
    interaction = {"id": "i", "object": "interaction", "status": "in_progress", "usage": {"total_input_tokens": 7}}
    found = facts(explained(interaction, "", method="GET", path="/v1beta/interactions/i"), "usage")
    assert found["input_tokens"] == (None, "said, but dropped: there was more to come")
    assert found["source"] == ("unknown", "the reply says a usage that isn't final")


def test_the_command_says_when_there_is_no_such_call(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text(json.dumps(line("r-1")))
    assert llmtoken("replay", tmp_path / "lines", "--to", tmp_path / "a.db").returncode == 0
    done = llmtoken("explain", "r-2", "--database", tmp_path / "a.db")
    assert done.returncode == 2
    assert "There is neither a file nor a call r-2" in done.stderr
