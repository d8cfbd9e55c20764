"""Tools are rendered as OpenAI's models read them."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.count.typescript import DEEPEST, render
from llmtoken.inference import Tool


def properties(schema: Any) -> str:
    """What a tool whose only parameter has this schema shows between its braces."""
    tool = Tool(name="f", parameters={"type": "object", "properties": {"p": schema}, "required": ["p"]})
    return render([tool]).partition("{\n\n")[2].partition("{\n")[2].rpartition("\n}) => any")[0]


def test_a_tool_is_a_type_in_a_namespace() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        },
        "required": ["location"],
    }
    assert (
        render([Tool(name="get_weather", description="Get the weather.", parameters=parameters), Tool(name="stop")])
        == """namespace functions {

// Get the weather.
type get_weather = (_: {
// The city and state
location: string,
unit?: "celsius" | "fahrenheit", // default: "celsius"
}) => any;

type stop = () => any;

} // namespace functions"""
    )


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "integer"}, "p: number,"),
        ({"type": "boolean"}, "p: boolean,"),
        ({"type": ["string", "null"]}, "p: string | null,"),
        ({"type": ["integer", "null"]}, "p: number | null,"),
        ({"type": "array", "items": {"type": "integer"}}, "p: number[],"),
        ({"type": "array"}, "p: any[],"),
        ({"type": "object"}, "p: object,"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "p: string | null,"),
        ({"oneOf": [{"const": "a"}, {"const": 1}]}, 'p: "a" | 1,'),
        ({}, "p: any,"),
        ("nonsense", "p: any,"),
        ({"type": 6}, "p: 6,"),
        ({"title": "Query", "type": "string"}, "// Query\n//\np: string,"),
        (
            {"type": "object", "properties": {"q": {"type": "string", "description": "Said"}}},
            "p: {\n    // Said\n    q?: string,\n},",
        ),
    ],
)
def test_a_schema_is_a_type(schema: Any, shown: str) -> None:
    assert properties(schema) == shown


def test_endless_nesting_ends() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(500):
        schema = {"type": "array", "items": {"type": "object", "properties": {"p": schema}}}
    assert "any" in properties(schema)
    assert len(properties(schema)) < 1000 * DEEPEST
