"""Offered tools as the TypeScript that OpenAI's models read instead of their JSON schemas.

    namespace functions {

    // Get the weather.
    type get_weather = (_: {
    // The city and state
    location: string,
    unit?: "celsius" | "fahrenheit", // default: "celsius"
    }) => any;

    } // namespace functions

The form was never documented for the hosted models; it follows the open harmony format
(https://github.com/openai/harmony) and the residuals of recorded requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmtoken.inference import Tool

DEEPEST = 16
"""Levels of nesting that are rendered: schemas come from clients and may go on without end."""

INDENT = "    "

_NAMES = {"integer": "number"}
"""JSON schema's types that TypeScript calls otherwise."""


def render(tools: Iterable[Tool]) -> str:
    """All tools as one namespace."""
    return "\n".join(("namespace functions {\n", *map(_function, tools), "} // namespace functions"))


def _function(tool: Tool) -> str:
    comment = f"// {tool.description}\n" if tool.description else ""
    if not _mapping(tool.parameters.get("properties")):
        return f"{comment}type {tool.name} = () => any;\n"
    title = tool.parameters.get("title")
    heading = f"// {title}\n" if title else ""
    return f"{comment}type {tool.name} = (_: {heading}{_type(tool.parameters)}) => any;\n"


def _type(schema: Any, indent: str = "", depth: int = 0) -> str:
    said = _mapping(schema) if depth < DEEPEST else {}
    kind = said.get("type", "any")
    if choices := _list(said.get("enum")):
        kind = " | ".join(map(_literal, choices))
    elif "const" in said:
        kind = _literal(said["const"])
    elif variants := _list(said.get("anyOf")) or _list(said.get("oneOf")):
        kind = " | ".join(_type(variant, indent, depth + 1) for variant in variants)
    elif kind == "array":
        kind = f"{_type(said.get('items'), indent, depth + 1)}[]"
    elif kind == "object" and _mapping(said.get("properties")):
        kind = "{\n" + "".join(_properties(said, indent, depth)) + indent + "}"
    return " | ".join(_NAMES.get(one, one) for one in map(str, _list(kind) or [kind]))


def _properties(schema: Mapping[str, Any], outer: str, depth: int) -> Iterator[str]:
    indent = outer + INDENT if depth else outer  # the namespace's own properties stand at the margin
    required = _list(schema.get("required"))
    for name, value in _mapping(schema.get("properties")).items():
        said = _mapping(value)
        if title := said.get("title"):
            yield f"{indent}// {title}\n{indent}//\n"
        if description := said.get("description"):
            yield f"{indent}// {description}\n"
        default = f" // default: {_literal(said['default'])}" if "default" in said else ""
        yield f"{indent}{name}{'' if name in required else '?'}: {_type(said, indent, depth + 1)},{default}\n"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
