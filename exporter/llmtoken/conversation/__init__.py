"""What was said in one exchange, for people: messages, tool calls, the stream put together, errors.

    conversation(report, max_body_bytes=…) -> Conversation
    tell(row, settings, calibration) -> Told    # a stored call: that, and where its numbers come from

The words are those that counting collects (`Prompt`, `Completion`), so no API is read a second
time here. Where an API has none of them, or its readers find none, the body itself is shown,
with whatever isn't text named instead of spelt out. Must not know databases or how it is shown.
"""

from __future__ import annotations

from llmtoken.conversation.build import conversation
from llmtoken.conversation.told import Told, tell
from llmtoken.conversation.turn import Conversation, Turn

__all__ = ["Conversation", "Told", "Turn", "conversation", "tell"]
