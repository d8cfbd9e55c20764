"""A stored call as it is told: the row, where each number comes from, and what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from llmtoken.config import Settings
from llmtoken.conversation.build import conversation
from llmtoken.conversation.turn import Conversation
from llmtoken.count import Calibration
from llmtoken.explain import explain
from llmtoken.replay.recorded import stored_call


@dataclass(frozen=True, slots=True)
class Told:
    """Without `conversation` when the bodies weren't kept; a number without a source has nobody who says why."""

    call: dict[str, Any]
    sources: dict[str, str]
    conversation: Conversation | None


def tell(row: Mapping[str, Any], settings: Settings, calibration: Calibration, *, bodies: bool = False) -> Told:
    """Read a row's bodies once more; `row` is what `Reader.call` gives with details and bodies, kept with `bodies`."""
    texts = ("request_body", "response_body")
    call = {name: value for name, value in row.items() if bodies or name not in texts}
    if all(row[name] is None for name in texts):
        return Told(call, {}, None)
    report = stored_call(row)
    explanation = explain(report, settings, calibration)
    now = msgspec.to_builtins(explanation.call)
    sources = {
        name: because if now[name] == row[name] else f"as it was stored; read again it would be {now[name]}"
        for name, because in explanation.reasons().items()
        if row[name] is not None
    }
    if row["cost"] is not None:
        sources["cost"] = f"US dollars, by {row['price_version']}"
    return Told(call, sources, conversation(report, max_body_bytes=settings.max_body_bytes))
