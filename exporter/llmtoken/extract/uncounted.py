"""Operations that use no tokens of their own: counting, lists, files, moderation, pages, tasks.

They are named so that nobody takes their numbers for usage. An operation that reports usage
has a file of its own, but for judgements, which some servers say a usage of.
"""

from __future__ import annotations

import re

from llmtoken.exchange import Exchange
from llmtoken.extract import _google, bedrock_converse, cohere_rerank
from llmtoken.extract._api import Api, Json, Reply, last_of_path, model_asked_for
from llmtoken.extract._fields import text
from llmtoken.extract._usage import computed_usage, input_alone, openai_usage

ANY = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def _named(body: Json, reply: Reply) -> None:
    reply.id, reply.model = text(body.get("id")), text(body.get("model"))


def _judged(body: Json, reply: Reply) -> None:
    """OpenAI's moderations and Mistral's say no usage; servers that pool a model's output do."""
    _named(body, reply)
    usage = input_alone(openai_usage(body.get("usage")))
    reply.usage = usage if usage.known else computed_usage(reply.headers)


_STABILITY_MODEL = re.compile(r"/(?:stable-image/[^/]+|generation)/([^/]+)")


def _image_model(exchange: Exchange) -> str | None:
    found = _STABILITY_MODEL.search(exchange.path)
    return model_asked_for(exchange) or (found[1] if found else None)


COUNT_TOKENS = (
    Api(
        name="anthropic.count_tokens",
        operation_name="count_tokens",
        provider_name="anthropic",
        path=r"/messages/count_tokens|/anthropic/models/count-tokens:rawPredict",
        countable=False,
    ),
    Api(
        name="gemini.countTokens",
        operation_name="count_tokens",
        path=r":(?:countTokens|computeTokens)",
        countable=False,
        request_model=_google.model_in_path,
    ),
    Api(
        name="bedrock.count-tokens",
        operation_name="count_tokens",
        path=r"/model/.+/count-tokens",
        countable=False,
        request_model=bedrock_converse.model_in_path,
    ),
    Api(
        name="openai.responses.input_tokens",
        operation_name="count_tokens",
        path=r"/responses/input_tokens",
        countable=False,
    ),
    Api(
        name="tokenize",
        operation_name="count_tokens",
        path=r"/(?:tokenize|detokenize|tokenization|apply-template|tokenize-text|tokenizers/estimate-token-count|extra/tokencount)",
        countable=False,
    ),
)

PAGES = (
    Api(
        name="openai.moderations",
        operation_name="moderation",
        path=r"/(?:moderations|classifications)",
        countable=False,
        whole=_judged,
    ),
    Api(
        name="server.pooling",
        operation_name="pooling",
        path=r"/(?:classify|score|pooling|predict|similarity|embed_(?:all|sparse))",
        countable=False,
        whole=_judged,
        streamed=cohere_rerank.listed,
    ),
    Api(
        name="mistral.ocr",
        operation_name="ocr",
        provider_name="mistral_ai",
        path=r"/ocr",
        countable=False,
        whole=_named,
    ),
)

BATCHES = Api(
    name="anthropic.batches",
    operation_name="batch",
    provider_name="anthropic",
    path=r"/v1/messages/batches(?:/[^/]+(?:/cancel)?)?",
    methods=ANY,
    countable=False,
    whole=_named,
)

OTHER = (
    Api(
        name="openai.other",
        operation_name="manage",
        path=r"(?<!/messages)/(?:models|files|batches|conversations|vector_stores|assistants|threads|fine_tuning"
        r"|uploads|containers|evals|skills|videos?|organization|engines)(?:/[^/:]+){0,5}",
        methods=ANY,
        countable=False,
        says_text=True,
    ),
    Api(
        name="openai.other",
        operation_name="manage",
        # The names of tuned models and Google's verbs have colons.
        path=r"/(?:chat/completions(?:/[^/]+/messages)?|responses(?:/[^/]+/input_items)?|(?:models|files)/[^/]+)",
        methods=frozenset({"GET", "DELETE", "HEAD", "OPTIONS"}),
        countable=False,
        says_text=True,
    ),
    Api(
        name="openai.other",
        operation_name="manage",
        path=r"/(?:chat/completions|responses|interactions)/[^/]+",
        methods=frozenset({"DELETE"}),
        countable=False,
        says_text=True,
    ),
    Api(
        name="openai.other",
        operation_name="manage",
        path=r"/realtime/(?:sessions|client_secrets|transcription_sessions|calls)",
        methods=ANY,
        countable=False,
        says_text=True,
    ),
    Api(
        name="gemini.other",
        operation_name="manage",
        # A cached content says how many tokens it has; they are billed with the calls that read it.
        path=r"/(?:cachedContents|fileSearchStores|corpora)(?:/[^/:]+){0,5}"
        r"|:(?:predictLongRunning|fetchPredictOperation|uploadToFileSearchStore|importFile)",
        methods=ANY,
        countable=False,
        says_text=True,
        request_model=_google.model_in_path,
    ),
    Api(
        name="bedrock.other",
        operation_name="manage",
        provider_name="aws.bedrock",
        path=r"/async-invoke(?:/[^/]+)?|/guardrail/[^/]+/version/[^/]+/apply",
        methods=ANY,
        countable=False,
        says_text=True,
    ),
    Api(
        name="ollama.other",
        operation_name="manage",
        path=r"/api/(?:tags|show|ps|pull|push|create|copy|delete|version|blobs/[^/]+)",
        methods=ANY,
        countable=False,
        says_text=True,
        streams_as=frozenset(),
    ),
    Api(
        name="dashscope.other",
        operation_name="manage",
        # Pictures and films are made by tasks, which are billed by the piece.
        path=r"/services/aigc/[^/]+/(?:image|video)-synthesis|/api/v1/tasks/[^/]+",
        methods=ANY,
        countable=False,
        says_text=True,
    ),
    Api(
        name="watsonx.other",
        operation_name="manage",
        path=r"/ml/(?:v4/(?:instances|deployments)(?:/[^/]+)?|v[\w-]+/foundation_model_(?:specs|tasks))",
        methods=frozenset({"GET"}),
        countable=False,
        says_text=True,
    ),
    Api(
        name="openrouter.other",
        operation_name="manage",
        # What a generation cost is said once more here; the call itself said its tokens.
        path=r"/api/v1/(?:generation|credits|activity|providers|keys?|auth/keys?)(?:/[^/]+)?",
        methods=ANY,
        countable=False,
    ),
    Api(
        name="black_forest_labs.images",
        operation_name="image_generation",
        provider_name="black_forest_labs",
        path=r"/v1/flux-[\w.-]+",
        countable=False,
        request_model=last_of_path,
        whole=_named,
    ),
    Api(
        name="stability_ai.images",
        operation_name="image_generation",
        provider_name="stability_ai",
        path=r"/v2beta/stable-image/[^/]+/[^/]+(?:/[^/]+)?|/v1/generation/[^/]+/(?:text|image)-to-image(?:/[^/]+)?",
        countable=False,
        says_text=True,
        request_model=_image_model,
    ),
    Api(
        name="black_forest_labs.other",
        operation_name="manage",
        provider_name="black_forest_labs",
        path=r"/v1/get_result",
        methods=frozenset({"GET"}),
        countable=False,
        whole=_named,
    ),
    Api(
        name="server.other",
        operation_name="manage",
        path=r"/(?:health|ping|ready|metrics|version|props|slots|info)",
        methods=ANY,
        countable=False,
        says_text=True,
    ),
)
