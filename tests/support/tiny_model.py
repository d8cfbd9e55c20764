"""A llama model of random weights with a real tokenizer, made in a moment: under 1 MB, no download."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from support.needs import ROOT, missing

if TYPE_CHECKING:
    import gguf

NAME = "tiny"
"""What the model calls itself in replies."""
CONTEXT = 8192
"""Tokens of prompt and reply together that one call may take."""

_WIDTH = 64
_LAYERS = 2
_HEADS = 4
_MERGES = 300
_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build(path: Path) -> Path:
    """Write the model as GGUF; its tokenizer is trained on our licence, so it is the same everywhere."""
    for module in ("gguf", "numpy"):
        if importlib.util.find_spec(module) is None:
            missing(module, f"pip install {module}")
    import gguf  # noqa: PLC0415 - after the check

    spelling = _spelling()
    merges = _train((ROOT / "LICENSE").read_text("utf-8"), spelling)
    words = [*(spelling[byte] for byte in range(256)), *("".join(pair) for pair in merges)]
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer)
    _add_tokenizer(writer, words, merges)
    _add_weights(writer, words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter) -> None:
    import gguf  # noqa: PLC0415

    writer.add_name(NAME)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(2 * _WIDTH)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_chat_template(_TEMPLATE)


def _add_tokenizer(writer: gguf.GGUFWriter, words: list[str], merges: list[tuple[str, str]]) -> None:
    import gguf  # noqa: PLC0415

    vocabulary = [*words, *_CONTROL]
    end_of_text, _, end_of_turn = range(len(words), len(vocabulary))
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(words) + [gguf.TokenType.CONTROL] * len(_CONTROL))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(end_of_text)
    writer.add_eos_token_id(end_of_turn)
    writer.add_eot_token_id(end_of_turn)
    writer.add_pad_token_id(end_of_text)
    writer.add_add_bos_token(False)


def _add_weights(writer: gguf.GGUFWriter, words: list[str]) -> None:
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng(7)

    def noise(name: str, *shape: int, scale: float) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * scale).astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(_WIDTH, np.float32))

    tokens = len(words) + len(_CONTROL)
    noise("token_embd.weight", tokens, _WIDTH, scale=1.0)
    ones("output_norm.weight")
    # Words and letters are likely; control tokens and parts of characters all but never come.
    output = (random.standard_normal((tokens, _WIDTH)) * 0.3).astype(np.float32)
    likely = [len(word) > 1 or word.isascii() for word in words] + [False] * len(_CONTROL)
    output[~np.array(likely)] *= 0.01
    writer.add_tensor("output.weight", output)
    for layer in range(_LAYERS):
        ones(f"blk.{layer}.attn_norm.weight")
        ones(f"blk.{layer}.ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            noise(f"blk.{layer}.{part}.weight", _WIDTH, _WIDTH, scale=0.2)
        for part in ("ffn_gate", "ffn_up"):
            noise(f"blk.{layer}.{part}.weight", 2 * _WIDTH, _WIDTH, scale=0.2)
        noise(f"blk.{layer}.ffn_down.weight", _WIDTH, 2 * _WIDTH, scale=0.2)


def _spelling() -> dict[int, str]:
    """How a byte-level BPE writes each byte: GPT-2's table."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _train(text: str, spelling: dict[int, str]) -> list[tuple[str, str]]:
    """Plain BPE: join the most frequent pair of neighbours, again and again."""
    pieces = re.findall(r" ?[A-Za-z]+| ?\d+| ?[^\sA-Za-z\d]+|\s+", text)
    words = Counter(tuple(spelling[byte] for byte in piece.encode()) for piece in pieces)
    merges: list[tuple[str, str]] = []
    while len(merges) < _MERGES:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = Counter({_join(word, best): count for word, count in words.items()})
    return merges


def _join(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    joined: list[str] = []
    for part in word:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
