"""One Traefik with an entry point for each variant, and what the system knows of its process."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure.variants import Variant, install
from support.ports import free_ports
from support.traefik import Traefik

SCHEDULED = 2
"""CPUCLOCK_SCHED of Linux: with a process's id it makes the clock of all CPU time that the process had."""


class Gateway(Traefik):
    """A Traefik in `folder`. `addresses` has the collector's URL for each variant that reports."""

    def __init__(
        self, folder: Path, variants: Sequence[Variant], *, upstream: str, addresses: Mapping[str, str]
    ) -> None:
        super().__init__(folder, upstream=upstream, middleware={})
        self._variants = [variant for variant in variants if variant.proxied]
        self._plugged = [variant for variant in self._variants if variant.folder]
        self._addresses = addresses
        self._upstream = upstream
        for variant in self._plugged:
            install(variant, folder / "plugins-local" / "src")
        names = [*(variant.key for variant in self._variants), "traefik"]
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))

    def url_of(self, variant: Variant) -> str:
        """Where clients of this variant go."""
        return self._at(variant.key) if variant.proxied else self._upstream

    # ── What the process has used ─────────────────────────────────────────────────────────

    def cpu(self) -> int:
        """Nanoseconds of CPU so far: the exact sum over its threads, unlike the ticks of /proc/PID/stat."""
        return time.clock_gettime_ns((~self.pid << 3) | SCHEDULED)

    def peak_memory(self) -> int:
        """Most resident bytes so far."""
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))

    def files(self) -> int:
        """Open files and sockets."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def goroutines(self) -> int:
        with urllib.request.urlopen(f"{self.api_url}/debug/pprof/goroutine?debug=1", timeout=30) as answer:  # noqa: S310
            return int(answer.readline().split()[-1])

    # ── Configuration ─────────────────────────────────────────────────────────────────────

    def _static_defaults(self) -> dict[str, Any]:
        defaults = super()._static_defaults()
        # As docs/plugin.md tells people to: time for the plugin to deliver what waits at a SIGTERM.
        patient = {"transport": {"lifeCycle": {"requestAcceptGraceTimeout": "2s"}}}
        entry_points = {
            name: {**entry, **patient} if name != "traefik" else entry
            for name, entry in defaults["entryPoints"].items()
        }
        plugins = {variant.key: {"moduleName": variant.module} for variant in self._plugged}
        defaults |= {"entryPoints": entry_points, "api": {"insecure": True, "dashboard": False, "debug": True}}
        if plugins:
            return {**defaults, "experimental": {"abortOnPluginFailure": True, "localPlugins": plugins}}
        del defaults["experimental"]  # Traefik takes no empty one
        return defaults

    def _write_dynamic(self) -> None:
        self._revision += 1
        routers: dict[str, Any] = {"revision": {"rule": f"Host(`{self._revision}.invalid`)", "service": "upstream"}}
        for variant in self._variants:
            routers[variant.key] = {"rule": "PathPrefix(`/`)", "entryPoints": [variant.key], "service": "upstream"}
        for variant in self._plugged:
            routers[variant.key]["middlewares"] = [variant.key]
        middlewares = {
            variant.key: {"plugin": {variant.key: variant.configured(self._addresses.get(variant.key, ""))}}
            for variant in self._plugged
        }
        services = {"upstream": {"loadBalancer": {"servers": [{"url": self._upstream}]}}}
        http = {"routers": routers, "services": services, **({"middlewares": middlewares} if middlewares else {})}
        self._write("dynamic.yml", {"http": http})
