"""The demo model server, asked by the real OpenAI and Anthropic SDKs over real HTTP."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from llmtoken.count import encodings
from support.ports import free_port

CHAT = "demo-chat"
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "llmtoken.demo_server", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        try:
            await_answer(f"{address}/v1/models", server)
            yield address
        finally:
            server.terminate()


def await_answer(address: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            httpx.get(address, trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the demo server ended with exit code {server.returncode}")


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def tally(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/demo/tally", trust_env=False).json()
    return answer


def booked(url: str, identifier: str | None) -> dict[str, Any]:
    """What the server's books say about one reply."""
    (entry,) = [entry for entry in tally(url)["entries"] if entry["id"] == identifier]
    found: dict[str, Any] = entry
    return found


def tokens(text: str) -> int:
    return len(encodings.load("o200k_base").encode_ordinary(text))


def test_a_chat_counts_the_tokens_of_its_text_and_says_that_it_is_a_demo(client: openai.OpenAI, url: str) -> None:
    reply = client.chat.completions.create(model=CHAT, messages=HELLO)
    text = reply.choices[0].message.content or ""
    assert "no model runs here" in text
    assert reply.usage
    assert reply.usage.completion_tokens == tokens(text)
    # 3 around the message, 1 each for its role and its word, 3 before the reply.
    assert reply.usage.prompt_tokens == 3 + 1 + 1 + 3
    entry = booked(url, reply.id)
    assert (entry["input_tokens"], entry["output_tokens"]) == (8, tokens(text))


def test_the_same_prompt_gets_the_same_text_and_another_prompt_another(client: openai.OpenAI) -> None:
    def ask(content: str) -> str | None:
        messages: Any = [{"role": "user", "content": content}]
        return client.chat.completions.create(model=CHAT, messages=messages).choices[0].message.content

    assert ask("one") == ask("one")
    assert len({ask(f"prompt {number}") for number in range(5)}) > 1


