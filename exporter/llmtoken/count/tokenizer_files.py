"""The tokenizers that the user has named: `tokenizer.json` files, by patterns of model names.

With a model's own tokenizer its texts are counted exactly; only the frame around them stays an
estimate. Owns finding the file for a model and loading it at its first use. Needs the
`tokenizers` library (`pip install llmtoken[tokenizers]`), which `llmtoken.config` checks at
the start together with the files. Must not know prompts or replies.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_SURROGATE = re.compile("[\ud800-\udfff]")

Encode = Callable[[str], Sequence[Any]]


class TokenizerFiles:
    """Encoders from files; loaded once, shared by all threads."""

    def __init__(self, files: Mapping[str, Path] | None = None) -> None:
        self._files = {pattern.lower(): path for pattern, path in (files or {}).items()}
        self._loaded: dict[Path, Encode | None] = {}
        self._loading = threading.Lock()

    @property
    def failures(self) -> int:
        """How many files turned out unusable."""
        return sum(encode is None for encode in list(self._loaded.values()))

    def encoder(self, model: str | None) -> Encode | None:
        """The encoder of the first pattern that fits the model's name, whatever its case; `None` without one.

        A file that turns out unusable is logged once; its models are then counted as if it weren't there.
        """
        if not self._files or not model:
            return None
        name = model.lower()
        path = next((path for pattern, path in self._files.items() if fnmatchcase(name, pattern)), None)
        return self._load(path) if path is not None else None

    def _load(self, path: Path) -> Encode | None:
        with self._loading:
            if path not in self._loaded:
                try:
                    self._loaded[path] = _read(path)
                except Exception:
                    # The library raises bare exceptions; the calls must be counted all the same.
                    log.exception("The tokenizer %s can't be used; its models are counted without it", path)
                    self._loaded[path] = None
            return self._loaded[path]


def _read(path: Path) -> Encode:
    from tokenizers import Tokenizer  # noqa: PLC0415 - an optional package

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(text: str) -> Sequence[int]:
        # Half of a surrogate pair, which JSON can hold and UTF-8 can't, becomes U+FFFD, as it does in tiktoken.
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _SURROGATE.search(text) else text
        ids: Sequence[int] = tokenizer.encode(clean, add_special_tokens=False).ids
        return ids

    return encode
