"""What a reply's tokens are made of: texts to count, and the frame around them."""

from __future__ import annotations

from llmtoken.count.families import Family
from llmtoken.count.prompt import Parts, call_texts
from llmtoken.inference import Completion


def parts(completion: Completion, family: Family) -> Parts:
    """Take a reply apart, its reasoning left out; the plain text of a completion has no frame."""
    texts = [text for text in completion.texts if text]
    tokens = len(texts) * family.text + len(completion.tool_calls) * family.call
    return Parts([*texts, *call_texts(completion.tool_calls)], tokens)


def reasoning(completion: Completion, family: Family) -> Parts:
    """The visible reasoning alone; most providers show a summary of it or nothing."""
    if not completion.reasoning:
        return Parts([], 0)
    return Parts([completion.reasoning], family.reasoning)
