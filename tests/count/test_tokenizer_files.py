"""A model's own `tokenizer.json` counts its texts, where the user has given it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from msgspec.structs import replace

from llmtoken.count import Counter, TokenizerFiles
from llmtoken.count.families import family_of
from llmtoken.count.tokenizer import Tokenizer
from llmtoken.inference import Completion, Extraction, Inference, Usage

TRAINED_ON = ["the quick brown fox jumps over the lazy dog, and nobody minds", "low lower lowest new newer newest"] * 50
TEXT = "the lowest zebra jumps quietly over quartz"


@pytest.fixture
def tokenizer() -> Any:
    """A small byte-level BPE, trained here and now, with what real files have: special tokens, truncation, padding."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TRAINED_ON, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return made


@pytest.fixture
def file(tokenizer: Any, tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    tokenizer.enable_truncation(max_length=3)
    tokenizer.enable_padding(length=64, pad_id=1, pad_token="<pad>")
    tokenizer.save(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return path


def counted(model: str, files: TokenizerFiles, text: str = TEXT) -> int:
    inference = Inference(operation_name="chat", provider_name="self_hosted", request_model=model)
    asked = Extraction(api="openai.chat", inference=inference, completion=lambda: Completion(texts=(text,)))
    usage = Counter(files).complete(asked).usage
    assert usage.source == "estimated"
    assert usage.output_tokens is not None
    return usage.output_tokens - family_of("openai.chat", "self_hosted", model).text


def test_its_count_is_exact_without_factor_special_tokens_truncation_or_padding(tokenizer: Any, file: Path) -> None:
    exact = len(tokenizer.encode(TEXT, add_special_tokens=False).ids)
    assert counted("qwen3-8b", TokenizerFiles({"qwen*": file})) == exact
    assert counted("qwen3-8b", TokenizerFiles()) != exact


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "qwen3-8b", "team/QWEN"])
def test_a_pattern_fits_whatever_the_case(file: Path, model: str) -> None:
    assert TokenizerFiles({"*Qwen*": file}).encoder(model)


def test_other_models_are_counted_as_before(file: Path) -> None:
    files = TokenizerFiles({"qwen*": file})
    assert files.encoder("llama-3.1-8b") is None
    assert files.encoder(None) is None
    assert counted("llama-3.1-8b", files) == counted("llama-3.1-8b", TokenizerFiles())


def test_the_first_pattern_that_fits_counts(file: Path, tmp_path: Path) -> None:
    files = TokenizerFiles({"qwen*": file, "*": tmp_path / "missing.json"})
    assert files.encoder("qwen3")


def test_the_name_that_was_asked_for_fits_too(file: Path) -> None:
    """A server may answer under the path of its weights."""
    inference = Inference(operation_name="chat", request_model="qwen3", response_model="/weights/final")
    asked = Extraction(api="openai.chat", inference=inference, completion=lambda: Completion(texts=(TEXT,)))
    by_alias = Counter(TokenizerFiles({"qwen*": file})).complete(asked).usage.output_tokens
    unknown = Counter().complete(asked).usage.output_tokens
    assert by_alias != unknown


def test_text_that_no_tokenizer_was_made_for_is_counted(file: Path) -> None:
    encode = TokenizerFiles({"*": file}).encoder("any")
    assert encode
    tokenizer = Tokenizer(encode)
    assert tokenizer.count(["\ud800 half of a pair", "\0", "漢字" * 50_000, " " * 200_000]) > 0


def test_it_is_loaded_once_for_all_threads(file: Path) -> None:
    files = TokenizerFiles({"*": file})
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(files.encoder("m"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(encode) for encode in found}) == 1


def test_a_file_that_turns_out_unusable_is_logged_and_counted_once_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "tokenizer.json"
    broken.write_text('{"model": {"type": "unheard of"}}')
    files = TokenizerFiles({"*": broken})
    with caplog.at_level(logging.ERROR):
        assert counted("qwen3-8b", files) == counted("qwen3-8b", TokenizerFiles())
        assert files.encoder("qwen3-8b") is None
    assert caplog.text.count(f"tokenizer {broken} can't be used") == 1
    assert files.failures == 1


def test_what_the_provider_reports_still_counts(file: Path) -> None:
    reported = Usage(input_tokens=1, output_tokens=2, source="reported")
    asked = Extraction(api="openai.chat", inference=Inference(request_model="qwen3", usage=reported))
    assert Counter(TokenizerFiles({"*": file})).complete(replace(asked)).usage is reported
