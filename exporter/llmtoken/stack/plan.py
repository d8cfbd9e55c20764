"""What `llmtoken up` runs: which programs, with which configuration, on which ports.

Everything that can be wrong before a program is started is found here. Must not know how
programs are started or watched (`crew`).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtoken import config
from llmtoken.errors import StackError
from llmtoken.stack import ports, programs, shipped, upstream
from llmtoken.stack.crew import Part

LOOPBACK = "127.0.0.1"
"""Traefik and Prometheus listen here: to serve others is docker compose's job, or a real deployment's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says. A port of 0 takes a free one; `None` leaves it to the settings."""

    upstream: str | None = None
    """The model server; without one the bundled demo model server is started."""
    port: int | None = None
    traefik_port: int = 8088
    prometheus_port: int = 9090
    data: Path = Path("data")
    config: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The programs in the order of their start, and where they will be found."""

    parts: tuple[Part, ...]
    proxy: str
    collector: str
    upstream: str
    prometheus: str | None
    database: str
    """Path of the SQLite file, or a SQLAlchemy URL."""
    data: Path
    demo: bool
    """Whether the upstream is the demo model server."""
    guarded: bool
    """Whether the audit asks for a read token."""


def make(options: Options) -> Plan:
    """Check everything and write the configuration. Raises `ConfigError` or `StackError`, nothing started."""
    settings = config.load(options.config, port=options.port)
    target = upstream.checked(options.upstream) if options.upstream else None
    traefik, prometheus = programs.traefik(), programs.prometheus()
    data = _writable(options.data)
    claim = ports.Ports().claim

    # The ones that were asked for go first, so that a free one never takes their place.
    port = claim(settings.host, settings.port, owner="the collector", option="--port")
    proxy_port = claim(LOOPBACK, options.traefik_port, owner="Traefik", option="--traefik-port")
    prometheus_port = (
        claim(LOOPBACK, options.prometheus_port, owner="Prometheus", option="--prometheus-port") if prometheus else 0
    )
    admin_port = claim(LOOPBACK, 0, owner="Traefik's health check", option="--traefik-port")
    demo_port = 0 if target else claim(LOOPBACK, 0, owner="the demo model server", option="--upstream")

    collector, admin = _url(settings.host, port), _url(LOOPBACK, admin_port)
    target = target or _url(LOOPBACK, demo_port)
    database = settings.database if "database" in settings.model_fields_set else str(data / "llmtoken.db")
    told = {"UPSTREAM": target, "LLMTOKEN_COLLECTOR": collector}
    if settings.tokens:
        told["LLMTOKEN_TOKEN"] = min(settings.tokens)

    prometheus_url = _url(LOOPBACK, prometheus_port) if prometheus else None
    # What runs here is linked from the collector's page, beside what is linked anyway.
    beside = {"Traefik": _url(LOOPBACK, proxy_port)} | ({"Prometheus": prometheus_url} if prometheus_url else {})
    # By the environment: a database's URL may hold a password, and command lines are anybody's to read.
    settled = {"LLMTOKEN_DATABASE": database, "LLMTOKEN_LINKS": json.dumps(beside | settings.links)}
    parts = [_collector(data, options.config, settings.host, port, settled)]
    if demo_port:
        parts.append(_demo(data, demo_port))
    if prometheus:
        parts.append(_prometheus(data, prometheus, prometheus_port, {"llmtoken": collector, "traefik": admin}))
    # The last to start is the first to stop: its reports still find the collector.
    parts.append(_traefik(data, traefik, proxy_port, admin_port, told))
    return Plan(
        parts=tuple(parts),
        proxy=_url(LOOPBACK, proxy_port),
        collector=collector,
        upstream=target,
        prometheus=prometheus_url,
        database=database,
        data=data,
        demo=bool(demo_port),
        guarded=bool(settings.read_tokens),
    )


