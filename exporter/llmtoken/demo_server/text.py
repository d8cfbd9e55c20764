"""What the demo model server says: canned text, cut into real tokens.

The same prompt always gets the same reply. The token counts are as real as any
provider's: they are made by the encoding that the text is sent in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from llmtoken.count import encodings
from llmtoken.count.tokenizer import Tokenizer

CHAT = "demo-chat"
EMBEDDING = "demo-embedding"
MODELS = (CHAT, EMBEDDING)

_ENCODING: encodings.EncodingName = "o200k_base"
_LABEL = "This is llmtoken's demo model server: no model runs here, the text is canned."
_SENTENCES = (
    "Every word you read was counted on its way to you.",
    "Point llmtoken up at a real model server with --upstream and nothing else changes.",
    "The reply reached you chunk by chunk, just as the server wrote it.",
    "What it cost in tokens is on the metrics page by now.",
    "The whole exchange, this sentence included, is a row in the audit.",
    "Had this stream carried no usage, the collector would have counted it itself.",
)
_PER_MESSAGE = 3
"""Tokens around each message, and before the reply. Source: OpenAI's cookbook, "How to count tokens"."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as its tokens' texts, and what it and its prompt count."""

    pieces: tuple[str, ...]
    input_tokens: int
    cut: bool
    """Whether the client's limit ended it."""

    @property
    def text(self) -> str:
        """The whole reply."""
        return "".join(self.pieces)

    @property
    def output_tokens(self) -> int:
        """Tokens of the whole reply."""
        return len(self.pieces)


def reply(prompt: str, *, input_tokens: int, limit: int | None) -> Reply:
    """The reply to a prompt, of at most `limit` tokens."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
    chosen = [_SENTENCES[byte % len(_SENTENCES)] for byte in digest[1 : 2 + digest[0] % 4]]
    encoding = encodings.load(_ENCODING)
    tokens = encoding.encode_ordinary(" ".join([_LABEL, *chosen]))
    pieces = tuple(encoding.decode([token]) for token in tokens[:limit])
    return Reply(pieces, input_tokens, cut=len(pieces) < len(tokens))


def count_messages(messages: Iterable[tuple[str, str]]) -> int:
    """Input tokens of a conversation of `(role, text)`."""
    return _PER_MESSAGE + sum(_PER_MESSAGE + count(role) + count(text) for role, text in messages)


def count(text: str) -> int:
    """Tokens of a text, whatever is in it."""
    return Tokenizer(encodings.load(_ENCODING).encode_ordinary).count([text])


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector that only depends on the text: it means nothing."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(dimensions)
    values = [byte - 127.5 for byte in digest]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]
