"""How often the landing page asks the database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmtoken.audit import Audit
from support.collector import running, wait_for


def test_many_who_look_at_once_ask_the_database_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = [], threading.Event()
    usage = Audit.usage

    def slow(*arguments, **more):
        asked.append(arguments)
        assert go_on.wait(30)
        return usage(*arguments, **more)

    with running(tmp_path) as collector, ThreadPoolExecutor(8) as others, monkeypatch.context() as patch:
        patch.setattr(Audit, "usage", slow)
        looks = [others.submit(collector.client.get, "/") for _ in range(8)]
        wait_for(lambda: asked)
        for _ in range(50):
            assert collector.client.get("/health").status_code == 200, "nobody else waits for it"
        go_on.set()
        assert [look.result().status_code for look in looks] == [200] * 8
        assert len(asked) == 1
