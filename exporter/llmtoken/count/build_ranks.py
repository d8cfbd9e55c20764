"""Re-create `ranks/` from the official `.tiktoken` files, checking their hashes.

    python -m llmtoken.count.build_ranks DIRECTORY

`DIRECTORY` holds `o200k_base.tiktoken` and `cl100k_base.tiktoken`, wherever they come from:
tiktoken's own cache, or a package that bundles it. Run by a maintainer when an encoding is
added; nothing at run time needs it.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

from llmtoken.count.encodings import SHA256, EncodingName, pack, tokens

RANKS = Path(__file__).with_name("ranks")


def read_official(name: EncodingName, directory: Path) -> list[bytes]:
    """The tokens of an official file in the order of their ranks. Raises `ValueError` if it isn't that file."""
    content = directory.joinpath(f"{name}.tiktoken").read_bytes()
    if (actual := hashlib.sha256(content).hexdigest()) != SHA256[name]:
        raise ValueError(f"{name}.tiktoken has the hash {actual}, not {SHA256[name]}")
    lines = (line.split() for line in content.splitlines())
    ordered = sorted((int(rank), base64.b64decode(token)) for token, rank in lines)
    if [rank for rank, _ in ordered] != list(range(len(ordered))):
        raise ValueError(f"{name}.tiktoken leaves ranks out, so their order doesn't tell them")
    return [token for _, token in ordered]


def official_text(name: EncodingName) -> bytes:
    """The official `.tiktoken` file, written again from what is shipped."""
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens(name)))


def main(directory: Path) -> None:
    """Write all shipped encodings anew."""
    RANKS.mkdir(exist_ok=True)
    for name in SHA256:
        target = RANKS / f"{name}.zst"
        target.write_bytes(pack(read_official(name, directory)))
        sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
