"""Which framing a body has, and what the audit keeps of it."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtoken.decode import body as body_module
from llmtoken.decode import decode
from llmtoken.exchange import Event
from llmtoken.report import Report
from support.captured import message, reply, request

OBJECT = b'{"id": "x", "usage": {"total_tokens": 3}}'
LINES = b'{"a": 1}\n{"a": 2}\n'
EVENTS = b'data: {"a": 1}\n\ndata: {"a": 2}\n\n'
ARRAY = b'[{"a": 1}\n,\r\n{"a": 2}\n]'
MESSAGES = message(b'{"a": 1}', event_type="e") + message(b'{"a": 2}', event_type="e")
MP3 = b"ID3\x04\x00\x00" + bytes(range(256))
HTML = b"<html><body>502 Bad Gateway</body></html>"

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"


# ── Framing ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        JSON,
        "application/json; charset=utf-8",
        "application/problem+json",
        "application/octet-stream",
        "application/vnd.amazon.eventstream",
        "text/event-stream",
        "text/html",
        "text/plain",
        "nonsense",
    ],
)
@pytest.mark.parametrize("space", [b"", b"\n\n  ", b"\xef\xbb\xbf"])
def test_json_is_json_whatever_its_label(content_type: str, space: bytes) -> None:
    body = reply(space + OBJECT, content_type)
    assert body.framing == "json"
    assert body.json == {"id": "x", "usage": {"total_tokens": 3}}
    assert not body.problems
    assert not body.truncated


@pytest.mark.parametrize("content_type", ["", SSE, JSON, "text/plain", "application/octet-stream"])
def test_an_event_stream_is_one_whatever_its_label(content_type: str) -> None:
    body = reply(EVENTS, content_type)
    assert body.framing == "sse"
    assert body.events == (Event({"a": 1}, None, 16), Event({"a": 2}, None, 32))
    assert body.is_stream


@pytest.mark.parametrize("content_type", ["", "application/x-ndjson", JSON, "text/plain", "application/stream+json"])
def test_lines_of_json_are_a_stream_whatever_their_label(content_type: str) -> None:
    body = reply(LINES, content_type)
    assert body.framing == "ndjson"
    assert [event.data for event in body.events] == [{"a": 1}, {"a": 2}]


def test_a_single_line_is_a_stream_only_by_its_label() -> None:
    assert reply(b'{"a": 1}\n', "application/x-ndjson").framing == "ndjson"
    assert reply(b'{"a": 1}\n', JSON).framing == "json"


def test_one_value_on_several_lines_is_no_stream_although_labelled_so() -> None:
    body = reply(b'{\n  "error": "no"\n}', "application/x-ndjson")
    assert (body.framing, body.json, body.problems) == ("json", {"error": "no"}, ())


@pytest.mark.parametrize("content_type", ["", "application/vnd.amazon.eventstream", "application/octet-stream"])
def test_amazons_stream_is_one_whatever_its_label(content_type: str) -> None:
    body = reply(MESSAGES, content_type)
    assert body.framing == "aws_event_stream"
    assert [event.data for event in body.events] == [{"a": 1}, {"a": 2}]


def test_an_array_of_objects_in_a_reply_is_a_stream_and_a_value() -> None:
    body = reply(ARRAY, JSON)
    assert body.framing == "json_array"
    assert [event.data for event in body.events] == body.json == [{"a": 1}, {"a": 2}]


def test_of_a_cut_array_whole_elements_are_kept() -> None:
    body = reply(ARRAY[:-5], JSON)
    assert (body.framing, body.json, body.truncated, body.problems) == ("json_array", [{"a": 1}], True, ())


@pytest.mark.parametrize("data", [b"[[0.5, 1], [2, 3]]", b"[]", b"[1, 2]", b'[{"a": 1}, 2]', b'["a"]'])
def test_another_array_is_a_value(data: bytes) -> None:
    body = reply(data, JSON)
    assert (body.framing, body.json) == ("json", json.loads(data))


def test_an_array_in_a_request_is_a_value() -> None:
    body = request(ARRAY, JSON)
    assert (body.framing, body.json) == ("json", [{"a": 1}, {"a": 2}])


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t"])
def test_nothing_is_empty(data: bytes) -> None:
    body = reply(data, JSON)
    assert (body.framing, body.text, body.problems) == ("empty", data.decode(), ())


def test_text_is_text() -> None:
    body = reply(b"Internal Server Error", "text/plain")
    assert (body.framing, body.text, body.problems) == ("text", "Internal Server Error", ())


@pytest.mark.parametrize("content_type", ["", "text/html", SSE])
def test_html_is_text(content_type: str) -> None:
    assert reply(HTML, content_type).framing == "text"


def test_html_that_says_it_is_json_is_a_problem() -> None:
    body = reply(HTML, JSON)
    assert (body.framing, body.text, body.problems) == ("text", HTML.decode(), ("response_json",))
    assert request(HTML, JSON).problems == ("request_json",)


@pytest.mark.parametrize("data", [b"[INFO] model loaded", b"[2026] model loaded", b"{{ template }}"])
def test_text_that_begins_like_json_is_text(data: bytes) -> None:
    body = reply(data)
    assert (body.framing, body.problems) == ("text", ())


@pytest.mark.parametrize("content_type", ["", "audio/mpeg", "application/octet-stream"])
def test_audio_is_binary(content_type: str) -> None:
    body = reply(MP3, content_type)
    assert (body.framing, body.text) == ("binary", base64.b64encode(MP3).decode())
    assert not body.problems


def test_plain_bytes_of_audio_are_binary() -> None:
    assert reply(b"RIFFdata", "audio/wav").framing == "binary"


def test_a_scalar_is_json_only_by_its_label() -> None:
    assert reply(b"12", JSON).json == 12
    assert reply(b"12", "text/plain").framing == "text"


def test_json_encoded_twice_is_unwrapped() -> None:
    assert request(json.dumps(OBJECT.decode()).encode(), JSON).json == json.loads(OBJECT)


def test_an_event_stream_cut_before_its_first_data_is_still_one() -> None:
    body = reply(b": OPENROUTER PROCESSING\n\nevent: message_st", SSE)
    assert (body.framing, body.events, body.truncated) == ("sse", (), True)


def test_a_json_error_amid_an_event_stream_is_an_event() -> None:
    body = reply(b'{"error": "a"}\n\n' + EVENTS, SSE)
    assert body.framing == "sse"
    assert body.events[0].data == {"error": "a"}


# ── Forms ───────────────────────────────────────────────────────────────────────────────

FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'


@pytest.mark.parametrize("content_type", ["", "multipart/form-data; boundary=b", 'Multipart/Form-Data; Boundary="b"'])
def test_a_form_is_an_object(content_type: str) -> None:
    body = request(FORM, content_type)
    assert (body.framing, body.json, body.text) == ("json", {"model": "whisper-1"}, FORM.decode())


def test_a_form_with_a_binary_file_is_kept_as_base64() -> None:
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + MP3 + b"\r\n"
    body = request(file + FORM, "multipart/form-data; boundary=b")
    assert body.json["model"] == "whisper-1"
    assert body.text == base64.b64encode(file + FORM).decode()
    assert not body.problems


def test_an_urlencoded_form_is_an_object() -> None:
    assert request(b"model=m&n=1", "application/x-www-form-urlencoded").json == {"model": "m", "n": "1"}


def test_json_that_says_it_is_a_form_is_json() -> None:
    assert request(OBJECT, "application/x-www-form-urlencoded").json == json.loads(OBJECT)


def test_an_endless_form_is_a_problem() -> None:
    body = request(b"a=1&" * 2000, "application/x-www-form-urlencoded")
    assert (body.framing, body.problems) == ("text", ("request_json",))


def test_a_cut_form_is_told() -> None:
    body = request(FORM[:-9], "multipart/form-data; boundary=b", cut=True)
    assert (body.truncated, body.problems) == (True, ())


# ── Captured as text, or in base64 ──────────────────────────────────────────────────────

PARTS = [
    '{"a": 1}',
    '{"a": "Grüße"}',
    "{",
    "}",
    "[",
    "]",
    '"',
    "\n",
    "\r\n",
    " ",
    ",",
    ":",
    '"a"',
    "1",
    "NaN",
    "data: ",
    "\\ud800",
]
LABELS = ["", JSON, SSE, "application/json; charset=utf-16", "application/x-ndjson", "text/html", "nonsense"]


@given(
    text=st.lists(st.sampled_from(PARTS), max_size=9).map("".join) | st.text(max_size=20),
    content_type=st.sampled_from(LABELS),
    coding=st.sampled_from(["", "gzip", "identity", "dcb"]),
    limit=st.sampled_from([8, 40, 4 * 1024 * 1024]),
    cut=st.booleans(),
)
def test_a_body_is_the_same_however_it_was_captured(
    text: str, content_type: str, coding: str, limit: int, *, cut: bool
) -> None:
    """Most are text, plain JSON and whole, and are read a shorter way."""
    headers = {"content-type": content_type, "content-encoding": coding} if coding else {"content-type": content_type}
    report = Report(
        request_body=text,
        response_body=text,
        elapsed_time=1.0,
        request_headers=headers,
        response_headers=headers,
        request_truncated=cut,
        response_truncated=cut,
    )
    found = decode(report, max_body_bytes=limit)
    wire = text.encode()
    assert found.request == request(wire, content_type, coding, limit=limit, cut=cut)
    assert found.response == reply(wire, content_type, coding, limit=limit, cut=cut)


@given(
    text=st.lists(st.sampled_from(PARTS), max_size=9).map("".join),
    content_type=st.sampled_from([label for label in LABELS if label != SSE]),
    cut=st.booleans(),
)
def test_a_space_before_a_body_says_nothing(text: str, content_type: str, *, cut: bool) -> None:
    """With it a plain object isn't known for one at its first byte."""

    def told(wire: bytes) -> tuple[Any, ...]:
        body = reply(wire, content_type, cut=cut)
        return body.framing, body.json, [event.data for event in body.events], body.truncated, body.problems

    assert told(b" {" + text.encode()) == told(b"{" + text.encode())


