"""Tokens are counted with the model's own vocabulary, or by an estimate that says so."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.load.tokens import EstimatedCounter, counter_for, tokenizer_at
from pytest_inferbench.load.words import WORDS
from tests.load.gguf import gguf, number, numbers, text, texts
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


@pytest.mark.parametrize("kind", ["bert", "t5", "llama"])
def test_a_vocabulary_that_cannot_be_read_is_estimated(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(gguf(text("tokenizer.ggml.model", kind)))
    assert isinstance(counter_for(TokenizerRef(kind="gguf", path=file)), EstimatedCounter)


PIECES = sorted({word[a:b] for word in WORDS[:60] for a in range(len(word)) for b in range(a + 2, len(word) + 1)})
LETTERS = sorted(set("".join(WORDS[:60])))
CONTROL, BYTE = 3, 6


def scored_gguf(scores: dict[str, float], *, prefixed: bool | None = None) -> bytes:
    """A vocabulary cut by scores: control tokens, the bytes, and these."""
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    tokens = ["<unk>", "<s>", "</s>", *bytes_, *scores]
    kinds = [2, CONTROL, CONTROL, *[BYTE] * 256, *[1] * len(scores)]
    fields = [
        text("tokenizer.ggml.model", "llama"),
        texts("tokenizer.ggml.tokens", *tokens),
        numbers("tokenizer.ggml.scores", 6, "f", *[0.0] * 259, *scores.values()),
        numbers("tokenizer.ggml.token_type", 5, "i", *kinds),
    ]
    return gguf(*fields, *([] if prefixed is None else [number("tokenizer.ggml.add_space_prefix", 7, "?", prefixed)]))


def cut_by_scores(said: str, scores: dict[str, float]) -> list[str]:
    """SentencePiece by its definition: of all neighbours that are a token together, join those of the best score."""
    parts = list("▁" + said.replace(" ", "▁"))
    while pairs := [(scores[a + b], -at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in scores]:
        at = -max(pairs)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


@settings(max_examples=25, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), unique=True, max_size=60), said=st.lists(st.sampled_from(WORDS[:60]), min_size=1))
def test_a_vocabulary_with_scores_is_cut_as_sentencepiece_cuts_it(
    pieces: list[str], said: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ordered = [*LETTERS, "▁", *pieces, *(f"▁{piece}" for piece in pieces[::2])]
    scores = {token: -float(place) for place, token in enumerate(reversed(ordered))}
    file = tmp_path_factory.mktemp("scored") / "llama.gguf"
    file.write_bytes(scored_gguf(scores))
    counter = counter_for(TokenizerRef(kind="gguf", path=file))
    expected = cut_by_scores(" ".join(said), scores)
    assert counter.source == "tokenizer"
    assert counter.ids(" ".join(said)) == tuple(259 + list(scores).index(token) for token in expected)


def test_what_no_token_with_a_score_covers_is_counted_in_bytes(tmp_path: Path) -> None:
    file = tmp_path / "llama.gguf"
    file.write_bytes(scored_gguf({"a": -2.0, "▁": -3.0, "▁a": -1.0}))
    counter = counter_for(TokenizerRef(kind="gguf", path=file))
    assert [counter.count(said) for said in ("a", "a a", "€", "<s>")] == [1, 2, 4, 4]


def test_a_vocabulary_may_put_no_blank_before_a_text(tmp_path: Path) -> None:
    file = tmp_path / "gemma.gguf"
    file.write_bytes(scored_gguf({"a": -2.0, "▁": -3.0, "▁a": -1.0}, prefixed=False))
    assert counter_for(TokenizerRef(kind="gguf", path=file)).ids("a a") == (259, 261)


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
