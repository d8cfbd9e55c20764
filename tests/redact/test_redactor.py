"""A record without its secrets, whatever they were wrapped in or cut into, with its numbers as they were."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any, NoReturn

import pytest
from msgspec.structs import asdict, replace

from llmtoken import config, reading
from llmtoken.call import Record
from llmtoken.count import Calibration, Counter
from llmtoken.decode import decode
from llmtoken.exchange import Exchange
from llmtoken.redact import Redacted, Redactor
from llmtoken.redact.search import Search
from llmtoken.report import Report
from support.calls import call
from support.captured import message
from support.exchanges import exchange, ndjson, sse
from support.planted import SHAPES, pem

KEY = SHAPES["openai_key"][0]
MARKER = "[redacted:openai_key]"
REDACTOR = Redactor(("secrets", "pii"), {})
SECRETS = Redactor(("secrets",), {})
SETTINGS = config.load()


def read(redactor: Redactor = REDACTOR, **fields: Any) -> reading.Reading:
    given = {"method": "POST", "host": "api.openai.com", "path": "/v1/chat/completions", "status": 200, "version": 1}
    bodies = {"request_body": "{}", "response_body": "{}", "elapsed_time": 1.0, "request_id": "r1", "aborted": ""}
    return reading.read(Report(**{**given, **bodies, **fields}), SETTINGS, redactor=redactor)


def stored(found: reading.Reading) -> str:
    return repr((asdict(found.record.call), found.record.request_body, found.record.response_body))


def chunks(text: str, size: int, *, choices: int = 1) -> str:
    """An OpenAI stream that says the text in pieces of that size, in every choice."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return sse(
        [
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "model": "gpt-4o",
                "choices": [{"index": choice, "delta": {"content": piece}, "finish_reason": None}],
            }
            for piece in pieces
            for choice in range(choices)
        ]
        + ["[DONE]"]
    )


