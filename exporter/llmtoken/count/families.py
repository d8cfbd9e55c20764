"""How each family of models frames what it reads and writes, in tokens.

Owns the numbers that can't be computed from a text: how a vendor's own tokenizer compares
with the encoding we have, and what its chat template puts around messages, tools and tool
calls. Must not know how texts are counted.

The numbers are measured: fitted to recorded exchanges whose usage is known (DESIGN §10,
`bench/count.py` prints how well they do), rounded, and checked against the published
templates where there are any: OpenAI's harmony format, Anthropic's table of tool prompts,
the chat templates of the open models. A provider's hidden system prompts are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that share a tokenizer and a chat template. All numbers but `ratio` are tokens."""

    name: str
    models: str
    """A pattern found in `api provider/model`, in lower case."""
    ratio: float = 1.0
    """Tokens that this family makes of a text for which our encoding makes one."""

    start: int = 3
    """Around a conversation: what begins it, and what asks for the reply."""
    message: int = 4
    """Around each message, with its role."""
    result: int = 0
    """Around a tool's result, besides the message."""
    tools: int = 5
    """Around the offered tools; they need a message of their own where there is no system prompt."""
    tools_as: Literal["typescript", "json"] = "json"
    """What the schemas of the tools are turned into."""

    reads_schema: bool = False
    """Whether the schema that the reply must follow is part of the input."""

    text: int = 0
    """Around each text of the reply: its channel and its end."""
    reasoning: int = 0
    """Around the reasoning before a reply."""
    call: int = 8
    """Around a tool call, besides its name and arguments, read or written."""


FAMILIES = (
    # The system message of harmony names the date, the effort and the channels.
    Family(
        name="gpt-oss",
        models=r"gpt-oss",
        start=63,
        result=7,
        tools=22,
        tools_as="typescript",
        text=4,
        reasoning=6,
        call=11,
    ),
    Family(
        name="openai-reasoning",
        models=r"gpt-[5-9]|[/.]o\d",
        start=2,
        result=7,
        tools_as="typescript",
        reads_schema=True,
        text=4,
        reasoning=6,
        call=11,
    ),
    # Anthropic: "approximately 30 percent more tokens than on earlier models" from Opus 4.7 and the fives on.
    Family(
        name="claude-5",
        models=r"claude.*(?:opus-4[.-][7-9]|4[.-][7-9]-opus|(?:opus|sonnet|haiku|fable|mythos)-[5-9])",
        ratio=1.46,
        start=5,
        message=2,
        tools=440,
        text=3,
        call=45,
    ),
    Family(
        name="claude-4.5",
        models=r"claude.*4[.-][5-9](?!\d)",
        ratio=1.11,
        start=5,
        message=2,
        tools=495,
        text=3,
        call=45,
    ),
    Family(name="claude", models=r"claude|anthropic", ratio=1.13, start=5, message=2, tools=300, text=3, call=45),
    Family(name="gemma", models=r"gemma", ratio=1.15, start=5, message=5),
    Family(name="gemini", models=r"gemini| gcp\.", ratio=1.04, start=0, message=0, tools=0, call=4),
    Family(name="deepseek", models=r"deepseek", ratio=1.03, start=2, message=2, tools=220, call=33),
    Family(name="grok", models=r"grok| x_ai/", ratio=0.98, start=5, message=3, tools=130, call=12),
    Family(name="mistral-7b", models=r"mistral-tiny|mixtral|mistral-7b|open-mistral", ratio=1.24, start=1, message=2),
    Family(name="mistral", models=r"stral", ratio=1.06, start=1, message=2, tools=10, call=4),
    Family(name="llama-4", models=r"llama-?4", ratio=1.02, start=6, message=5, tools=600, text=1, call=22),
    Family(name="llama-3.1", models=r"llama-?3[.-][1-3]", ratio=1.02, start=30, message=5, tools=200, text=1, call=7),
    Family(name="llama", models=r"llama", ratio=1.02, start=5, message=5, text=1),
    Family(name="qwen", models=r"qwen|qwq", ratio=1.03, message=5, tools=120, text=1, call=14),
    Family(name="glm", models=r"glm", ratio=1.02, start=2, message=3, tools=100, text=3, reasoning=1, call=4),
    Family(name="kimi", models=r"kimi", tools_as="typescript", tools=15, call=13),
    # Cohere bills its preamble.
    Family(name="command-r", models=r"command-r(?!7)", ratio=1.04, start=196, tools=650, text=1, call=35),
    Family(
        name="command-a", models=r"command-[ar]|cohere\.chat [^/]*/$", ratio=1.05, start=490, tools=890, text=3, call=30
    ),
    Family(name="command", models=r"command(?!-text|-light)", ratio=1.08, start=58),
    Family(name="nova", models=r"nova-", start=0, message=0, tools=350, text=2, call=60),
    Family(name="sonar", models=r"sonar| perplexity/", start=0, message=0),
    Family(
        name="openai-responses",
        models=r"^openai\.responses .*gpt-[34]",
        result=3,
        tools=0,
        tools_as="typescript",
        reads_schema=True,
        text=1,
    ),
    Family(name="openai", models=r"", result=3, tools_as="typescript", reads_schema=True),
)
"""First match wins. Names that tell nothing, such as a deployment's, are read as OpenAI's models."""

_patterns = [(re.compile(family.models), family) for family in FAMILIES]


@lru_cache(maxsize=1024)
def family_of(api: str, provider: str | None, model: str | None) -> Family:
    """The family of a model; the provider's name helps where the model's tells nothing."""
    name = f"{api} {provider or ''}/{model or ''}".lower()
    return next(family for pattern, family in _patterns if pattern.search(name))
