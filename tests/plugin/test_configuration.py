"""The middleware's configuration in real Traefik: what is needed, what is refused, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.recorder import Recorder
from support.stage import SMALL, SetStage, reply, request
from support.traefik import Traefik, TraefikError
from support.upstream import upstream
from support.wire import Wire

APIURL = "http://127.0.0.1:8000/api/report"

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("apiurl", {"apiurl": ""}),
    ("apiurl", {"apiurl": "127.0.0.1:8000"}),
    ("apiurl", {"apiurl": "ftp://127.0.0.1/api/report"}),
    ("apiurl", {"apiurl": "http:///api/report"}),
    ("token", {"token": "two words"}),
    ("token", {"token": "a", "tokenEnv": "PATH"}),
    ("tokenEnv", {"tokenEnv": "LLMTOKEN_NOT_SET_ANYWHERE"}),
    ("paths", {"paths": ["v1/"]}),
    ("captureBodies", {"captureBodies": "some"}),
    ("captureUpstream", {"captureUpstream": "perhaps"}),
    ("injectStreamUsage", {"injectStreamUsage": "perhaps"}),
    ("injectStreamUsage", {"injectStreamUsage": True, "captureBodies": "never"}),
    ("maxRequestBody", {"maxRequestBody": -1}),
    ("maxResponseBody", {"maxResponseBody": 2**40}),
    ("maxResponseBody", {"maxResponseBody": "8MiB"}),
    ("consumerHeader", {"consumerHeader": "authorization"}),
    ("consumerHeader", {"consumerHeader": "x-api-key"}),
    ("consumerFromKey", {"consumerFromKey": "too-short"}),
    ("provider", {"provider": "p" * 257}),
    ("labels", {"labels": {str(number): "x" for number in range(33)}}),
    ("labels", {"labels": {"team": "x" * 257}}),
    ("queueSize", {"queueSize": 0}),
    ("queueSize", {"queueSize": "many"}),
    ("queueBytes", {"queueBytes": 1000}),
    ("batchSize", {"batchSize": -5}),
    ("batchBytes", {"batchBytes": 2**40}),
    ("flushInterval", {"flushInterval": "soon"}),
    ("flushInterval", {"flushInterval": "0s"}),
    ("timeout", {"timeout": "10"}),
    ("timeout", {"timeout": "-1s"}),
    ("maxRequestBodies", {"maxRequestBodies": 5}),
]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What Traefik says of a route with each of the wrong configurations; a good one stands beside them."""
    middlewares = {f"wrong{number}": wrong for number, (_, wrong) in enumerate(WRONG)}
    middlewares["good"] = {}
    dynamic = {
        "http": {
            "middlewares": {
                name: {"plugin": {"llmtoken": {"apiurl": APIURL, **configuration}}}
                for name, configuration in middlewares.items()
            },
            "routers": {
                name: {
                    "rule": f"Host(`{name}.example`)",
                    "entryPoints": ["tapped"],
                    "middlewares": [name],
                    "service": "upstream",
                }
                for name in middlewares
            },
        }
    }
    folder = tmp_path_factory.mktemp("traefik")
    with upstream(reply) as url, Traefik(folder, upstream=url, middleware={"apiurl": APIURL}) as traefik:
        with pytest.raises(TraefikError) as refused:
            traefik.configure(dynamic=dynamic)
        said = str(refused.value)
        routers = json.JSONDecoder().raw_decode(said, said.index("{"))[0]
        yield {name: " ".join(router["error"]) for name, router in routers.items()}


@pytest.mark.parametrize(
    ("number", "key"),
    [pytest.param(number, key, id=f"{key}-{number}") for number, (key, _) in enumerate(WRONG)],
)
def test_a_wrong_value_takes_its_route_out_of_service_and_names_the_key(
    refusals: dict[str, str], number: int, key: str
) -> None:
    assert key.lower() in refusals[f"wrong{number}"].lower()


def test_a_wrong_value_leaves_the_other_routes_alone(refusals: dict[str, str]) -> None:
    assert "good" not in refusals


def test_a_refusal_shows_no_secret(refusals: dict[str, str]) -> None:
    said = " ".join(refusals.values())
    assert "two words" not in said
    assert "too-short" not in said


def test_the_seeds_configuration_works(tmp_path: Path) -> None:
    with (
        Recorder() as collector,
        upstream(reply) as url,
        Traefik(tmp_path, upstream=url, middleware={"apiurl": collector.url}) as traefik,
    ):
        wire = Wire.to(traefik.url)
        wire.send(request("POST", "/v1/chat/completions", "Content-Length: 13") + b'{"model":"m"}')
        assert wire.read_body(wire.read_head()) == SMALL
        (report,) = collector.wait_for(1)
        assert (report.request_body, report.response_body) == ('{"model":"m"}', SMALL.decode())
        wire.close()


def test_keys_are_found_in_any_case(set_stage: SetStage) -> None:
    stage = set_stage(PROVIDER="acme", capturebodies="none")
    stage.post().read_head()
    (report,) = stage.collector.wait_for(1)
    assert (report.provider, report.capture_bodies) == ("acme", "none")


@pytest.mark.parametrize("settings", [{"token": "s3cret"}, {"tokenEnv": "LLMTOKEN_TOKEN"}], ids=["token", "tokenEnv"])
def test_the_collector_is_shown_the_token(set_stage: SetStage, settings: dict[str, str]) -> None:
    stage = set_stage(environment={"LLMTOKEN_TOKEN": "s3cret"}, **settings)
    stage.post().read_head()
    stage.collector.wait_for(1)
    assert stage.collector.batches[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in stage.traefik.log
