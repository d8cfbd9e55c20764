"""Senders that behave like the plugin: batches, sent again until they are acknowledged."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from support.canary import CANARY
from support.collector import wait_for

_ROUNDS = itertools.count()


def report(request_id: str, chance: random.Random) -> dict[str, object]:
    """A chat of one of a few models and consumers; most say their usage, some don't, some mean nothing."""
    model = chance.choice(["gpt-4o", "gpt-4o-mini", "gpt-4.1", "nobody-prices-this"])
    usage = {"prompt_tokens": chance.randrange(5000), "completion_tokens": chance.randrange(800)}
    reply: dict[str, object] = {
        "id": f"chatcmpl-{request_id}",
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
    }
    if chance.random() < 0.9:
        reply["usage"] = usage
    prompt = "word " * chance.randrange(400)
    return {
        "request_id": request_id,
        "version": 1,
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "status": chance.choice([200, 200, 200, 500]),
        "timestamp": "2026-01-02T03:04:05Z",
        "elapsed_time": 1.5,
        "consumer": f"team-{chance.randrange(3)}",
        "request_body": json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], "user": CANARY}),
        "response_body": json.dumps(reply) if chance.random() < 0.95 else "nonsense",
    }


@dataclass
class Load:
    """What was sent, and what the collector has acknowledged so far."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    broken: int = 0
    """Batches of which nobody knows whether they were committed: the connection ended before the answer."""
    given_up: bool = False
    busy: threading.Event = field(default_factory=threading.Event)
    """While it isn't set, nothing new is sent."""

    def more(self, reports: int) -> None:
        """Wait until so many more are acknowledged."""
        target = len(self.acknowledged) + reports
        wait_for(lambda: len(self.acknowledged) >= target)


@contextmanager
def load(*urls: str, senders: int = 3, seed: int = 0) -> Iterator[Load]:
    """Send from several connections, each to one of `urls` after the other, as through a load balancer.

    At the end each sender repeats its last batch until it is acknowledged.
    """
    state, enough = Load(), threading.Event()
    run = next(_ROUNDS)
    threads = [
        threading.Thread(target=_send, args=(urls, state, enough, f"{run}-{number}", random.Random(seed + number)))  # noqa: S311
        for number in range(senders)
    ]
    state.busy.set()
    for thread in threads:
        thread.start()
    try:
        yield state
    except BaseException:
        state.given_up = True  # the test has failed: there may be nobody to acknowledge anything
        raise
    finally:
        state.busy.set()
        enough.set()
        for thread in threads:
            thread.join()


def _send(urls: Sequence[str], state: Load, enough: threading.Event, name: str, chance: random.Random) -> None:
    numbers = itertools.count()
    connections = itertools.cycle([http.client.HTTPConnection(urlsplit(url).netloc, timeout=10) for url in urls])
    while not enough.is_set():
        ids = [f"{name}-{next(numbers)}" for _ in range(chance.randrange(1, 20))]
        state.sent.update(ids)
        body = "\n".join(json.dumps(report(request_id, chance)) for request_id in ids).encode()
        while not state.given_up:
            state.busy.wait()
            connection = next(connections)
            try:
                connection.request("POST", "/api/report", body, {"content-type": "application/x-ndjson"})
                status = connection.getresponse()
                answer = status.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                state.broken += 1
                continue
            state.statuses.append(status.status)
            if status.status == 200:
                taken = json.loads(answer)
                assert taken["accepted"] + taken["duplicates"] == len(ids), answer
                state.acknowledged.update(ids)
                break
            time.sleep(0.05)
    for _ in urls:
        next(connections).close()