def said(stream: str, choice: int = 0) -> str:
    """What the stream says, put together as an SDK does."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    return "".join(e["choices"][0]["delta"]["content"] for e in events if e["choices"][0]["index"] == choice)


# ── Fragments ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
@pytest.mark.parametrize("choices", [1, 3])
def test_a_secret_in_the_pieces_of_a_stream_is_found_and_the_stream_stays_one(size: int, choices: int) -> None:
    found = read(response_body=chunks(f"My key is {KEY}, my mail a.b@example.org.", size, choices=choices))
    stream = found.record.response_body or ""
    for choice in range(choices):
        assert said(stream, choice) == f"My key is {MARKER}, my mail [redacted:email]."
    assert stream.count("data: ") == chunks(f"My key is {KEY}, my mail a.b@example.org.", size, choices=choices).count(
        "data: "
    )
    assert found.redactions == {"openai_key": choices, "email": choices}


@pytest.mark.parametrize("size", [1, 3, 10])
def test_tool_arguments_are_json_in_pieces_with_json_in_them(size: int) -> None:
    arguments = json.dumps({"to": "a.b@example.org", "more": json.dumps({"pem": f"{pem(2)}\nend"})})
    pieces = [arguments[start : start + size] for start in range(0, len(arguments), size)]
    events = [
        {"choices": [{"delta": {"tool_calls": [{"index": 1, "function": {"arguments": piece}}]}, "index": 0}]}
        for piece in pieces
    ]
    body = read(response_body=sse([*events, "[DONE]"])).record.response_body or ""
    again = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    text = "".join(e["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for e in again)
    assert json.loads(text)["to"] == "[redacted:email]"
    assert json.loads(json.loads(text)["more"]) == {"pem": "[redacted:private_key]\nend"}


def test_other_apis_fragments_are_found_by_the_same_rule() -> None:
    half, rest = KEY[:9], KEY[9:]
    streams = {
        "/v1/messages": sse(
            [
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
                for part in (half, rest)
            ]
        ),
        "/v1/responses": sse(
            [
                {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": p}
                for p in (half, rest)
            ]
        ),
        "/api/chat": ndjson([{"model": "m", "message": {"content": part}, "done": False} for part in (half, rest)]),
        "/v1beta/models/g:streamGenerateContent": json.dumps(
            [{"candidates": [{"content": {"parts": [{"text": part}]}}]} for part in (half, rest)]
        ),
        "/generate": f"data: {half}\n\ndata: {rest}\n\n",
    }
    for path, body in streams.items():
        found = read(path=path, response_body=body, response_headers={"content-type": "text/event-stream"})
        assert rest not in stored(found), path
        assert MARKER in (found.record.response_body or ""), path


def test_parts_of_a_message_belong_together() -> None:
    parts = [{"type": "text", "text": KEY[:10]}, {"type": "text", "text": KEY[10:]}]
    body = read(request_body=json.dumps({"messages": [{"role": "user", "content": parts}]})).record.request_body or ""
    assert [part["text"] for part in json.loads(body)["messages"][0]["content"]] == [MARKER, ""]


def test_a_message_that_ends_with_a_finding_takes_nothing_of_the_next_one_along() -> None:
    messages = [{"role": "user", "content": "It is a.b@example.org"}, {"role": "assistant", "content": "Thanks!"}]
    body = read(request_body=json.dumps({"messages": messages})).record.request_body or ""
    assert [each["content"] for each in json.loads(body)["messages"]] == ["It is [redacted:email]", "Thanks!"]


def test_the_tokens_of_logprobs_say_it_no_more() -> None:
    tokens = [KEY[start : start + 4] for start in range(0, len(KEY), 4)]
    listed = [{"token": t, "logprob": -0.1, "bytes": list(t.encode()), "top_logprobs": [{"token": t}]} for t in tokens]
    reply = {"choices": [{"message": {"content": KEY}, "logprobs": {"content": listed}}]}
    body = read(response_body=json.dumps(reply)).record.response_body or ""
    choice = json.loads(body)["choices"][0]
    assert choice["message"]["content"] == MARKER
    assert "".join(each["token"] for each in choice["logprobs"]["content"]) == MARKER
    assert "".join(each["top_logprobs"][0]["token"] for each in choice["logprobs"]["content"]) == MARKER
    assert [each["bytes"] for each in choice["logprobs"]["content"]] == [None] * len(tokens)


@pytest.mark.parametrize("cut", range(2, 40, 3))
def test_a_stream_cut_within_its_last_event_is_searched_to_its_last_byte(cut: int) -> None:
    body = chunks(KEY, 20).removesuffix("data: [DONE]\n\n")
    body = body[: body.rindex(KEY[40:]) + min(cut, len(KEY) - 40)] if len(KEY) > 40 else body[:-cut]
    assert KEY[20:40] not in stored(read(response_body=body, aborted="upstream", response_truncated=True))


@pytest.mark.parametrize("before", ["密钥", "clé", "\f", "\x00"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_secret_is_found_right_behind_any_character(before: str, ascii_only: bool) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": before + KEY}]}, ensure_ascii=ascii_only)
    kept = json.loads(read(SECRETS, request_body=body).record.request_body or "")
    assert kept["messages"][0]["content"] == before + MARKER


@pytest.mark.parametrize("before", ["see below:\n", "data:text/plain;base64,", ""])
def test_a_file_in_base64_is_searched_wherever_it_stands(before: str) -> None:
    file = base64.b64encode(f"A file with {KEY} in it".encode()).decode()
    body = json.dumps({"messages": [{"role": "user", "content": before + file}]})
    kept = json.loads(read(request_body=body).record.request_body or "")["messages"][0]["content"]
    assert base64.b64decode(kept.removeprefix(before)) == f"A file with {MARKER} in it".encode()


# ── AWS ─────────────────────────────────────────────────────────────────────────────────


def wrapped(part: str, *, inner: bool) -> bytes:
    event: dict[str, Any] = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
    if inner:
        event = {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcdef"}
    return message(json.dumps(event).encode(), **{":event-type": "chunk", ":message-type": "event"})


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("size", [5, 1000])
def test_an_aws_event_stream_stays_one_with_right_lengths_and_checksums(inner: bool, size: int) -> None:
    text = f"the key {KEY} and a.b@example.org."
    body = b"".join(wrapped(text[start : start + size], inner=inner) for start in range(0, len(text), size))
    report = {
        "path": "/model/anthropic.claude-3/invoke-with-response-stream",
        "host": "bedrock-runtime.us-east-1.amazonaws.com",
        "response_body_encoding": "base64",
        "response_headers": {"content-type": "application/vnd.amazon.eventstream"},
    }
    found = read(response_body=base64.b64encode(body).decode(), **report)
    again = Report(request_body="", response_body=found.record.response_body or "", elapsed_time=1, **report)
    decoded = decode(again, max_body_bytes=10**6).response
    assert (decoded.framing, decoded.problems) == ("aws_event_stream", ())
    assert "".join(event.data["delta"]["text"] for event in decoded.events) == f"the key {MARKER} and [redacted:email]."


def test_an_aws_error_says_it_in_a_header() -> None:
    body = message(b"", **{":message-type": "error", ":error-code": "x", ":error-message": f"no access for {KEY}"})
    found = read(
        response_body=base64.b64encode(body).decode(),
        response_body_encoding="base64",
        response_headers={"content-type": "application/vnd.amazon.eventstream"},
    )
    assert base64.b64encode(KEY.encode())[:20].decode() not in stored(found)
    assert f"no access for {MARKER}".encode() in base64.b64decode(found.record.response_body or "")


def test_a_form_with_a_file_is_searched_as_bytes() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + KEY.encode() + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\xff\xfe\x80\r\n--x--\r\n'
    )
    found = read(
        path="/v1/audio/transcriptions",
        request_body=base64.b64encode(body).decode(),
        request_body_encoding="base64",
        request_headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert base64.b64decode(found.record.request_body or "") == body.replace(KEY.encode(), MARKER.encode())


# ── The call ────────────────────────────────────────────────────────────────────────────


def test_every_text_of_a_call_is_searched() -> None:
    texts = {
        name: f"x {KEY}"
        for name, value in asdict(call()).items()
        if isinstance(value, str) and name not in ("request_id", "aborted", "usage_source", "price_version")
    } | {"error_type": KEY}
    full = call(
        **texts,
        request_id=f"id-{KEY}",
        finish_reasons=(KEY,),
        labels={"team": KEY, KEY: "x"},
        details={"service_tier": KEY},
    )
    found = REDACTOR.redact(Record(call=full, request_body=None, response_body=None), exchange("/"))
    assert not found.failed
    assert KEY not in repr(found.record)
    assert found.record.call.labels == {"team": MARKER, MARKER: "x"}
    assert found.record.call.path == f"x {MARKER}"


def test_identities_stay_apart() -> None:
    def redacted(request_id: str) -> str:
        return REDACTOR.redact(
            Record(call=call(request_id=request_id), request_body=None, response_body=None), exchange("/")
        ).record.call.request_id

    ids = [redacted(f"{mail}@example.org") for mail in ("a", "b", "a")]
    assert ids[0] == ids[2] != ids[1]
    assert ids[0].startswith("redacted-email-")


def test_consumers_become_one_unless_there_is_a_key() -> None:
    keyed = Redactor(("pii",), {}, "a secret of some length")
    assert REDACTOR.name("a@example.org") == REDACTOR.name("b@example.org") == "[redacted:email]"
    assert keyed.name("a@example.org") != keyed.name("b@example.org")
    assert keyed.name("a@example.org") == Redactor(("pii",), {}, "a secret of some length").name("a@example.org")
    assert keyed.name("team-blue") == "team-blue"
    record = Record(call=call(consumer="a@example.org"), request_body=None, response_body=None)
    assert keyed.redact(record, exchange("/")).record.call.consumer == keyed.name("a@example.org")


def test_the_row_says_how_much_was_taken_out() -> None:
    assert read(request_body=json.dumps({"prompt": f"{KEY} a@b.org"})).record.call.details["redactions"] == 2
    assert "redactions" not in read().record.call.details


def test_numbers_are_those_of_what_was_really_said() -> None:
    exchange_ = {
        "request_body": json.dumps(
            {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Keep {KEY} {pem(1)}"}]}
        ),
        "response_body": chunks(f"I keep {KEY}", 4),
    }
    bare, redacted = read(Redactor((), {}), **exchange_).record.call, read(**exchange_).record.call
    assert bare.usage_source == "estimated"
    assert replace(redacted, details={}, started_at=bare.started_at) == replace(bare, details={})


def test_what_is_learned_about_counting_does_not_tell_a_name_that_is_redacted() -> None:
    reply = {
        "model": KEY,
        "choices": [{"message": {"content": "hi"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
    report = Report(
        request_body=json.dumps({"model": KEY, "messages": [{"role": "user", "content": "hello"}]}),
        response_body=json.dumps(reply),
        elapsed_time=1.0,
        path="/v1/chat/completions",
        status=200,
    )
    assert reading.read(report, SETTINGS, Counter(calibration=Calibration())).comparisons
    assert not reading.read(report, SETTINGS, Counter(calibration=Calibration()), REDACTOR).comparisons


# ── Several at once ─────────────────────────────────────────────────────────────────────


def _records(*answers: str) -> list[tuple[Record, Exchange | None]]:
    found: list[tuple[Record, Exchange | None]] = []
    for answer in answers:
        reply = json.dumps({"choices": [{"message": {"content": answer}}]})
        report = Report(request_body='{"messages": []}', response_body=reply, elapsed_time=1.0)
        record = Record(call=call(), request_body=report.request_body, response_body=reply)
        found.append((record, decode(report, max_body_bytes=10_000)))
    return found


def test_records_without_findings_are_known_by_one_look_at_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    may_find = Search.may_find
    monkeypatch.setattr(Search, "may_find", lambda *given, **how: looks.append(1) or may_find(*given, **how))
    given = _records(*["Nothing."] * 50)
    found = SECRETS.redact_all(given)
    assert all(one.record is record for one, (record, _) in zip(found, given, strict=True))
    assert len(looks) == 1


@pytest.mark.parametrize("more", [{}, {"request_body_encoding": "base64"}, {"response_truncated": True}])
def test_what_one_look_does_not_tell_is_looked_at_by_itself(more: dict[str, Any]) -> None:
    """Among others as alone."""
    fields = {"request_body": base64.b64encode(KEY.encode()).decode(), "response_body": f'{{"a": "{KEY}"}}', **more}
    report = Report(**fields, elapsed_time=1.0)
    decoded = decode(report, max_body_bytes=10_000)
    given = Record(call=call(), request_body=decoded.request.text, response_body=decoded.response.text)
    found = SECRETS.redact_all([*_records("Nothing."), (given, decoded)])
    assert found[1] == SECRETS.redact(given, decoded)
    assert found[1].counts["openai_key"] >= 1
    assert not found[0].counts


def test_of_several_records_only_those_with_a_finding_change() -> None:
    given = _records("Nothing.", f"It is {KEY}.", "Nothing.")
    found = REDACTOR.redact_all(given)
    assert found == [REDACTOR.redact(*one) for one in given]
    assert [dict(one.counts) for one in found] == [{}, {"openai_key": 1}, {}]


def test_what_stands_in_two_records_is_no_finding() -> None:
    given = _records(KEY[:12], KEY[12:])
    assert [one.record for one in REDACTOR.redact_all(given)] == [record for record, _ in given]


def test_a_record_that_defies_us_costs_the_others_nothing() -> None:
    clean, broken = _records("Nothing.", "Nothing.")
    found = SECRETS.redact_all([clean, (broken[0], None), clean])
    assert [one.failed for one in found] == [False, True, False]
    assert found[0].record is found[2].record is clean[0]


# ── When it fails ───────────────────────────────────────────────────────────────────────


def _broken(*_: object, **__: object) -> NoReturn:
    raise RuntimeError(f"saw {KEY}")


@pytest.mark.parametrize("part", ["redact", "may_find", "find"])
def test_a_defect_costs_the_texts_and_never_the_numbers(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(f"llmtoken.redact.search.Search.{part}", _broken)
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    reply = {"id": KEY, "model": KEY, "choices": [{"message": {"content": KEY}}], "usage": usage}
    with caplog.at_level(logging.ERROR):
        found: Redacted | reading.Reading = read(
            Redactor(("secrets",), {}) if part != "find" else REDACTOR,
            request_body=json.dumps({"model": KEY, "messages": []}),
            response_body=json.dumps(reply),
            consumer="alice",
            labels={"team": "blue"},
        )
    assert found.unredacted
    assert (found.record.request_body, found.record.response_body) == (None, None)
    row = found.record.call
    assert (row.total_tokens, row.http_status, row.consumer, row.path, dict(row.labels)) == (10, 200, None, None, {})
    assert row.details["redaction"] == "failed"
    assert KEY not in stored(found)
    assert KEY not in caplog.text
    assert "RuntimeError" in caplog.text


def test_bodies_that_we_could_not_decode_are_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmtoken.decode.decode", _broken)
    found = read(request_body=KEY)
    assert (found.problems, found.unredacted, found.record.request_body) == (("defect",), True, None)


def test_without_rules_nothing_is_looked_at() -> None:
    record = Record(call=call(), request_body=KEY, response_body=None)
    assert Redactor((), {}).redact(record, None).record is record
