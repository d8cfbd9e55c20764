"""Audio: `POST …/audio/speech`, `…/transcriptions` and `…/translations`, and what others call the same.

Newer models say tokens, older ones seconds or nothing. The audio itself can't be counted.
Source: https://platform.openai.com/docs/api-reference/audio, https://docs.x.ai/docs/guides/voice,
https://developers.deepgram.com/reference and https://elevenlabs.io/docs/api-reference
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.exchange import Event
from llmtoken.extract import details
from llmtoken.extract._api import Api, Json, Reply
from llmtoken.extract._errors import error_in
from llmtoken.extract._fields import mapping, text
from llmtoken.extract._usage import openai_usage


def whole(body: Json, reply: Reply) -> None:
    """Read a transcription; Mistral's names its model."""
    reply.model = text(body.get("model"))
    reply.usage = openai_usage(body.get("usage"))


def streamed(events: tuple[Event, ...], reply: Reply) -> None:
    """Fold `transcript.text.delta` … `.done`, or `speech.audio.delta` … `.done`."""
    for event in events:
        data = mapping(event.data)
        kind = text(data.get("type")) or event.name or ""
        if kind.endswith(".delta"):
            reply.output_ends.append(event.end)
        elif kind.endswith(".done"):
            whole(data, reply)
            details.read(data, reply.details)
            reply.done = reply.usage_is_final = True
        elif kind == "error" or data.get("error"):
            reply.error_type = error_in(data) or "error"


SPEECH = Api(
    name="openai.audio.speech",
    operation_name="speech",
    path=r"/audio/speech|/v1/(?:tts|speak)|/v1/text-to-speech/[^/]+(?:/stream)?",
    countable=False,
    says_text=True,
    whole=whole,
    streamed=streamed,
)
TRANSCRIPTIONS = replace(
    SPEECH,
    name="openai.audio.transcriptions",
    operation_name="transcription",
    path=r"/audio/transcriptions|/v1/(?:stt|listen|speech-to-text)",
)
TRANSLATIONS = replace(
    SPEECH, name="openai.audio.translations", operation_name="translation", path=r"/audio/translations"
)
