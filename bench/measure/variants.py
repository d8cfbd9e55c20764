"""What is compared: the ways to the upstream, with plugins from several places, made to live in one Traefik.

Each plugin becomes a module of its own, so that Traefik gives it an interpreter of its own, and
what one does to the process meets all alike. Must not know what is measured.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.needs import ROOT, SHARED

PLAIN = "plain Traefik"
OURS = "ours"


@dataclass(frozen=True)
class Variant:
    """One way from the client to the upstream.

    `folder` holds the plugin's source and `address` names the key for the collector's URL, where
    there is a plugin and where it reports.
    """

    name: str
    folder: Path | None = None
    address: str | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    proxied: bool = True

    @property
    def key(self) -> str:
        """The name as entry points, modules and paths take it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def module(self) -> str:
        return f"bench.invalid/{self.key}"

    def configured(self, url: str) -> dict[str, Any]:
        """The middleware's configuration, with the collector at `url`."""
        return {**self.configuration, **({self.address: url} if self.address else {})}


def direct() -> Variant:
    return Variant("direct", proxied=False)


def plain() -> Variant:
    return Variant(PLAIN)


def noop() -> Variant:
    return Variant("no-op plugin", ROOT / "bench" / "noop")


def ours(name: str = OURS, folder: Path = ROOT / "plugin", **configuration: Any) -> Variant:
    return Variant(name, folder, "apiurl", configuration)


def others(workshop: Path) -> Iterator[Variant]:
    """The seed's plugin and the prototype, where their sources are at hand."""
    for page in sorted((SHARED / "seed").glob("*.txt")):
        if folder := extracted(page, workshop / "seed"):
            yield Variant("seed", folder, "apiurl")
            break
    if (prototype := SHARED / "tools" / "tap_prototype").is_dir():
        yield Variant("prototype", prototype, "endpoint")


def extracted(page: Path, folder: Path) -> Path | None:
    """The plugin that stands in a page's code fences, if there is one."""
    blocks = re.findall(r"^```go\n(.*?)^```", page.read_text("utf-8", "replace"), re.MULTILINE | re.DOTALL)
    sources = [block for block in blocks if "func CreateConfig(" in block]
    if not sources:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.go").write_text(sources[0], "utf-8")
    return folder


def keys(folder: Path) -> set[str]:
    """The keys of a plugin's configuration, in lower case."""
    for source in folder.glob("*.go"):
        if found := re.search(r"^type Config struct \{\n(.*?)^\}", source.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            return {name.lower() for name in re.findall(r"^\t([A-Z]\w*)\s+\S", found[1], re.MULTILINE)}
    return set()


def install(variant: Variant, modules: Path) -> None:
    """Copy a plugin to where Traefik looks for it, under a name of its own."""
    assert variant.folder is not None
    target = modules / variant.module
    shutil.copytree(variant.folder, target, ignore=shutil.ignore_patterns("*_test.go"))
    source = next(iter(sorted(target.glob("*.go")))).read_text("utf-8", "replace")
    package = re.search(r"^package (\w+)", source, re.MULTILINE)
    assert package, f"{variant.folder} holds no Go package"
    manifest: dict[str, Any] = {
        "displayName": variant.name,
        "type": "middleware",
        "import": variant.module,
        "basePkg": package[1],
        "summary": "Under comparison.",
        "testData": {},
    }
    (target / "go.mod").write_text(f"module {variant.module}\n\ngo 1.21\n", "utf-8")
    (target / ".traefik.yml").write_text(json.dumps(manifest), "utf-8")  # JSON is YAML too
