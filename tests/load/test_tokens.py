"""Tokens are counted with the model's own vocabulary, or by an estimate that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.load.tokens import EstimatedCounter, counter_for, tokenizer_at
from tests.load.gguf import gguf, text
from tests.load.vocabularies import small_tokenizer, smollm2

NO_TOKENIZER = "there is no tokenizer at .*nowhere; give a tokenizer.json, a folder that holds one, or a GGUF file"


def test_without_a_tokenizer_words_are_counted_and_the_name_says_so() -> None:
    counter = counter_for(TokenizerRef(kind="none"))
    assert (counter.source, counter.name) == ("estimated", "estimated: one token a word")
    assert [counter.count(text) for text in ("", "one", "one two  three")] == [0, 1, 3]


def test_a_tokenizer_file_counts_without_special_tokens_truncation_and_padding(tmp_path: Path) -> None:
    counter = counter_for(TokenizerRef(kind="json", path=small_tokenizer(tmp_path)))
    assert (counter.source, counter.name) == ("tokenizer", "tokenizer.json")
    assert [counter.count(text) for text in ("", "the", " able about", "q" * 40)] == [0, 3, 2, 40]


def test_a_folder_that_holds_a_tokenizer_is_a_tokenizer(tmp_path: Path) -> None:
    file = small_tokenizer(tmp_path)
    assert counter_for(TokenizerRef(kind="json", path=tmp_path)).name == "tokenizer.json"
    assert tokenizer_at(tmp_path) == tokenizer_at(file) == TokenizerRef(kind="json", path=file)


def test_the_vocabulary_inside_a_gguf_file_counts_as_the_model_does() -> None:
    counter = smollm2()
    assert counter.source == "tokenizer"
    assert counter.name.endswith(".gguf")
    # As llama.cpp's own tokenizer cuts them: one token a usual word, and rare words in pieces.
    assert [counter.count(text) for text in ("", "hello", "the quick brown fox", "antidisestablishmentarianism")] == [0, 1, 4, 5]


def test_a_vocabulary_that_is_cut_by_scores_is_estimated(tmp_path: Path) -> None:
    file = tmp_path / "llama.gguf"
    file.write_bytes(gguf(text("tokenizer.ggml.model", "llama")))
    assert isinstance(counter_for(TokenizerRef(kind="gguf", path=file)), EstimatedCounter)


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LoadError, match=NO_TOKENIZER):
        counter_for(TokenizerRef(kind="json", path=Path("nowhere")))
    with pytest.raises(ConfigError, match=NO_TOKENIZER):
        tokenizer_at(Path("nowhere"))


@pytest.mark.parametrize("text", ["{}", "not json", '{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(text)
    with pytest.raises(LoadError, match=r"tokenizer\.json is not a tokenizer that the tokenizers library can read: "):
        counter_for(TokenizerRef(kind="json", path=file))


def test_a_file_that_is_no_gguf_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"PK\3\4" * 20)
    with pytest.raises(LoadError, match=r"model\.gguf is not a GGUF file that can be read: "):
        counter_for(TokenizerRef(kind="gguf", path=file))


def test_a_gguf_file_is_known_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    assert tokenizer_at(file) == TokenizerRef(kind="gguf", path=file)