def test_a_chat_stream_without_asking_for_usage_carries_none(client: openai.OpenAI, url: str) -> None:
    chunks = list(client.chat.completions.create(model=CHAT, messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert not any(chunk.usage for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    entry = booked(url, chunks[0].id)
    assert entry["output_tokens"] == tokens(text)
    assert entry["usage_told"] is False


def test_a_chat_stream_that_asks_for_usage_ends_with_it(client: openai.OpenAI, url: str) -> None:
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(model=CHAT, messages=HELLO, stream=True, stream_options=options)
    *chunks, last = list(stream)
    assert last.choices == []
    assert last.usage
    assert last.usage.completion_tokens == booked(url, last.id)["output_tokens"]
    assert not any(chunk.usage for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_limit_cuts_the_reply_at_that_many_tokens(client: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    reply = client.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=5)
    assert reply.usage
    assert (reply.usage.completion_tokens, reply.choices[0].finish_reason) == (5, "length")
    message = claude.messages.create(model=CHAT, messages=HELLO, max_tokens=5)
    assert (message.usage.output_tokens, message.stop_reason) == (5, "max_tokens")
    response = client.responses.create(model=CHAT, input="Hello", max_output_tokens=5)
    assert response.usage
    assert (response.usage.output_tokens, response.status) == (5, "incomplete")


@pytest.mark.parametrize("prompt", ["Hello", ["Hello", "you"], [1, 2, 3], [[1, 2], [3]]])
def test_completions_take_texts_and_tokens(client: openai.OpenAI, prompt: Any) -> None:
    reply = client.completions.create(model=CHAT, prompt=prompt)
    assert reply.usage
    assert reply.usage.prompt_tokens == {"Hello": 1}.get(str(prompt), 3 if prompt != ["Hello", "you"] else 2)
    assert reply.usage.completion_tokens == tokens(reply.choices[0].text)


def test_completions_stream(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=CHAT, prompt="Hello").choices[0].text
    chunks = client.completions.create(model=CHAT, prompt="Hello", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole


def test_embeddings_come_as_floats_and_as_base64_alike(client: openai.OpenAI) -> None:
    asked: Any = {"model": "demo-embedding", "input": ["a", "b"], "dimensions": 8}
    packed = client.embeddings.create(**asked)  # the SDK asks for base64 and unpacks it
    plain = client.embeddings.create(**asked, encoding_format="float")
    assert packed.usage.prompt_tokens == 2
    assert [len(item.embedding) for item in packed.data] == [8, 8]
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding


def test_a_response_reads_the_same_streamed_and_whole(client: openai.OpenAI, url: str) -> None:
    whole = client.responses.create(model=CHAT, input="Hello", instructions="Be brief.")
    with client.responses.stream(model=CHAT, input="Hello", instructions="Be brief.") as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert streamed.output_text == whole.output_text
    assert streamed.usage
    assert streamed.usage == whole.usage
    assert streamed.usage.output_tokens == tokens(whole.output_text) == booked(url, streamed.id)["output_tokens"]


def test_a_message_reads_the_same_streamed_and_whole(claude: anthropic.Anthropic, url: str) -> None:
    asked: Any = {"model": CHAT, "messages": HELLO, "max_tokens": 100, "system": "Be brief."}
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert [block.type == "text" and block.text for block in streamed.content] == [
        block.type == "text" and block.text for block in whole.content
    ]
    assert streamed.usage.output_tokens == whole.usage.output_tokens == booked(url, streamed.id)["output_tokens"]
    counted = claude.messages.count_tokens(model=CHAT, messages=HELLO, system="Be brief.")
    assert counted.input_tokens == whole.usage.input_tokens


def test_content_in_parts_counts_as_its_text(client: openai.OpenAI) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "Hello"}, image]}]
    reply = client.chat.completions.create(model=CHAT, messages=messages)
    assert reply.usage
    assert reply.usage.prompt_tokens == 8


def test_a_stream_that_the_client_leaves_is_booked_as_far_as_it_was_sent(client: openai.OpenAI, url: str) -> None:
    whole = client.chat.completions.create(model=CHAT, messages=HELLO).usage
    stream = client.chat.completions.create(model=CHAT, messages=HELLO, stream=True)
    identifier = next(stream).id
    stream.close()
    while not any(entry["id"] == identifier for entry in tally(url)["entries"]):
        time.sleep(0.02)
    assert whole
    assert booked(url, identifier)["output_tokens"] < whole.completion_tokens


def test_every_reply_is_labelled(url: str) -> None:
    for path in ("/", "/v1/models", "/v1/unknown"):
        assert "no model runs" in httpx.get(url + path, trust_env=False).headers["x-llmtoken-demo"]


def test_the_models_say_that_they_are_a_demo(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"demo-chat", "demo-embedding"}


def test_an_unknown_model_is_not_found_in_each_api_s_own_form(
    client: openai.OpenAI, claude: anthropic.Anthropic, url: str
) -> None:
    before = tally(url)
    with pytest.raises(openai.NotFoundError) as refusal:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert refusal.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        claude.messages.create(model="claude", messages=HELLO, max_tokens=1)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=CHAT, input="a")
    after = tally(url)
    assert after["errors"] - before["errors"] == 3
    assert after["input_tokens"] == before["input_tokens"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"\xff", json.dumps({"model": CHAT}).encode(), b'{"model":"demo-chat","messages":[]}']
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_broken_request_gets_a_400_that_says_why(url: str, path: str, body: bytes) -> None:
    answer = httpx.post(url + path, content=body, trust_env=False)
    assert answer.status_code == 400
    assert "The request is wrong: " in answer.json()["error"]["message"]


def test_an_endpoint_that_it_has_not_is_refused_as_json(url: str) -> None:
    answer = httpx.post(f"{url}/v1/audio/speech", json={}, trust_env=False)
    assert answer.status_code == 404
    assert "can't POST /v1/audio/speech" in answer.json()["error"]["message"]
