"""What counting costs, and how near it comes: `.venv/bin/python bench/count.py`.

First µs per KB of several kinds of text, with both encodings, and what a call costs that
has no usage. Then the table of estimates against the recorded calls, their usage hidden.
"""

from __future__ import annotations

import random
import sys
import timeit
from pathlib import Path
from time import process_time
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from llmtoken.count import Calibration, Counter, encodings
from llmtoken.count.calibration import WINDOW
from llmtoken.count.correction import Side, correction
from llmtoken.count.tokenizer import EXACT, Tokenizer
from llmtoken.inference import Completion, Extraction, Inference, Message, Prompt
from support import estimates

SIZE = 200_000
PROSE = "The quick brown fox jumps over the lazy dog, and nobody minds. It's 12345 times that it did so.\n"
dice = random.Random(1)  # noqa: S311 - the same texts every time
TEXTS = {
    "English": PROSE * (SIZE // len(PROSE)),
    "JSON": '{"id":"chatcmpl-123","object":"chat.completion","created":1700000000},\n' * (SIZE // 72),
    "Chinese": "".join(chr(dice.randrange(0x4E00, 0x9FA5)) for _ in range(SIZE)),
    "random letters": "".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=SIZE)),
    "one letter": "a" * SIZE,
    "spaces": " " * SIZE,
    "lone surrogates": "\ud800" * SIZE,
}


def milliseconds(statement: str, number: int = 1, **names: object) -> float:
    """CPU time, so that other work on the machine matters less; the best of three."""
    return min(timeit.repeat(statement, timer=process_time, globals=names, number=number, repeat=3)) / number * 1000


def main() -> None:
    for name in encodings.SHA256:
        names = {"encodings": encodings, "name": name}
        cost = milliseconds("encodings._ranks.cache_clear(); encodings.build(name)", **names)
        print(f"load {name}: {cost:.0f} ms")
    print(f"\n{'µs per KB of UTF-8':<24}", *(f"{name:>12}" for name in encodings.SHA256))
    for kind, text in TEXTS.items():
        kilobytes = len(text.encode("utf-8", "surrogatepass")) / 1024
        costs = (
            milliseconds("t.count([text])", t=Tokenizer(encodings.load(name).encode_ordinary), text=text)
            for name in encodings.SHA256
        )
        print(f"{kind:<24}", *(f"{cost * 1000 / kilobytes:>12.0f}" for cost in costs))

    tokenizer = Tokenizer(encodings.load("o200k_base").encode_ordinary)
    print(f"\nAn endless text (more than {EXACT:,} characters), o200k_base")
    for kind in ("Chinese", "spaces"):
        print(f"{kind:<24} {milliseconds('t.count([text])', t=tokenizer, text=TEXTS[kind] * 100):>9.0f} ms")

    call = Extraction(
        api="openai.chat",
        inference=Inference(operation_name="chat", provider_name="openai", request_model="gpt-4o"),
        prompt=lambda: Prompt(messages=(Message(role="user", text=PROSE * 10),)),
        completion=lambda: Completion(texts=(PROSE * 10,)),
    )
    cost = milliseconds("complete(call)", 200, complete=Counter().complete, call=call)
    print(f"\nA call of 1 KB in and 1 KB out without usage: {cost * 1000:.0f} µs")
    pairs = [(count, count + 190) for count in dice.sample(range(10, 4000), WINDOW)]
    for side in get_args(Side):
        cost = milliseconds("correction(pairs, side)", 100, correction=correction, pairs=pairs, side=side)
        print(f"A correction from a full window of {side}: {cost * 1000:.0f} µs")
    known = Calibration([("openai", "gpt-4o", "input", tuple(pairs))])
    cost = milliseconds("wants('openai', 'gpt-4o')", 10_000, wants=known.wants)
    print(f"Whether a call of a well-known model is compared: {cost * 1000:.1f} µs\n")

    print("Recorded calls, counted with their usage hidden")
    print(estimates.HEADING, *estimates.table().values(), sep="\n")

    print("\nThe same, corrected by what the other calls of the model teach")
    print(estimates.HEADING, *(row for pair in estimates.calibrated().values() for row in pair), sep="\n")


if __name__ == "__main__":
    main()
