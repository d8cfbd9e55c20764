"""The README's first screen does what it shows, and what it names exists."""

import re
from pathlib import Path

import httpx
import yaml

from support.collector import running, wait_for
from support.needs import ROOT, program
from support.traefik import Traefik
from support.up import shell, up

README = (ROOT / "README.md").read_text("utf-8")
(REQUEST,) = re.findall(r"^curl .*?\}'$", README, re.MULTILINE | re.DOTALL)
CONSOLE = re.findall(r"```console\n\$ (.*?)\n(.*?)\n```", README, re.DOTALL)


def test_the_first_screen_prints_what_it_shows(tmp_path: Path) -> None:
    program("curl", "apt-get install curl")
    program("sqlite3", "apt-get install sqlite3")
    assert len(CONSOLE) == 2
    with up(tmp_path) as stack:
        places = {
            "http://127.0.0.1:8088": stack.address("Traefik"),
            "http://127.0.0.1:8000": stack.address("collector"),
            "data/llmtoken.db": f"{tmp_path}/llmtoken.db",
        }

        def here(command: str) -> str:
            for there, place in places.items():
                command = command.replace(there, place)
            return command

        assert '"completion_tokens"' in shell(here(REQUEST))
        # A call is on the metrics after it is in the audit, a moment after its reply.
        for command, shown in reversed(CONSOLE):
            wait_for(lambda command=command, shown=shown: shell(f"{here(command)} || true").strip() == shown)


def test_the_traefik_snippet_works_as_it_stands(tmp_path: Path) -> None:
    static, dynamic = (yaml.safe_load(snippet) for snippet in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
    snippet = dynamic["http"]["middlewares"]["tokenizer"]["plugin"]["llmtoken"]
    assert (
        static["experimental"]["localPlugins"]["llmtoken"]["moduleName"]
        == (re.findall(r"^module (\S+)", (ROOT / "plugin" / "go.mod").read_text("utf-8"), re.MULTILINE)[0])
    )
    with running(tmp_path) as collector:
        middleware = {**snippet, "apiurl": snippet["apiurl"].replace("http://127.0.0.1:8000", collector.url)}
        with Traefik(tmp_path / "traefik", upstream=collector.url, middleware=middleware) as traefik:
            httpx.get(f"{traefik.url}/v1/models")
            wait_for(lambda: 'http_response_status_code="404"' in collector.client.get("/metrics").text)


def test_every_make_target_and_every_page_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"`?make ([a-z]+)", README))
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert len(links) >= 8
