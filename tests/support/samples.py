"""One small made-up exchange for every wire API and framing that is read, with its usage.

`total` is input and output together as llmtoken counts them; `None` where none is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmtoken.exchange import Exchange
from support.exchanges import exchange, ndjson


@dataclass(frozen=True)
class Sample:
    api: str
    path: str
    request: Any
    reply: Any
    total: int | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    by_shape: bool = True
    """Whether the bodies alone show which API it is."""

    def exchange(self, **fields: Any) -> Exchange:
        """The sample as decoded; `fields` override the report's."""
        made = {"method": self.method, "response_headers": self.headers, **fields}
        return exchange(made.pop("path", self.path), self.request, self.reply, **made)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
OPENAI = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
RESPONSES = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
GOOGLE = {"promptTokenCount": 7, "candidatesTokenCount": 2, "thoughtsTokenCount": 1, "totalTokenCount": 10}
GOOGLE_ASK = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
BEDROCK = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
BEDROCK_ASK = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
COHERE = {"billed_units": {"input_tokens": 1, "output_tokens": 1}, "tokens": {"input_tokens": 7, "output_tokens": 3}}
RESPONSE = {"id": "r", "object": "response", "model": "m", "status": "completed", "usage": RESPONSES, "output": []}
CANDIDATE = {"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}
GENERATED = {"candidates": [CANDIDATE], "usageMetadata": GOOGLE, "modelVersion": "g", "responseId": "r"}
OLLAMA = {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 3}
INTERACTION = {
    "id": "i",
    "object": "interaction",
    "model": "g",
    "status": "completed",
    "usage": {"total_input_tokens": 7, "total_output_tokens": 2, "total_thought_tokens": 1, "total_tokens": 10},
}
MESSAGE = {
    "id": "msg",
    "type": "message",
    "model": "c",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 7, "output_tokens": 3},
}
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 3}}
COUNTED_IN_HEADERS = {"x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "3"}
WATSONX = {
    "generated_text": "Hello",
    "input_token_count": 7,
    "generated_token_count": 3,
    "stop_reason": "eos_token",
}
AGENT_EVENT = {"content": {"parts": [{"text": "Hello"}], "role": "model"}, "invocationId": "e", "author": "a"}
OCI = {"promptTokens": 7, "completionTokens": 3, "totalTokens": 10}
OCI_ASK = {
    "servingMode": {"servingType": "ON_DEMAND", "modelId": "o"},
    "chatRequest": {
        "apiFormat": "GENERIC",
        "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "Hi"}]}],
    },
}
YANDEX_ASK = {"modelUri": "gpt://folder/yandexgpt/latest", "messages": [{"role": "user", "text": "Hi"}]}
YANDEX = {
    "alternatives": [{"message": {"role": "assistant", "text": "Hello"}, "status": "ALTERNATIVE_STATUS_FINAL"}],
    "usage": {"inputTextTokens": "7", "completionTokens": "3", "totalTokens": "10"},
    "modelVersion": "1",
}
RUN = {"id": "run", "object": "thread.run", "model": "m", "status": "completed", "usage": OPENAI}

SAMPLES = [
    Sample(
        "openai.chat",
        "/v1/chat/completions",
        CHAT,
        {
            "id": "c",
            "object": "chat.completion",
            "model": "m",
            "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
            "usage": OPENAI,
        },
        10,
    ),
    Sample(
        "openai.chat",
        "/v1/chat/completions",
        CHAT,
        [
            {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "Hel"}}]},
            {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]},
            {"id": "c", "model": "m", "choices": [], "usage": OPENAI},
            "[DONE]",
        ],
        10,
    ),
    Sample(
        "openai.completions",
        "/v1/completions",
        {"model": "m", "prompt": "Hi"},
        {"id": "c", "model": "m", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}], "usage": OPENAI},
        10,
    ),
    Sample(
        "openai.completions",
        "/v1/completions",
        {"model": "m", "prompt": "Hi"},
        [{"choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}], "usage": OPENAI}, "[DONE]"],
        10,
    ),
    Sample("openai.responses", "/v1/responses", {"model": "m", "input": "Hi"}, RESPONSE, 10),
    Sample(
        "openai.responses",
        "/v1/responses",
        {"model": "m", "input": "Hi"},
        [
            {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "usage": None}},
            {"type": "response.output_text.delta", "delta": "Hello"},
            {"type": "response.completed", "response": RESPONSE},
        ],
        10,
    ),
    Sample("openai.responses.retrieve", "/v1/responses/r", None, RESPONSE, 10, method="GET", by_shape=False),
    Sample(
        "openai.responses.compact",
        "/v1/responses/compact",
        {"model": "m", "input": "Hi"},
        {"id": "r", "object": "response.compaction", "usage": RESPONSES},
        10,
        by_shape=False,
    ),
    Sample(
        "openai.embeddings",
        "/v1/embeddings",
        {"model": "e", "input": "Hi"},
        {"data": [{"embedding": [0.1]}], "model": "e", "usage": {"prompt_tokens": 10, "total_tokens": 10}},
        10,
    ),
    Sample(
        "openai.images",
        "/v1/images/generations",
        {"model": "i", "prompt": "a cat"},
        {"data": [], "usage": RESPONSES},
        10,
        by_shape=False,
    ),
    Sample(
        "openai.audio.transcriptions",
        "/v1/audio/transcriptions",
        {"model": "t"},
        {"text": "Hello", "usage": {"type": "tokens", **RESPONSES}},
        10,
        by_shape=False,
    ),
    Sample(
        "openai.audio.speech",
        "/v1/audio/speech",
        {"model": "t", "input": "Hi"},
        [{"type": "speech.audio.delta", "audio": "AA=="}, {"type": "speech.audio.done", "usage": RESPONSES}],
        10,
        by_shape=False,
    ),
    Sample("openai.assistants.runs", "/v1/threads/t/runs/run", None, RUN, 10, method="GET"),
    Sample("anthropic.messages", "/v1/messages", {**CHAT, "max_tokens": 9, "anthropic_version": "v"}, MESSAGE, 10),
    Sample(
        "anthropic.messages",
        "/v1/messages",
        CHAT,
        [
            {"type": "message_start", "message": {**MESSAGE, "usage": {"input_tokens": 7, "output_tokens": 1}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ],
        10,
    ),
    Sample(
        "anthropic.complete",
        "/v1/complete",
        {"model": "c", "prompt": "Hi"},
        {"type": "completion", "completion": "Hello", "stop_reason": "stop_sequence", "model": "c"},
    ),
    Sample(
        "anthropic.batches",
        "/v1/messages/batches/b/results",
        None,
        ndjson([{"custom_id": "0", "result": {"type": "succeeded", "message": MESSAGE}}] * 2),
        20,
        method="GET",
        headers={"content-type": "application/x-jsonl"},
        by_shape=False,
    ),
    Sample("gemini.generateContent", "/v1beta/models/g:generateContent", GOOGLE_ASK, GENERATED, 10),
    Sample(
        "gemini.streamGenerateContent",
        "/v1beta/models/g:streamGenerateContent",
        GOOGLE_ASK,
        [{"candidates": [{**CANDIDATE, "finishReason": None}], "usageMetadata": {"promptTokenCount": 7}}, GENERATED],
        10,
        by_shape=False,
    ),
    Sample(
        "gemini.embedContent",
        "/v1beta/models/g:embedContent",
        {"content": {"parts": [{"text": "Hi"}]}},
        {"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}},
        10,
        by_shape=False,
    ),
    Sample(
        "gemini.predict",
        "/v1/projects/p/locations/l/publishers/google/models/e:predict",
        {"instances": [{"content": "Hi"}]},
        {"predictions": [{"embeddings": {"statistics": {"token_count": 10}}}]},
        10,
        by_shape=False,
    ),
    Sample("gemini.interactions", "/v1beta/interactions", {"model": "g", "input": "Hi"}, INTERACTION, 10),
    Sample(
        "gemini.interactions",
        "/v1beta/interactions",
        {"model": "g", "input": "Hi"},
        [
            {"event_type": "interaction.created", "interaction": {"id": "i", "object": "interaction"}},
            {"event_type": "step.delta", "delta": {"type": "text", "text": "Hello"}},
            {"event_type": "interaction.completed", "interaction": INTERACTION},
        ],
        10,
        by_shape=False,
    ),
    Sample(
        "bedrock.converse",
        "/model/m/converse",
        BEDROCK_ASK,
        {"output": {"message": {"content": [{"text": "Hello"}]}}, "stopReason": "end_turn", "usage": BEDROCK},
        10,
    ),
    Sample(
        "bedrock.invoke",
        "/model/m/invoke",
        {"inputText": "Hi"},
        {"inputTextTokenCount": 7, "results": [{"tokenCount": 3, "outputText": "Hello", "completionReason": "FINISH"}]},
        10,
        by_shape=False,
    ),
    Sample(
        "bedrock.invoke",
        "/model/m/invoke",
        {"prompt": "Hi"},
        {"generations": [{"text": "Hello", "finish_reason": "COMPLETE"}]},
        10,
        headers=COUNTED_IN_HEADERS,
        by_shape=False,
    ),
    Sample(
        "bedrock.invoke-with-response-stream",
        "/model/m/invoke-with-response-stream",
        {"prompt": "Hi"},
        [{"generation": "Hel", "stop_reason": None}, {"generation": "lo", "stop_reason": "stop", **METRICS}],
        10,
        by_shape=False,
    ),
    Sample(
        "cohere.chat",
        "/v2/chat",
        CHAT,
        {
            "id": "c",
            "message": {"content": [{"type": "text", "text": "Hello"}]},
            "finish_reason": "COMPLETE",
            "usage": COHERE,
        },
        10,
    ),
    Sample(
        "cohere.chat",
        "/v2/chat",
        CHAT,
        [
            {"type": "message-start", "id": "c"},
            {"type": "content-delta", "delta": {"message": {"content": {"text": "Hello"}}}},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE}},
        ],
        10,
    ),
    Sample(
        "cohere.chat",
        "/v1/chat",
        {"message": "Hi"},
        {"text": "Hello", "generation_id": "g", "finish_reason": "COMPLETE", "meta": COHERE},
        10,
    ),
    Sample(
        "cohere.generate",
        "/v1/generate",
        {"prompt": "Hi"},
        {"id": "g", "generations": [{"text": "Hello", "finish_reason": "COMPLETE"}], "meta": COHERE},
        10,
    ),
    Sample(
        "cohere.embed",
        "/v2/embed",
        {"texts": ["Hi"]},
        {"id": "e", "embeddings": {"float": [[0.1]]}, "meta": {"billed_units": {"input_tokens": 10}}},
        10,
    ),
    Sample(
        "cohere.rerank",
        "/v1/rerank",
        {"query": "q", "documents": ["d"]},
        {"id": "r", "results": [], "usage": {"total_tokens": 10}},
        10,
    ),
    Sample("ollama.chat", "/api/chat", CHAT, {**OLLAMA, "message": {"role": "assistant", "content": "Hello"}}, 10),
    Sample(
        "ollama.chat",
        "/api/chat",
        CHAT,
        ndjson(
            [{"model": "m", "message": {"content": "Hello"}, "done": False}, {**OLLAMA, "message": {"content": ""}}]
        ),
        10,
        headers={"content-type": "application/x-ndjson"},
    ),
    Sample("ollama.generate", "/api/generate", {"model": "m", "prompt": "Hi"}, {**OLLAMA, "response": "Hello"}, 10),
    Sample(
        "ollama.embed",
        "/api/embed",
        {"model": "m", "input": "Hi"},
        {"model": "m", "embeddings": [[0.1]], "prompt_eval_count": 10},
        10,
    ),
    Sample(
        "mistral.conversations",
        "/v1/conversations",
        {"model": "m", "inputs": "Hi"},
        {"object": "conversation.response", "conversation_id": "c", "outputs": [{"content": "Hello"}], "usage": OPENAI},
        10,
    ),
    Sample(
        "replicate.predictions",
        "/v1/predictions/p",
        None,
        {
            "id": "p",
            "status": "succeeded",
            "input": {"prompt": "Hi"},
            "output": ["Hello"],
            "urls": {},
            "metrics": {"input_token_count": 7, "output_token_count": 3},
        },
        10,
        method="GET",
    ),
    Sample(
        "watsonx.generation",
        "/ml/v1/text/generation",
        {"model_id": "w", "input": "Hi"},
        {
            "model_id": "w",
            "results": [
                {
                    "generated_text": "Hello",
                    "input_token_count": 7,
                    "generated_token_count": 3,
                    "stop_reason": "eos_token",
                }
            ],
        },
        10,
    ),
    Sample(
        "dashscope.generation",
        "/api/v1/services/aigc/text-generation/generation",
        {"model": "q", "input": {"messages": [{"role": "user", "content": "Hi"}]}},
        {"output": {"choices": [{"message": {"content": "Hello"}}]}, "usage": RESPONSES, "request_id": "r"},
        10,
    ),
    Sample(
        "dashscope.embeddings",
        "/api/v1/services/embeddings/text-embedding/text-embedding",
        {"model": "q", "input": {"texts": ["Hi"]}},
        {"output": {"embeddings": []}, "usage": {"total_tokens": 10}, "request_id": "r"},
        10,
        by_shape=False,
    ),
    Sample(
        "dashscope.rerank",
        "/api/v1/services/rerank/text-rerank/text-rerank",
        {"model": "q", "input": {"query": "Hi", "documents": ["Hello"]}},
        {"output": {"results": []}, "usage": {"total_tokens": 10}, "request_id": "r"},
        10,
        by_shape=False,
    ),
    Sample(
        "aleph_alpha.complete",
        "/complete",
        {"model": "luminous", "prompt": "Hi"},
        {"completions": [{"completion": "Hello"}], "num_tokens_prompt_total": 7, "num_tokens_generated": 3},
        10,
    ),
    Sample(
        "sglang.generate",
        "/generate",
        {"text": "Hi"},
        {"text": "Hello", "meta_info": {"id": "g", "prompt_tokens": 7, "completion_tokens": 3}},
        10,
    ),
    Sample(
        "lm_studio.chat",
        "/api/v1/chat",
        {"model": "m", "input": "Hi"},
        {"model_instance_id": "m", "output": [], "stats": {"input_tokens": 7, "total_output_tokens": 3}},
        10,
    ),
    Sample(
        "cloudflare.run",
        "/client/v4/accounts/a/ai/run/@cf/maker/model",
        CHAT,
        {"result": {"response": "Hello", "usage": OPENAI}, "success": True},
        10,
    ),
    Sample(
        "x_ai.batches.results",
        "/v1/batches/b/results",
        None,
        {"results": [{"batch_result": {"response": {"chat_get_completion": {"id": "c", "usage": OPENAI}}}}]},
        10,
        method="GET",
    ),
    Sample(
        "google.adk",
        "/run_sse",
        {"appName": "a", "userId": "u", "sessionId": "s", "newMessage": {"parts": [{"text": "Hi"}]}},
        [
            {**AGENT_EVENT, "usageMetadata": {**GOOGLE, "candidatesTokenCount": 1}, "partial": True},
            {**AGENT_EVENT, "usageMetadata": GOOGLE},
        ],
        10,
    ),
    Sample(
        "google.adk",
        "/v1/projects/p/locations/l/reasoningEngines/1:streamQuery",
        {"class_method": "stream_query", "input": {"message": "Hi"}},
        ndjson(
            [
                {
                    "content": {"parts": [{"text": "Hello"}]},
                    "usage_metadata": {"prompt_token_count": part, "candidates_token_count": 1},
                    "invocation_id": "e",
                    "author": "a",
                }
                for part in (3, 5)
            ]
        ),
        10,
    ),
    Sample(
        "triton.generate",
        "/v2/models/m/generate",
        {"text_input": "Hi"},
        {"model_name": "m", "text_output": "Hello", "num_input_tokens": 7, "num_output_tokens": 3},
        10,
    ),
    Sample(
        "triton.generate",
        "/v2/models/m/versions/1/generate_stream",
        {"text_input": "Hi"},
        [
            {"model_name": "m", "text_output": "Hel", "num_input_tokens": 7, "num_output_tokens": 2},
            {"model_name": "m", "text_output": "lo", "num_input_tokens": 7, "num_output_tokens": [1]},
        ],
        10,
    ),
    Sample(
        "triton.infer",
        "/v2/models/m/infer",
        {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["Hi"]}]},
        {"model_name": "m", "outputs": [{"name": "text_output", "datatype": "BYTES", "data": ["Hello"]}]},
        by_shape=False,
    ),
    Sample(
        "oci.chat",
        "/20231130/actions/chat",
        OCI_ASK,
        {
            "modelId": "o",
            "chatResponse": {
                "apiFormat": "GENERIC",
                "choices": [{"message": {"content": [{"type": "TEXT", "text": "Hello"}]}, "finishReason": "stop"}],
                "usage": OCI,
            },
        },
        10,
    ),
    Sample(
        "oci.chat",
        "/20231130/actions/chat",
        OCI_ASK,
        [{"message": {"content": [{"text": "Hello"}]}}, {"finishReason": "stop"}, {"usage": OCI, "pad": "aa"}],
        10,
    ),
    Sample(
        "oci.generateText",
        "/20231130/actions/generateText",
        {"servingMode": {"modelId": "o"}, "inferenceRequest": {"runtimeType": "COHERE", "prompt": "Hi"}},
        {"modelId": "o", "inferenceResponse": {"generatedTexts": [{"text": "Hello", "finishReason": "COMPLETE"}]}},
    ),
    Sample(
        "oci.embedText",
        "/20231130/actions/embedText",
        {"servingMode": {"modelId": "o"}, "inputs": ["Hi"]},
        {"id": "e", "embeddings": [[0.1]], "modelId": "o", "usage": {"promptTokens": 10, "totalTokens": 10}},
        10,
        by_shape=False,
    ),
    Sample(
        "yandex.completion",
        "/foundationModels/v1/completion",
        YANDEX_ASK,
        {"result": YANDEX},
        10,
    ),
    Sample(
        "yandex.completion",
        "/foundationModels/v1/completion",
        YANDEX_ASK,
        ndjson(
            [
                {
                    "result": {
                        **YANDEX,
                        "alternatives": [{"message": {"text": "H"}, "status": "ALTERNATIVE_STATUS_PARTIAL"}],
                    }
                },
                {"result": YANDEX},
            ]
        ),
        10,
    ),
    Sample(
        "yandex.embeddings",
        "/foundationModels/v1/textEmbedding",
        {"modelUri": "emb://folder/doc/latest", "text": "Hi"},
        {"embedding": [0.1], "numTokens": "10", "modelVersion": "1"},
        10,
        by_shape=False,
    ),
    Sample(
        "sap.orchestration",
        "/v2/inference/deployments/d/v2/completion",
        {"config": {"modules": {"prompt_templating": {"model": {"name": "m"}, "prompt": {"template": []}}}}},
        {"request_id": "r", "final_result": {"id": "c", "model": "m", "choices": [], "usage": OPENAI}},
        10,
    ),
    Sample(
        "sap.embeddings",
        "/v2/inference/deployments/d/v2/embeddings",
        {"config": {"modules": {"embeddings": {"model": {"name": "m"}}}}, "input": {"text": "Hi"}},
        {
            "request_id": "r",
            "final_result": {"data": [{"embedding": [0.1]}], "model": "m", "usage": {"prompt_tokens": 10}},
        },
        10,
    ),
    Sample(
        "deepinfra.inference",
        "/v1/inference/maker/model",
        {"input": "Hi"},
        {
            "request_id": "r",
            "inference_status": {"status": "succeeded", "tokens_generated": 3, "tokens_input": 7},
            "results": [{"generated_text": "Hello"}],
        },
        10,
    ),
    Sample(
        "deepinfra.inference",
        "/v1/inference/maker/model",
        {"input": "Hi", "stream": True},
        [
            {"token": {"text": "Hel", "special": False}, "generated_text": None},
            {
                "token": {"text": "lo", "special": False},
                "generated_text": "Hello",
                "details": {"finish_reason": "stop", "generated_tokens": 3},
                "num_input_tokens": 7,
                "num_output_tokens": 3,
            },
        ],
        10,
        by_shape=False,
    ),
    Sample(
        "tencent.hunyuan",
        "/",
        {"Model": "h", "Messages": [{"Role": "user", "Content": "Hi"}]},
        {
            "Response": {
                "Id": "c",
                "Choices": [{"Message": {"Content": "Hello"}, "FinishReason": "stop"}],
                "Usage": {"PromptTokens": 7, "CompletionTokens": 3, "TotalTokens": 10},
            }
        },
        10,
    ),
    Sample(
        "baidu.wenxin",
        "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/ernie",
        {"messages": CHAT["messages"]},
        [
            {"id": "c", "result": "Hel", "is_end": False, "usage": {**OPENAI, "completion_tokens": 1}},
            {"id": "c", "result": "lo", "is_end": True, "usage": OPENAI},
        ],
        10,
        by_shape=False,
    ),
    Sample(
        "hugging_face.generate",
        "/generate",
        {"inputs": "Hi"},
        {"generated_text": "Hello", "details": {"finish_reason": "length", "generated_tokens": 3, "prefill": [{}] * 7}},
        10,
    ),
    Sample(
        "koboldcpp.generate",
        "/api/v1/generate",
        {"prompt": "Hi"},
        {"results": [{"text": "Hello", "finish_reason": "stop", "prompt_tokens": 7, "completion_tokens": 3}]},
        10,
    ),
    Sample(
        "llama_cpp.completion",
        "/completion",
        {"prompt": "Hi"},
        {"content": "Hello", "stop": True, "stop_type": "eos", "tokens_evaluated": 7, "tokens_predicted": 3},
        10,
    ),
    Sample("anthropic.count_tokens", "/v1/messages/count_tokens", CHAT, {"input_tokens": 7}, by_shape=False),
    Sample("gemini.countTokens", "/v1beta/models/g:countTokens", GOOGLE_ASK, {"totalTokens": 7}, by_shape=False),
    Sample("bedrock.count-tokens", "/model/m/count-tokens", {"input": {}}, {"inputTokens": 7}, by_shape=False),
    Sample("openai.responses.input_tokens", "/v1/responses/input_tokens", CHAT, {"input_tokens": 7}, by_shape=False),
    Sample("openai.moderations", "/v1/moderations", {"input": "Hi"}, {"id": "m", "results": []}, by_shape=False),
    Sample("openai.other", "/v1/models", None, {"object": "list", "data": []}, method="GET", by_shape=False),
    Sample("openai.other", "/v1/conversations", {}, {"id": "c", "object": "conversation"}, by_shape=False),
    Sample("generic", "/someones/own/api", {"q": "Hi"}, {"answer": "Hello", "usage": OPENAI}, 10),
]
