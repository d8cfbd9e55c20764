"""An audit with a few telling calls, and the site in front of it, asked without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from llmtoken import audit, config
from llmtoken.browse import application
from support.records import record

NOW = datetime.now(UTC)
ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "<script>alert('Hi')</script>"}]}
ANSWER = {"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "Hello, <b>you</b>."}}]}

Client = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("written") / "audit.db")
    hour = timedelta(hours=1)
    with audit.open(path) as store:
        store.write(
            [
                record(
                    "first",
                    started_at=NOW - 3 * hour,
                    request_body=json.dumps(ASK),
                    response_body=json.dumps(ANSWER),
                ),
                record("slow", started_at=NOW - 2 * hour, duration=90.0, consumer="bob", request_model="o3"),
                record("dear", started_at=NOW - hour, cost=Decimal("12.5"), consumer="bob", total_tokens=5000),
                record("failed", started_at=NOW - hour, error_type="rate_limit", http_status=429, cost=None),
                record("mine", started_at=NOW - hour, usage_source="estimated", consumer=None, request_model=None),
                record("old", started_at=NOW - timedelta(days=60), consumer="gone"),
                record("a/b?c=<d>&é", started_at=NOW - hour),
            ]
        )
    return path


@pytest.fixture
def database(written: str, tmp_path: Path) -> str:
    """The audit, for one test; its name would mean something else inside a URL."""
    return shutil.copyfile(written, str(tmp_path / "odd ?mode=rw#%41.db"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def site(database: str) -> Client:
    """A client of the site; `tokens` are those that it knows."""

    @asynccontextmanager
    async def client(*tokens: str, base: str = "http://127.0.0.1", **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = application(config.load(None, database=database), tokens, **options)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=base) as asking:
            yield asking

    return client
