"""Who served the call: `gen_ai.provider.name`, by the first thing that says it.

In order: the middleware's configuration, the server's host, the path, the response's
headers, the reply's own fields, Ollama's port, a private address of the server, the API's own provider.
The semantic conventions' values where they have one, else the service's own name in lower
case, `self_hosted` for a server of one's own that says nothing. Must not know wire APIs.
Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from llmtoken.exchange import Exchange
from llmtoken.extract._fields import text

_HOSTS = (
    (r"\.openai\.azure\.com|\.cognitiveservices\.azure\.com", "azure.ai.openai"),
    (r"\.services\.ai\.azure\.com|\.models\.ai\.azure\.com|\.inference\.ai\.azure\.com", "azure.ai.inference"),
    (r"(?:^|\.)openai\.com|^chatgpt\.com", "openai"),
    (r"(?:^|\.)anthropic\.com", "anthropic"),
    (r"^bedrock[^/]*\.(?:amazonaws\.com(?:\.cn)?|api\.aws)", "aws.bedrock"),
    (r"^generativelanguage\.googleapis\.com", "gcp.gemini"),
    (r"aiplatform\.googleapis\.com", "gcp.vertex_ai"),
    (r"(?:^|\.)mistral\.ai", "mistral_ai"),
    (r"(?:^|\.)x\.ai", "x_ai"),
    (r"(?:^|\.)cohere\.(?:com|ai)", "cohere"),
    (r"(?:^|\.)deepseek\.com", "deepseek"),
    (r"(?:^|\.)groq\.com", "groq"),
    (r"(?:^|\.)perplexity\.ai", "perplexity"),
    (r"(?:^|\.)ml\.cloud\.ibm\.com", "ibm.watsonx.ai"),
    (r"(?:^|\.)openrouter\.ai", "openrouter"),
    (r"(?:^|\.)together\.(?:xyz|ai)", "together"),
    (r"(?:^|\.)ollama\.com", "ollama"),
    (r"(?:^|\.)huggingface\.(?:co|cloud)", "hugging_face"),
    (r"(?:^|\.)replicate\.com", "replicate"),
    (r"(?:^|\.)voyageai\.com", "voyage_ai"),
    (r"(?:^|\.)cerebras\.ai", "cerebras"),
    (r"(?:^|\.)fireworks\.ai", "fireworks_ai"),
    (r"(?:^|\.)deepinfra\.com", "deepinfra"),
    (r"(?:^|\.)moonshot\.(?:ai|cn)", "moonshot_ai"),
    (r"(?:^|\.)z\.ai|(?:^|\.)bigmodel\.cn", "z_ai"),
    (r"(?:^|\.)dashscope[a-z-]*\.aliyuncs\.com", "alibaba_cloud"),
    (r"\.azuredatabricks\.net|\.cloud\.databricks\.com|\.gcp\.databricks\.com", "databricks"),
    (r"\.snowflakecomputing\.(?:com|cn)", "snowflake"),
    (r"(?:^|\.)api\.cloudflare\.com", "cloudflare"),
    (r"(?:^|\.)writer\.com", "writer"),
    (r"(?:^|\.)crusoecloud\.com", "crusoe"),
    (r"(?:^|\.)portkey\.ai", "portkey"),
    (r"(?:^|\.)api\.nvidia\.com", "nvidia"),
    (r"(?:^|\.)sambanova\.ai", "sambanova"),
    (r"(?:^|\.)ai21\.com", "ai21"),
    (r"(?:^|\.)models\.github\.ai", "github"),
    (r"(?:^|\.)githubcopilot\.com", "github_copilot"),
    (r"^ai-gateway\.vercel\.sh|(?:^|\.)v0\.dev", "vercel"),
    (r"^gateway\.ai\.cloudflare\.com", "cloudflare"),
    (r"^gateway\.pydantic\.dev", "pydantic"),
    (r"(?:^|\.)inference\.heroku\.com", "heroku"),
    (r"(?:^|\.)aleph-alpha\.com", "aleph_alpha"),
    (r"(?:^|\.)avian\.io", "avian"),
    (r"(?:^|\.)baseten\.co", "baseten"),
    (r"(?:^|\.)bfl\.(?:ai|ml)", "black_forest_labs"),
    (r"(?:^|\.)charm\.land", "charm"),
    (r"(?:^|\.)deepgram\.com", "deepgram"),
    (r"^inference\.do-ai\.run", "digitalocean"),
    (r"(?:^|\.)doubleword\.ai", "doubleword"),
    (r"(?:^|\.)elevenlabs\.io", "elevenlabs"),
    (r"(?:^|\.)friendli\.ai", "friendli"),
    (r"(?:^|\.)hyperbolic\.xyz", "hyperbolic"),
    (r"(?:^|\.)inceptionlabs\.ai", "inception"),
    (r"(?:^|\.)jina\.ai", "jina_ai"),
    (r"(?:^|\.)lambda(?:labs\.com|\.ai)", "lambda"),
    (r"^api\.llama\.com", "meta"),
    (r"(?:^|\.)minimaxi?\.(?:io|com|chat)", "minimax"),
    (r"(?:^|\.)nebius\.(?:com|ai)", "nebius"),
    (r"(?:^|\.)novita\.ai", "novita"),
    (r"(?:^|\.)ai\.cloud\.ovh\.(?:net|us)", "ovhcloud"),
    (r"(?:^|\.)pollinations\.ai", "pollinations"),
    (r"(?:^|\.)replicate\.net", "replicate"),
    (r"(?:^|\.)requesty\.ai", "requesty"),
    (r"(?:^|\.)scaleway\.(?:ai|com)", "scaleway"),
    (r"(?:^|\.)siliconflow\.(?:cn|com)", "siliconflow"),
    (r"(?:^|\.)stepfun\.(?:com|ai)", "stepfun"),
    (r"(?:^|\.)hunyuan\.cloud\.tencent\.com|^hunyuan\.tencentcloudapi\.com", "tencent_cloud"),
    (r"(?:^|\.)upstage\.ai", "upstage"),
    (r"(?:^|\.)venice\.ai", "venice"),
    (r"^ark\.[a-z0-9-]+\.(?:volces|bytepluses)\.com", "volcengine"),
    (r"^qianfan\.baidubce\.com|^aip\.baidubce\.com", "baidu_cloud"),
    (r"(?:^|\.)lingyiwanwu\.com", "01_ai"),
    (r"(?:^|\.)xiaomimimo\.com", "xiaomi"),
    (r"(?:^|\.)api\.cloud\.yandex\.net", "yandex_cloud"),
    (r"(?:^|\.)generativeai\.[a-z0-9-]+\.oci\.oraclecloud\.com", "oracle_cloud"),
    (r"\.ml\.hana\.ondemand\.com", "sap_ai_core"),
    (r"^runtime(?:-fips)?\.sagemaker\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?", "aws.sagemaker"),
    (r"(?:^|\.)xf-yun\.com", "iflytek"),
    (r"(?:^|\.)predibase\.com", "predibase"),
    (r"(?:^|\.)mixedbread\.(?:com|ai)", "mixedbread"),
    (r"(?:^|\.)nomic\.ai", "nomic"),
    (r"(?:^|\.)stability\.ai", "stability_ai"),
    (r"(?:^|\.)gigachat\.devices\.sberbank\.ru", "gigachat"),
    (r"(?:^|\.)baichuan-ai\.com", "baichuan"),
    (r"(?:^|\.)sensenova\.cn", "sensenova"),
    (r"(?:^|\.)reka\.ai", "reka"),
    (r"(?:^|\.)poe\.com", "poe"),
    (r"(?:^|\.)inference\.wandb\.ai", "wandb"),
    (r"(?:^|\.)featherless\.ai", "featherless"),
    (r"(?:^|\.)modelscope\.cn", "modelscope"),
    (r"(?:^|\.)aimlapi\.com", "aimlapi"),
    (r"(?:^|\.)clarifai\.com", "clarifai"),
    (r"(?:^|\.)chutes\.ai", "chutes"),
    (r"(?:^|\.)nscale\.com", "nscale"),
    (r"(?:^|\.)parasail\.io", "parasail"),
    (r"(?:^|\.)sarvam\.ai", "sarvam"),
)
"""The end of a public host name, and whose it is."""

_PATHS = (
    (r"/openai/deployments/", "azure.ai.openai"),
    (r"/publishers/[^/]+/models/|/projects/[^/]+/locations/", "gcp.vertex_ai"),
    (r"/v1(?:alpha|beta)\w*/(?:models/[^/]+:|interactions|openai/)", "gcp.gemini"),
    (r"/model/[^/]+/(?:invoke|converse|count-tokens)", "aws.bedrock"),
    (r"/ml/v1/(?:text|deployments)/", "ibm.watsonx.ai"),
    (r"/serving-endpoints/", "databricks"),
    (r"/ai/run/@|/workers-ai/", "cloudflare"),
    (r"/api/v2/cortex/", "snowflake"),
    (r"/foundationModels/v1/", "yandex_cloud"),
    (r"/\d{8}/actions/(?:chat|generateText|embedText|rerankText)/?$", "oracle_cloud"),
    (r"/inference/deployments/", "sap_ai_core"),
    (r"/agents/[^/]+/agentAliases/|/retrieveAndGenerate|/knowledgebases/[^/]+/retrieve/?$", "aws.bedrock"),
    (r"/compatible-mode/v1/|/api/v1/services/(?:aigc|embeddings|rerank)/", "alibaba_cloud"),
    (r"/api/(?:generate|chat|embed|embeddings)/?$", "ollama"),
)

_HEADERS = (
    ("x-litellm-call-id", "litellm"),
    ("x-groq-region", "groq"),
    ("apim-request-id", "azure.ai.openai"),
    ("x-ms-region", "azure.ai.openai"),
    ("x-amzn-bedrock-input-token-count", "aws.bedrock"),
    ("x-amzn-bedrock-invocation-latency", "aws.bedrock"),
    ("openai-organization", "openai"),
    ("openai-processing-ms", "openai"),
    ("openai-version", "openai"),
    ("anthropic-organization-id", "anthropic"),
    ("anthropic-workspace-id", "anthropic"),
    ("num_tokens", "cohere"),
    ("x-compute-time", "hugging_face"),
)
"""A header that only this provider sends; a gateway comes first, since it passes on what its upstream sent."""

_FIELDS = (
    ("x_groq", "groq"),
    ("timings", "llama_cpp"),
    ("prompt_logprobs", "vllm"),
    ("kv_transfer_params", "vllm"),
)
"""A field that only this server's replies have."""

