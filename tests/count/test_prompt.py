"""A prompt is taken apart into texts and the frame that its family puts around them."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from llmtoken.count import prompt
from llmtoken.count.families import Family
from llmtoken.inference import Image, Message, Prompt, Tool, ToolCall

FAMILY = Family(name="test", models="", start=100, message=10, result=1, tools=1000, call=30)
USER = Message(role="user", text="hello")
SYSTEM = Message(role="system", text="be kind")
TOOL = Tool(name="look", description="Look around.", parameters={"type": "object"})
CALLS = Message(role="assistant", tool_calls=(ToolCall(name="look", arguments='{"at":1}'),))


def frame(*messages: Message, tools: tuple[Tool, ...] = ()) -> int:
    return prompt.parts(Prompt(messages=messages, tools=tools), FAMILY, None).tokens


def texts(asked: Prompt, family: Family = FAMILY) -> list[str]:
    return [text for text in prompt.parts(asked, family, None).texts if text]


def test_a_conversation_has_a_start_and_a_frame_around_each_message() -> None:
    assert frame(USER) == 110
    assert frame(SYSTEM, USER) == 120


def test_a_name_is_counted_and_costs_one_more() -> None:
    named = structs.replace(USER, name="Ada")
    assert frame(named) == 111
    assert texts(Prompt(messages=(named,))) == ["hello", "Ada"]


def test_tools_need_a_message_of_their_own_without_a_system_prompt() -> None:
    assert frame(USER, tools=(TOOL,)) == 100 + 10 + 1000 + 10
    assert frame(SYSTEM, USER, tools=(TOOL,)) == 100 + 20 + 1000


def test_a_tool_call_brings_its_own_frame_and_what_it_says() -> None:
    assert frame(CALLS) == 130
    assert frame(structs.replace(CALLS, text="well")) == 140
    assert texts(Prompt(messages=(CALLS,))) == ["look", '{"at":1}']


def test_a_tools_result_has_a_frame_of_its_own() -> None:
    assert frame(Message(role="tool", text="nothing here")) == 111


def test_tools_are_read_as_the_family_reads_them() -> None:
    asked = Prompt(messages=(USER,), tools=(TOOL,))
    assert texts(asked)[0] == '{"name": "look", "description": "Look around.", "parameters": {"type": "object"}}'
    assert texts(asked, replace(FAMILY, tools_as="typescript"))[0].startswith("namespace functions {")


def test_a_schema_is_counted_where_it_is_read() -> None:
    asked = Prompt(messages=(USER,), response_schema={"type": "object"})
    assert texts(asked) == ["hello"]
    assert texts(asked, replace(FAMILY, reads_schema=True)) == ['{"type":"object"}', "hello"]


def test_images_cost_tokens() -> None:
    pictured = structs.replace(USER, images=(Image(detail="low"), Image(detail="low")))
    assert frame(pictured) == 110 + 2 * 85


def test_plain_texts_and_ready_tokens_have_no_frame() -> None:
    plain = prompt.parts(Prompt(texts=("one", "two"), token_count=7), FAMILY, None)
    assert (plain.texts, plain.tokens) == (["one", "two"], 7)