def test_half_a_character_in_a_report_made_by_hand_is_damage_and_no_defect() -> None:
    found = decode(Report(request_body='{"a": "\ud800"}', response_body="", elapsed_time=1.0), max_body_bytes=1000)
    assert (found.request.json, found.request.problems) == ({"a": "\ufffd\ufffd\ufffd"}, ())


def test_plain_json_is_not_asked_for_its_coding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmtoken.decode.content.decoded", None)
    found = decode(Report(request_body='{"a": 1}', response_body='{"b": 2}', elapsed_time=1.0), max_body_bytes=1000)
    assert (found.request.json, found.response.json) == ({"a": 1}, {"b": 2})


# ── Cut and damaged ─────────────────────────────────────────────────────────────────────


def test_cut_json_keeps_what_arrived() -> None:
    body = request(b'{"model": "m", "messages": [{"content": "Hel', JSON, cut=True)
    assert body.json == {"model": "m", "messages": [{"content": "Hel"}]}
    assert (body.framing, body.truncated, body.problems) == ("json", True, ())


def test_cut_json_that_nobody_announced_is_a_problem() -> None:
    body = reply(b'{"id": "x", "usage": {"total_tokens": 31', JSON)
    assert body.json == {"id": "x", "usage": {}}
    assert (body.truncated, body.problems) == (True, ("response_json",))


