"""The system's curl, as a client of HTTP/2: frames, windows, resets and multiplexing are a real implementation's."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from support.needs import missing, program

H2C = ("--http2-prior-knowledge",)
"""HTTP/2 over a plain connection."""
TLS = ("--http2", "--insecure")


@dataclass(frozen=True)
class Got:
    """What curl saw: all header blocks (informational ones and trailers too), the body, and curl's exit code."""

    heads: bytes
    body: bytes
    code: int


def curl() -> str:
    """The program, if it speaks HTTP/2."""
    path = program("curl", "apt-get install curl")
    features = subprocess.run([path, "--version"], capture_output=True, check=True, text=True).stdout
    return path if "HTTP2" in features else missing("a curl with HTTP/2", "Debian's has it")


def fetch(folder: Path, *arguments: str, sent: bytes | None = None) -> Got:
    """One run of curl with this on its input; without `date`, which moves on."""
    heads = folder / "heads"
    heads.write_bytes(b"")
    command = [curl(), "--silent", "--max-time", "30", "--dump-header", str(heads), *arguments]
    done = subprocess.run(command, input=sent, capture_output=True, check=False)
    return Got(re.sub(rb"(?i)date: [^\r]+\r\n", b"", heads.read_bytes()), done.stdout, done.returncode)


class Transfer:
    """A transfer whose request's body is written, and whose reply is read, while it is under way."""

    def __init__(self, *arguments: str) -> None:
        command = [curl(), "--silent", "--no-buffer", "--max-time", "30", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.replies.close()

    @property
    def replies(self) -> IO[bytes]:
        assert self._process.stdout
        return self._process.stdout

    def send(self, data: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def end(self) -> None:
        """The request's body is whole."""
        assert self._process.stdin
        self._process.stdin.close()

    def kill(self) -> None:
        """Be gone in the middle."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
