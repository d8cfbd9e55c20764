"""What was written for the first llmtoken still works: its Traefik configuration, its report, its table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
import yaml

from e2e import sdk
from e2e.sdk import KINDS
from e2e.world import NO_REUSE, World, new_mark
from support.model_server import ModelServer
from support.traefik import Traefik

CONFIGURATION = """
http:
  middlewares:
    tokenizer:
      plugin:
        llmtoken:
          apiurl: "{collector}/api/report"

  routers:
    router-qwen2:
      rule: "Header(`X-Model`, `qwen2.5-vl-instruct`)"
      service: service-qwen2
      middlewares:
        - tokenizer

  services:
    service-qwen2:
      loadBalancer:
        servers:
          - url: {llama}
        passHostHeader: false
"""
"""As its documentation has it, but for the addresses."""

COLUMNS = (
    "id, input_tokens, output_tokens, total_tokens, elapsed_time, tokens_per_second, timestamp, path, "
    "request_body, response_body"
)


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Traefik]:
    """A Traefik with the first llmtoken's dynamic configuration, beside the collector of the others."""
    text = CONFIGURATION.format(collector=world.collector.url, llama=world.model_server.url)
    folder: Path = tmp_path_factory.mktemp("seed")
    middleware = {"apiurl": f"{world.collector.url}/api/report"}
    with Traefik(
        folder,
        upstream=world.model_server.url,
        middleware=middleware,
        dynamic=yaml.safe_load(text),
        static=NO_REUSE,
    ) as traefik:
        yield traefik


def test_the_first_configuration_works_with_nothing_but_apiurl(world: World, seed: Traefik) -> None:
    mark = new_mark()
    body = {"model": "m", "messages": [{"role": "user", "content": mark}], "max_tokens": 5}
    reply = httpx.post(
        f"{seed.url}/v1/chat/completions", json=body, headers={"X-Model": "qwen2.5-vl-instruct"}
    ).raise_for_status()
    row = world.audit.row(mark)
    assert row["middleware"] == "tokenizer@file"
    assert (row["input_tokens"], row["output_tokens"]) == (reply.json()["usage"]["prompt_tokens"], 5)
    assert json.loads(row["response_body"]) == reply.json()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.stream], ids=lambda kind: kind.name)
def test_streams_are_counted_with_nothing_but_apiurl(world: World, seed: Traefik, kind: sdk.Kind) -> None:
    mark = new_mark()
    seen = sdk.make(kind, seed.url, mark)
    row = world.audit.row(mark)
    assert (row["output_tokens"], row["usage_source"]) == (len(seen.pieces), "reported")


def test_the_first_plugins_report_is_taken_and_stands_in_the_first_table(world: World, llama: ModelServer) -> None:
    mark = new_mark()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": mark}], "max_tokens": 5})
    began = time.monotonic()
    reply = httpx.post(f"{llama.url}/v1/chat/completions", content=body).raise_for_status()
    report = {
        "request_body": body,
        "response_body": reply.text,
        "elapsed_time": time.monotonic() - began,
        "path": "/v1/chat/completions",
        "timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    answer = httpx.post(f"{world.collector.url}/api/report", json=report).raise_for_status().json()
    usage = reply.json()["usage"]
    assert answer["status"] == "ok"
    assert answer["total_tokens"] == usage["total_tokens"]
    assert answer["tps"] == pytest.approx(usage["total_tokens"] / report["elapsed_time"])
    ((stats),) = world.audit.query(f"SELECT {COLUMNS} FROM token_stats WHERE instr(request_body, ?)", mark)  # noqa: S608
    assert (stats["input_tokens"], stats["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (stats["total_tokens"], stats["path"]) == (usage["total_tokens"], report["path"])
    assert (stats["request_body"], stats["response_body"]) == (body, reply.text)
    assert stats["elapsed_time"] == pytest.approx(report["elapsed_time"])