_SERVERS = (("llama.cpp", "llama_cpp"), ("vllm", "vllm"), ("ollama", "ollama"), ("xinference", "xinference"))
"""What self-hosted servers call themselves in `server`, in their fingerprint or as the owner of a model."""

OLLAMA_PORT = 11434

_LLAMA_CPP_BUILD = re.compile(r"b\d{3,}-[0-9a-f]{6,}")
"""llama.cpp's fingerprint is its build, such as b5000-abcdef0."""

_hosts = [(re.compile(f"(?:{pattern})$"), name) for pattern, name in _HOSTS]
_paths = [(re.compile(pattern), name) for pattern, name in _PATHS]


def provider_name(exchange: Exchange, reply: Mapping[str, Any], default: str | None = None) -> str | None:
    """The provider, or `default` when nothing says who it is. `reply` is the reply's (or its first event's) object.

    Only the upstream's address tells a server of one's own: the host is often the proxy's.
    """
    return evidence(exchange, reply, default)[0]


def evidence(exchange: Exchange, reply: Mapping[str, Any], default: str | None = None) -> tuple[str | None, str]:  # noqa: PLR0911 - an order of belief
    """As `provider_name`, with what says so in words."""
    if exchange.provider:
        return exchange.provider, "the middleware's configuration"
    if name := _by_host(exchange.upstream, exchange.path):
        return name, "the upstream's address"
    if name := _by_host(exchange.host, exchange.path):
        return name, "the host that was asked for"
    if name := _by_path(exchange.path):
        return name, "the path"
    if name := _by_headers(exchange.response_headers):
        return name, "the response's headers"
    if name := _by_fields(reply):
        return name, "fields of the reply"
    if _split(exchange.upstream or exchange.host or "")[1] == OLLAMA_PORT:
        return "ollama", "the port, which is Ollama's"
    if exchange.upstream and _is_private(exchange.upstream):
        return "self_hosted", "the upstream's address, which is of this network"
    return default, "the API, which only this provider has" if default else "nothing says who it is"