def _collector(data: Path, config_file: Path | None, host: str, port: int, told: dict[str, str]) -> Part:
    arguments = ["serve", "--host", host, "--port", str(port)]
    if config_file:
        arguments += ["--config", str(config_file)]
    return _python("collector", "llmtoken", *arguments, ready=f"{_url(host, port)}/ready", data=data, told=told)


def _demo(data: Path, port: int) -> Part:
    ready = f"{_url(LOOPBACK, port)}/v1/models"
    return _python("demo model server", "llmtoken.demo_server", "--port", str(port), ready=ready, data=data, told={})


def _python(name: str, module: str, *arguments: str, ready: str, data: Path, told: dict[str, str]) -> Part:
    """A part of our own, run by the same Python. -P: whatever lies in the working directory isn't imported."""
    return Part(
        name=name,
        command=(sys.executable, "-P", "-m", module, *arguments),
        ready=ready,
        log=_log(data, name),
        directory=Path.cwd(),
        environment={**os.environ, **told},
    )


def _prometheus(data: Path, program: str, port: int, scraped: dict[str, str]) -> Part:
    folder = data / "prometheus"
    settings = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "15s"},
        "rule_files": [str(shipped.rules() / "*.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            for job, url in scraped.items()
        ],
    }
    return Part(
        name="Prometheus",
        command=(
            program,
            f"--config.file={_write(folder / 'prometheus.yml', settings)}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={LOOPBACK}:{port}",
        ),
        ready=f"{_url(LOOPBACK, port)}/-/ready",
        log=_log(data, "Prometheus"),
        directory=folder,
        environment=dict(os.environ),
    )


def _traefik(data: Path, program: str, port: int, admin_port: int, environment: dict[str, str]) -> Part:
    folder = data / "traefik"
    _link(folder / "plugins-local" / "src" / shipped.PLUGIN_MODULE, shipped.plugin())
    settings = static_configuration(f"{LOOPBACK}:{port}", f"{LOOPBACK}:{admin_port}", shipped.routes())
    return Part(
        name="Traefik",
        command=(program, f"--configFile={_write(folder / 'traefik.yml', settings)}"),
        ready=f"{_url(LOOPBACK, admin_port)}/ready",
        log=_log(data, "Traefik"),
        directory=folder,  # Traefik looks for plugins-local where it runs
        environment={**os.environ, **environment},
    )


def static_configuration(proxy: str, admin: str, routes: Path) -> dict[str, Any]:
    """Traefik's static configuration; `traefik/traefik.yml` is the same for docker compose's addresses."""
    return {
        "entryPoints": {
            "llm": {"address": proxy},
            # Traefik ends when its last entry point does: time for the plugin to deliver what waits.
            "admin": {"address": admin, "transport": {"lifeCycle": {"requestAcceptGraceTimeout": "2s"}}},
        },
        "ping": {"entryPoint": "admin"},
        "metrics": {"prometheus": {"entryPoint": "admin"}},
        "providers": {"file": {"filename": str(routes)}},
        "experimental": {
            "abortOnPluginFailure": True,
            "localPlugins": {"llmtoken": {"moduleName": shipped.PLUGIN_MODULE}},
        },
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO", "noColor": True},
    }


# ── Files and addresses ─────────────────────────────────────────────────────────────────


def _writable(data: Path) -> Path:
    """The data directory, made and tried out."""
    folder = data.resolve()
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        trial = folder / "logs" / ".trial"
        trial.write_bytes(bytes(4096))
        trial.unlink()
    except OSError as error:
        hint = "free some space, mend its permissions, or choose another directory with --data"
        raise StackError(f"Can't write in {folder}: {error.strerror}", hint=hint) from error
    return folder


def _write(file: Path, settings: dict[str, Any]) -> Path:
    """Write a configuration file. JSON is YAML too, so nobody has to write YAML."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings, indent=2), "utf-8")
    return file


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target, target_is_directory=True)


def _log(data: Path, name: str) -> Path:
    return data / "logs" / f"{name.lower().replace(' ', '-')}.log"


def _url(host: str, port: int) -> str:
    """Where we reach what listens on `host`: an open address is reached over loopback."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
