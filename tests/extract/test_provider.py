"""Who served the call."""

from __future__ import annotations

from typing import Any

import pytest

from llmtoken.exchange import Exchange
from llmtoken.extract.provider import provider_name, server


def name(reply: dict[str, Any] | None = None, **fields: Any) -> str | None:
    return provider_name(Exchange(**fields), reply or {})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com:443", "openai"),
        ("team.openai.azure.com", "azure.ai.openai"),
        ("team.services.ai.azure.com", "azure.ai.inference"),
        ("api.anthropic.com", "anthropic"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("API.MISTRAL.AI", "mistral_ai"),
        ("api.x.ai", "x_ai"),
        ("us-south.ml.cloud.ibm.com", "ibm.watsonx.ai"),
        ("openrouter.ai", "openrouter"),
        ("chatgpt.com", "openai"),
        ("ai-gateway.vercel.sh", "vercel"),
        ("oai.endpoints.kepler.ai.cloud.ovh.net", "ovhcloud"),
        ("api.minimaxi.com", "minimax"),
        ("ark.cn-beijing.volces.com", "volcengine"),
        ("llm.api.cloud.yandex.net", "yandex_cloud"),
        ("inference.generativeai.us-chicago-1.oci.oraclecloud.com", "oracle_cloud"),
        ("api.ai.prod.eu-central-1.aws.ml.hana.ondemand.com", "sap_ai_core"),
        ("runtime.sagemaker.us-east-1.amazonaws.com", "aws.sagemaker"),
        ("notopenai.com", None),
        ("api.openai.com.evil.example", None),
    ],
)
def test_a_public_host_says_it(host: str, expected: str | None) -> None:
    assert name(host=host) == expected
    assert name(upstream=host) == expected


def test_one_azure_resource_serves_openais_models_and_others() -> None:
    host = "team.services.ai.azure.com"
    assert name(host=host, path="/openai/v1/responses") == "azure.ai.openai"
    assert name(host=host, path="/models/chat/completions") == "azure.ai.inference"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/openai/deployments/d/chat/completions", "azure.ai.openai"),
        ("/v1beta/models/gemini:generateContent", "gcp.gemini"),
        ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", "gcp.vertex_ai"),
        ("/model/m/converse", "aws.bedrock"),
        ("/api/chat", "ollama"),
        ("/20231130/actions/chat", "oracle_cloud"),
        ("/foundationModels/v1/completion", "yandex_cloud"),
        ("/v2/inference/deployments/d/chat/completions", "sap_ai_core"),
        ("/agents/A/agentAliases/B/sessions/s/text", "aws.bedrock"),
        ("/v1/chat/completions", None),
    ],
)
def test_a_path_that_only_one_provider_has_says_it(path: str, expected: str | None) -> None:
    assert name(path=path, host="proxy.internal") == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"openai-organization": "o", "server": "cloudflare"}, "openai"),
        ({"x-litellm-call-id": "c", "openai-organization": "o"}, "litellm"),
        ({"x-ms-region": "West Europe", "openai-processing-ms": "1"}, "azure.ai.openai"),
        ({"anthropic-organization-id": "o"}, "anthropic"),
        ({"server": "llama.cpp"}, "llama_cpp"),
        ({"server": "uvicorn"}, None),
    ],
)
def test_headers_say_it(headers: dict[str, str], expected: str | None) -> None:
    assert name(response_headers=headers) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"x_groq": {}}, "groq"),
        ({"choices": [], "provider": "Anthropic"}, "openrouter"),
        ({"system_fingerprint": "fp_ollama"}, "ollama"),
        ({"system_fingerprint": "b5000-abcdef01"}, "llama_cpp"),
        ({"prompt_logprobs": None}, "vllm"),
        ({"system_fingerprint": "fp_44709d6fcb"}, None),
    ],
)
def test_the_reply_says_it(reply: dict[str, Any], expected: str | None) -> None:
    assert name(reply) == expected


@pytest.mark.parametrize("upstream", ["10.0.0.7:8000", "127.0.0.1:8000", "[::1]:8000", "vllm:8000", "gpu.internal"])
def test_a_server_of_ones_own_that_says_nothing_is_self_hosted(upstream: str) -> None:
    assert name(upstream=upstream, host="llm.example") == "self_hosted"
    assert name({"system_fingerprint": "fp_ollama"}, upstream=upstream) == "ollama"


def test_a_server_at_ollamas_port_that_says_nothing_is_ollama() -> None:
    assert name(host="localhost:11434", path="/v1/embeddings") == "ollama"
    assert name(upstream="10.0.0.2:11434", path="/v1/embeddings") == "ollama"
    assert name(upstream="10.0.0.2:11434", response_headers={"server": "vllm"}) == "vllm"


def test_a_public_server_that_says_nothing_is_whose_api_it_is() -> None:
    exchange = Exchange(upstream="160.79.104.10:443", host="localhost:8088")
    assert provider_name(exchange, {}, "anthropic") == "anthropic"
    assert provider_name(exchange, {}) is None


def test_the_configuration_wins_over_everything() -> None:
    assert name({"x_groq": {}}, provider="ours", host="api.openai.com") == "ours"


@pytest.mark.parametrize(
    ("upstream", "host", "expected"),
    [
        ("10.0.0.7:8000", "proxy:8088", ("10.0.0.7", 8000)),
        (None, "api.example", ("api.example", None)),
        ("[::1]:11434", None, ("::1", 11434)),
        ("::1", None, ("::1", None)),
        ("a:99999", None, ("a", None)),
        (None, None, (None, None)),
    ],
)
def test_the_server_is_the_one_the_proxy_chose_else_the_host(
    upstream: str | None, host: str | None, expected: tuple[str | None, int | None]
) -> None:
    assert server(upstream, host) == expected