def test_json_that_is_whole_although_it_was_announced_cut_is_read() -> None:
    assert reply(b'{"a": NaN, "b": "\n"}', JSON, cut=True).json == {"a": None, "b": "\n"}
    assert reply(OBJECT, JSON, cut=True).json == json.loads(OBJECT)


def test_rubbish_behind_json_is_a_problem_but_no_cut() -> None:
    body = reply(OBJECT + b"<br>", JSON)
    assert (body.json, body.truncated, body.problems) == (json.loads(OBJECT), False, ("response_json",))


def test_a_cut_empty_body_is_told() -> None:
    assert reply(b"", JSON, cut=True).truncated


def test_endless_nesting_is_kept_as_text() -> None:
    body = request(b'{"a":' * 100_000, JSON)
    assert (body.framing, body.problems) == ("text", ("request_json",))


def test_a_body_of_endlessly_many_values_is_not_parsed() -> None:
    heavy = b"[" + b"[]," * body_module.MAX_CONTAINERS + b"[]]"
    body = reply(heavy, JSON)
    assert (body.framing, body.problems, len(body.text)) == ("text", ("too_large",), len(heavy))


# ── Codings and charsets ────────────────────────────────────────────────────────────────


def test_a_compressed_stream_has_no_ends() -> None:
    body = reply(gzip.compress(EVENTS), SSE, "gzip")
    assert body.events == (Event({"a": 1}), Event({"a": 2}))
    assert body.text == EVENTS.decode()


def test_a_stream_stored_decoded_has_no_ends() -> None:
    assert reply(EVENTS, SSE, "gzip").events == (Event({"a": 1}), Event({"a": 2}))


def test_a_cut_compressed_stream_keeps_its_events() -> None:
    stream = b"".join(b'data: {"n": %d, "%s": 1}\n\n' % (n, str(n * 7919**3).encode()) for n in range(2000))
    body = reply(gzip.compress(stream)[:-2000], SSE, "gzip")
    assert body.truncated
    assert not body.problems
    assert len(body.events) > 1000


def test_a_bomb_is_cut_at_the_limit() -> None:
    body = reply(gzip.compress(b'data: {"a": "%s"}\n\n' % (b"x" * 10_000_000)), SSE, "gzip", limit=1000)
    assert (body.framing, len(body.text), body.truncated, body.problems) == ("sse", 1000, True, ("too_large",))


def test_an_unknown_coding_is_binary_and_a_problem() -> None:
    body = reply(MP3, JSON, "dcb")
    assert (body.framing, body.problems) == ("binary", ("content_encoding",))


def test_another_character_set_is_read() -> None:
    body = reply('{"a": "Grüße"}'.encode("iso-8859-1"), "application/json; charset=ISO-8859-1")
    assert (body.json, body.text, body.problems) == ({"a": "Grüße"}, '{"a": "Grüße"}', ())


def test_a_wrong_character_set_is_noted() -> None:
    body = reply(b'{"a": "caf\xe9"}', JSON)
    assert (body.json, body.text, body.problems) == ({"a": "caf\ufffd"}, '{"a": "caf\ufffd"}', ("charset",))


@pytest.mark.parametrize("end", range(1, 16))
def test_a_stream_cut_inside_a_character_is_cut_and_no_more(end: int) -> None:
    stream = EVENTS + 'data: {"a": "🙂"}\n\n'.encode()[:end]
    body = reply(stream, SSE, cut=True)
    assert [event.data for event in body.events] == [{"a": 1}, {"a": 2}]
    assert (body.text, body.problems) == (stream.decode("utf-8", "ignore"), ())