@lru_cache(maxsize=1024)
def server(upstream: str | None, host: str | None) -> tuple[str | None, int | None]:
    """Address and port of the server: the one the proxy chose, else the host that was asked for."""
    address, port = _split(upstream or host or "")
    return address or None, port


def _split(host: str) -> tuple[str, int | None]:
    """`host`, `host:port` or `[v6]:port`, apart."""
    if host.startswith("["):
        address, _, rest = host[1:].partition("]")
        digits = rest.removeprefix(":")
    elif host.count(":") == 1:
        address, _, digits = host.partition(":")
    else:
        address, digits = host, ""
    valid = digits.isascii() and digits.isdigit() and len(digits) <= len("65535") and 0 < int(digits) <= 65535  # noqa: PLR2004
    return address, int(digits) if valid else None


def _by_host(host: str | None, path: str) -> str | None:
    name = _owner(host) if host else None
    # One Azure resource serves OpenAI's models and others', under different paths.
    return "azure.ai.openai" if name == "azure.ai.inference" and path.startswith("/openai/") else name


@lru_cache(maxsize=1024)
def _owner(host: str) -> str | None:
    address = _split(host)[0].lower().rstrip(".")
    return next((name for pattern, name in _hosts if pattern.search(address)), None)


@lru_cache(maxsize=1024)
def _is_private(server: str) -> bool:
    """Whether an address is of this network: private, loopback, or a name without a domain."""
    address = _split(server)[0]
    try:
        return ip_address(address).is_private
    except ValueError:
        return "." not in address or address.endswith((".local", ".internal", ".svc"))


@lru_cache(maxsize=1024)
def _by_path(path: str) -> str | None:
    return next((name for pattern, name in _paths if pattern.search(path)), None)


def _by_headers(headers: Mapping[str, str]) -> str | None:
    for header, name in _HEADERS:
        if header in headers:
            return name
    return _by_own_name(headers.get("server"))


def _by_fields(reply: Mapping[str, Any]) -> str | None:
    for field, name in _FIELDS:
        if field in reply:
            return name
    if "choices" in reply and text(reply.get("provider")):
        return "openrouter"
    fingerprint = text(reply.get("system_fingerprint"))
    if fingerprint and _LLAMA_CPP_BUILD.fullmatch(fingerprint):
        return "llama_cpp"
    return _by_own_name(fingerprint) or _by_own_name(text(reply.get("owned_by")))


def _by_own_name(words: str | None) -> str | None:
    said = words.lower() if words else ""
    return next((name for word, name in _SERVERS if word in said), None)
