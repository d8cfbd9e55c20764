"""A real llama.cpp server with a tiny model of random weights: the independent truth about tokens.

    with running(tiny_model.build(folder / "tiny.gguf")) as server:
        httpx.post(f"{server.url}/v1/chat/completions", json=...)
        server.truth()  # what llama.cpp itself counted

It speaks OpenAI's chat, completions, embeddings and responses and Anthropic's messages,
streamed and not, and starts in a fraction of a second. What it says is nonsense, but at
temperature 0 always the same nonsense. Its tokenizer is its own, so nobody gets its counts right by
counting with somebody else's.

Run as a program it is the server's own process: `model_server.py MODEL`.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from support.needs import ROOT, missing
from support.tiny_model import CONTEXT, NAME

SLOTS = 4
"""Calls that are worked on at once; more wait."""


@dataclass(frozen=True)
class Truth:
    """Tokens that llama.cpp counted since it started. `input` includes `cached`."""

    input: int
    output: int
    cached: int

    def __sub__(self, earlier: Truth) -> Truth:
        return Truth(self.input - earlier.input, self.output - earlier.output, self.cached - earlier.cached)


@dataclass(frozen=True)
class ModelServer:
    """A running llama.cpp server."""

    url: str
    process: subprocess.Popen[str]

    def truth(self) -> Truth:
        """What its own metrics say. They keep the tokens found in the prompt cache apart from the others."""
        text = httpx.get(f"{self.url}/metrics").raise_for_status().text
        counters = {
            sample.name.removeprefix("llamacpp:"): int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        cached = counters["prompt_tokens_cached_total"]
        return Truth(
            input=counters["prompt_tokens_total"] + cached, output=counters["tokens_predicted_total"], cached=cached
        )

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(model: Path) -> Iterator[ModelServer]:
    """Serve a model on a free port, in a process of its own that ends with this one."""
    if importlib.util.find_spec("xllamacpp") is None:
        missing("llama.cpp", "pip install xllamacpp")
    log = model.with_name(f"llama-{os.getpid()}-{next(_serial)}.log")
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, __file__, str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()  # comes when it listens, or empty when it has ended
            assert url, f"llama.cpp did not start:\n{log.read_text('utf-8', 'replace')}"
            yield ModelServer(url, process)
        finally:
            process.kill()


_serial = itertools.count()


def _serve(model: str) -> None:
    import xllamacpp  # type: ignore[import-untyped]  # noqa: PLC0415 - only this process needs it

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT * SLOTS
    params.n_parallel = SLOTS
    params.n_threads_http = 256  # every connection that is kept alive holds one
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.endpoint_metrics = True
    params.ui = params.warmup = params.fit_params = False
    params.offline = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201 - what the parent waits for
    sys.stdin.read()  # until the parent has gone


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    _serve(arguments.parse_args().model)
