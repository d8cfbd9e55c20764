"""A model's name, or else its provider's, tells its family."""

from __future__ import annotations

import pytest

from llmtoken.count.families import FAMILIES, family_of


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("gpt-4o-2024-08-06", "openai", "openai"),
        ("gpt-3.5-turbo", "azure.ai.openai", "openai"),
        ("gpt-5-nano", "openai", "openai-reasoning"),
        ("o3-mini", "openai", "openai-reasoning"),
        ("openai/o4-mini", "openrouter", "openai-reasoning"),
        ("openai/gpt-oss-120b", "groq", "gpt-oss"),
        ("claude-3-5-sonnet-20240620", "anthropic", "claude"),
        ("claude-sonnet-4-20250514", "anthropic", "claude"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock", "claude-4.5"),
        ("anthropic/claude-4.5-haiku-20251001", "openrouter", "claude-4.5"),
        ("claude-opus-4-8", "anthropic", "claude-5"),
        ("claude-sonnet-5", "anthropic", "claude-5"),
        ("claude-opus-5", "gcp.vertex_ai", "claude-5"),
        ("gemini-2.5-pro", "gcp.gemini", "gemini"),
        ("mistral-tiny", "mistral_ai", "mistral-7b"),
        ("codestral-latest", "mistral_ai", "mistral"),
        ("meta-llama/Llama-3.2-1B-Instruct", "vllm", "llama-3.1"),
        ("meta-llama/llama-4-scout-17b-16e-instruct", "groq", "llama-4"),
        ("llama3", "ollama", "llama"),
        ("deepseek-v4-flash", "deepseek", "deepseek"),
        ("grok-4.3", "x_ai", "grok"),
        (None, "x_ai", "grok"),
        (None, "anthropic", "claude"),
        (None, "gcp.vertex_ai", "gemini"),
        ("our-own-deployment", "azure.ai.openai", "openai"),
        (None, None, "openai"),
    ],
)
def test_a_name_tells_the_family(model: str | None, provider: str | None, name: str) -> None:
    assert family_of("openai.chat", provider, model).name == name


def test_the_responses_api_frames_the_same_models_otherwise() -> None:
    assert family_of("openai.responses", "openai", "gpt-4.1").name == "openai-responses"
    assert family_of("openai.responses", "openai", "gpt-5").name == "openai-reasoning"


def test_families_have_names_of_their_own() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
