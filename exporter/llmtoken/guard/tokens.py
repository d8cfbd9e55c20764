"""The tokens that are valid now, from the settings and from files that may change while we run.

A file that is gone, unreadable or empty changes nothing: what was valid stays valid, and a
collector that asks for tokens never stops asking. Must not know HTTP.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path

from llmtoken.errors import ConfigError

log = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0
"""Seconds after which a file is looked at again."""

_Signature = tuple[int, int, int] | None


class Tokens:
    """`read` gives all that are valid, those in `file` among them. For one thread."""

    def __init__(
        self, read: Callable[[], frozenset[str]], file: Path | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._file, self._clock = read, file, clock
        self._seen, self._looked = _signature(file), clock()
        self._known = _encoded(read())

    @property
    def required(self) -> bool:
        """Whether a token is asked for at all."""
        return bool(self._known)

    def admit(self, given: str) -> bool:
        """Whether this is one of them. Every token is compared, in constant time, so that the time tells nothing."""
        self._refresh()
        presented = given.encode("utf-8", "surrogateescape")
        matches = [hmac.compare_digest(presented, token) for token in self._known]
        return any(matches)

    def _refresh(self) -> None:
        now = self._clock()
        if self._file is None or now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        signature = _signature(self._file)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            known = _encoded(self._read())
        except ConfigError as error:
            log.warning("The tokens stay as they were: %s", error)
            return
        if not known:
            log.warning("The tokens stay as they were: %s has none any more", self._file)
            return
        self._known = known
        log.info("%d tokens are valid now, by %s", len(known), self._file)


def _signature(file: Path | None) -> _Signature:
    """Changes when the file does, also when another one takes its place."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None


def _encoded(tokens: frozenset[str]) -> list[bytes]:
    return [token.encode() for token in tokens]
