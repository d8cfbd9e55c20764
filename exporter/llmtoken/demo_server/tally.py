"""The demo server's own books: what it used, told at `/demo/tally`, to check llmtoken against."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One answered request. `id` is the reply's own; output counts what was sent, also when the client left."""

    id: str | None
    path: str
    model: str
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    usage_told: bool = True
    """Whether the reply carried its usage."""


@dataclass(slots=True)
class Tally:
    """All requests' sums and the last of them one by one."""

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, entry: Entry) -> None:
        """Book a request that was answered."""
        self.requests += 1
        self.input_tokens += entry.input_tokens
        self.output_tokens += entry.output_tokens
        self.entries.append(entry)

    def add_error(self) -> None:
        """Book a request that was refused: it used nothing."""
        self.requests += 1
        self.errors += 1

    def as_json(self) -> dict[str, Any]:
        """The books as JSON."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "entries": [asdict(entry) for entry in self.entries],
        }
