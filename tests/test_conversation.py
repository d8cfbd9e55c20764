"""What was said, put together from every API's bodies."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from llmtoken import audit
from llmtoken.cli import app
from llmtoken.conversation import Conversation, Turn, conversation
from llmtoken.inference import ToolCall
from llmtoken.replay.recorded import stored_call
from llmtoken.report import from_fields
from support import recordings
from support.exchanges import LIMIT, ndjson, written
from support.needs import corpus

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + bytes(600)
PICTURE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
AUDIO = base64.b64encode(bytes(range(256)) * 8).decode()


def said(path: str, request: Any = None, reply: Any = None, **fields: Any) -> Conversation:
    report = {"version": 1, "method": "POST", "status": 200, "elapsed_time": 1.0, "aborted": "", "path": path}
    bodies = {"request_body": written(request), "response_body": written(reply)}
    return conversation(from_fields({**report, **bodies, **fields}), max_body_bytes=LIMIT)


# ── Every recording ─────────────────────────────────────────────────────────────────────


def is_blank(turns: tuple[Turn, ...]) -> bool:
    return not any(turn.text or turn.reasoning or turn.tool_calls or turn.images for turn in turns)


def test_no_recording_is_blank_where_there_was_text() -> None:
    for one in recordings.load():
        talk = conversation(one.report, max_body_bytes=LIMIT)
        assert not one.report.request_body or not is_blank(talk.asked), one.id
        assert not one.report.response_body or talk.errors or not is_blank(talk.answered), one.id


def test_every_recorded_error_is_told_in_the_providers_words() -> None:
    told = 0
    for one in recordings.load():
        if one.expected["error_type"] and one.report.response_body_encoding == "text":
            errors = conversation(one.report, max_body_bytes=LIMIT).errors
            assert errors, one.id
            # Escapes are undone and layouts changed; what is left of the words is still the reply's own.
            words = {word for word in errors[0].split() if word.isalpha() and len(word) > 5}
            assert all(word in one.report.response_body for word in words), one.id
            told += bool(words)
    assert told > 40


def test_every_recorded_tool_call_is_shown() -> None:
    checked, fewer = 0, []
    for one in recordings.load():
        if expected := one.expected["n_tool_calls"]:
            answered = conversation(one.report, max_body_bytes=LIMIT).answered
            checked += 1
            if sum(len(turn.tool_calls) for turn in answered) < expected:
                fewer.append(one.id)
    assert checked > 100
    # One stream begins a second message over the first; another counts each piece of a call as one.
    assert len(fewer) <= 2, fewer


def test_what_is_stored_reads_as_what_was_captured(tmp_path: Any) -> None:
    database = str(tmp_path / "corpus.db")
    assert CliRunner().invoke(app, ["replay", str(corpus()), "--to", database]).exit_code == 0
    captured = {one.id: conversation(one.report, max_body_bytes=LIMIT) for one in recordings.load()}
    different = 0
    with audit.open_read_only(database) as reader:
        for row in reader.every():
            if row["request_body"] or row["response_body"]:
                talk = conversation(stored_call(row), max_body_bytes=LIMIT)
                before = captured[row["request_id"]]
                different += (talk.asked, talk.answered) != (before.asked, before.answered)
    # A file of JSON lines with one line: without its content type, which isn't stored, it is JSON.
    assert different <= 1


# ── Shapes ──────────────────────────────────────────────────────────────────────────────


def test_a_chat_has_its_messages_and_its_answer_in_order() -> None:
    ask = {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi", "name": "ann"}]}
    talk = said("/v1/chat/completions", ask, {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]})
    assert talk.asked == (Turn(role="system", text="Be kind."), Turn(role="user", text="Hi", name="ann"))
    assert talk.answered == (Turn(role="assistant", text="Hello"),)


def test_a_stream_is_put_together() -> None:
    pieces: list[dict[str, Any]] = [
        {"reasoning_content": "Hm"},
        {"content": "Hel"},
        {"content": "lo"},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"at":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "sky"}'}}]},
    ]
    events = [{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]} for delta in pieces]
    (turn,) = said("/v1/chat/completions", {"messages": []}, [*events, "[DONE]"]).answered
    look = ToolCall(name="look", arguments='{"at": "sky"}')
    assert turn == Turn(role="assistant", text="Hello", reasoning="Hm", tool_calls=(look,))


def test_every_choice_is_an_answer() -> None:
    choices = [{"index": n, "message": {"content": text}} for n, text in enumerate(("one", "two"))]
    assert [turn.text for turn in said("/v1/chat/completions", {}, {"choices": choices}).answered] == ["one", "two"]


def test_images_are_named_not_spelt_out() -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    talk = said("/v1/chat/completions", {"messages": [{"role": "user", "content": parts}]}, {"choices": []})
    assert talk.asked[0].images == ("640 × 480 pixels, image/png, 624 bytes",)  # noqa: RUF001
    assert talk.files == ()
    linked = [{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]
    talk = said("/v1/chat/completions", {"messages": [{"role": "user", "content": linked}]})
    assert talk.asked[0].images == ("https://example.com/cat.png",)


def test_what_else_is_not_text_is_named_with_its_place() -> None:
    part = {"type": "input_audio", "input_audio": {"data": AUDIO, "format": "wav"}}
    reply = [{"choices": [{"delta": {"audio": {"data": AUDIO[:400]}}}]} for _ in range(3)]
    talk = said("/v1/chat/completions", {"messages": [{"role": "user", "content": [part]}]}, [*reply, "[DONE]"])
    assert talk.files == (
        "messages.content.input_audio.data: base64, 2,048 bytes",
        "choices.delta.audio.data: base64, 900 bytes, in 3 pieces",
    )


def test_embeddings_show_the_texts_and_count_the_numbers() -> None:
    vectors = {"data": [{"embedding": [0.5] * 1536}], "model": "e"}
    talk = said("/v1/embeddings", {"input": ["first", "second"]}, vectors)
    assert [turn.text for turn in talk.asked] == ["first", "second"]
    assert json.loads(talk.answered[0].text)["data"] == [{"embedding": "<1,536 numbers>"}]


def test_a_message_that_has_no_words_is_shown_as_it_stands() -> None:
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": [{"text": "I thought."}], "encrypted_content": "c2VjcmV0"},
    ]
    talk = said("/v1/responses", {"instructions": "Be kind.", "input": items}, {"object": "response", "output": []})
    assert [turn.role for turn in talk.asked] == ["system", "user", "reasoning"]
    assert json.loads(talk.asked[2].text) == {**items[1], "encrypted_content": "<sealed>"}


def test_an_unknown_api_is_shown_as_it_stands() -> None:
    talk = said("/v9/riddles", {"riddle": "What?"}, {"answer": 42})
    assert talk.api == "unknown"
    assert [json.loads(turn.text) for turn in (*talk.asked, *talk.answered)] == [{"riddle": "What?"}, {"answer": 42}]
    assert any(note.startswith("unknown_api") for note in talk.notes)
    (turn,) = said("/v9/riddles", None, "<html>Bad gateway</html>").answered
    assert turn.text == "<html>Bad gateway</html>"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"error": {"message": "Slow down", "type": "rate_limit"}}, "Slow down"),
        ({"error": "model not found"}, "model not found"),
        ({"detail": "Not allowed"}, "Not allowed"),
        ({"message": "The security token is invalid"}, "The security token is invalid"),
        ([{"error": {"code": 404, "message": "No such model", "status": "NOT_FOUND"}}], "No such model"),
        ("<html>Bad gateway</html>", "http_502: <html>Bad gateway</html>"),
        (None, "http_502"),
    ],
)
def test_an_error_is_told_in_the_replys_words(reply: Any, words: str) -> None:
    body = json.dumps(reply) if isinstance(reply, list) else reply
    talk = said("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, body, status=502)
    assert (talk.errors, talk.answered) == ((words,), ())


def test_an_error_on_the_way_leaves_what_had_arrived() -> None:
    lines = [{"message": {"content": "Hel"}, "done": False}, {"error": "out of memory"}]
    talk = said("/api/chat", {"model": "m", "messages": []}, ndjson(lines), provider="ollama")
    assert [turn.text for turn in talk.answered] == ["Hel"]
    assert talk.errors == ("out of memory",)


def test_a_cut_reply_says_who_cut_it() -> None:
    begun = [{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}]
    talk = said("/v1/chat/completions", {"messages": []}, begun, aborted="client", request_truncated=True)
    assert talk.notes[:2] == (
        "The client left before the reply was whole.",
        "Only the beginning of the request was captured.",
    )


def test_whatever_was_captured_can_be_shown() -> None:
    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from(["/v1/chat/completions", "/v1/messages", "/v1/responses", "/x", "/api/chat", "/v1/embeddings"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["messages", "input", "content", "role", "type", "error", "choices", "delta"])
                    | st.text(max_size=3),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        ),
        st.integers(200, 599),
    )
    def shown(path: str, value: Any, status: int) -> None:
        assert isinstance(said(path, json.dumps(value), json.dumps(value), status=status), Conversation)

    shown()


def test_nesting_has_no_end_that_hurts() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert said("/v9/riddles", {"riddle": deep}).asked
