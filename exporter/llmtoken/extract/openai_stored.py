"""Replies that OpenAI keeps and gives again: responses that are retrieved or cancelled, stored chats.

They carry the usage that was said before, or, of a background response, for the first time.
Whoever counts must count by `response_id`; nothing is estimated here.
Source: https://platform.openai.com/docs/api-reference/responses/get and …/chat/get,
https://docs.x.ai/docs/guides/deferred-chat-completions,
https://docs.perplexity.ai/api-reference/async-chat-completions-api-request-get and https://docs.bigmodel.cn
"""

from __future__ import annotations

from dataclasses import replace

from llmtoken.extract import openai_chat, openai_responses

RESPONSE = replace(
    openai_responses.API,
    name="openai.responses.retrieve",
    path=r"/responses/(?!compact|input_tokens)[^/]+(?:/cancel)?",
    methods=frozenset({"GET", "POST"}),
    fetches=True,
    countable=False,
    looks_like=lambda *_: False,
)
CHAT = replace(
    openai_chat.API,
    name="openai.chat.retrieve",
    path=r"/(?:chat/(?:completions|deferred-completion)|async-result)/[^/]+",
    methods=frozenset({"GET", "POST"}),
    fetches=True,
    countable=False,
    looks_like=lambda *_: False,
)
COMPACT = replace(openai_responses.API, name="openai.responses.compact", path=r"/responses/compact")
