"""
Counting tokens: exactly, with the model's own vocabulary, or by estimate, which every record then says.

Rule: this is the only module that knows `tokenizers`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.load.gguf_file import gguf_fields

_GGUF = "tokenizer.ggml."
_FIELDS = ("model", "tokens", "merges", "scores", "token_type", "add_space_prefix")
_BLANK = "▁"
"""What SentencePiece writes for a blank."""
_NORMAL = 1
"""Tokens of texts; others of ``token_type`` (llama.cpp's ``llama_token_type``) are control tokens, bytes, or not in use."""


class TokenCounter(Protocol):
    """Counts the tokens of a text, without any special ones."""

    source: str
    """``tokenizer`` or ``estimated``."""
    name: str
    """What the record says: the tokenizer's file name, or how it was estimated."""

    def count(self, text: str) -> int:
        """Tokens of ``text``."""
        ...

    def ids(self, text: str) -> tuple[int, ...] | None:
        """The numbers of the tokens of ``text``; None where nobody knows them."""
        ...


class EstimatedCounter:
    """Counts words: the words of synthetic prompts are one token each in nearly every vocabulary."""

    source = "estimated"
    name = "estimated: one token a word"

    def count(self, text: str) -> int:
        """Words of ``text``."""
        return len(text.split())

    def ids(self, text: str) -> tuple[int, ...] | None:
        """None: there is no vocabulary."""
        del text
        return None


class VocabularyCounter:
    """Counts with a tokenizer of the `tokenizers` library."""

    source = "tokenizer"

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self.name = name

    def count(self, text: str) -> int:
        """Tokens of ``text``, special ones not added."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def ids(self, text: str) -> tuple[int, ...] | None:
        """The numbers of those tokens."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)


def counter_for(ref: TokenizerRef) -> TokenCounter:
    """
    The counter that belongs to a tokenizer reference.

    Raises:
        LoadError: the file is not there, is no tokenizer, or the library that reads it is missing.
    """
    if ref.kind == "none" or ref.path is None:
        return EstimatedCounter()
    return _counter(ref.kind, ref.path)


@lru_cache(maxsize=8)
def _counter(kind: str, path: Path) -> TokenCounter:
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        raise LoadError(f"there is no tokenizer at {path}; give a tokenizer.json, a folder that holds one, or a GGUF file")
    if kind == "gguf" or path.suffix == ".gguf":
        return _gguf_counter(path)
    return VocabularyCounter(_read_json(path), path.name)


def _read_json(path: Path) -> Any:
    from tokenizers import Tokenizer  # noqa: PLC0415 - takes 0.1 s, and many runs never need it

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for whatever it cannot read
        raise LoadError(f"{path} is not a tokenizer that the tokenizers library can read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _gguf_counter(path: Path) -> TokenCounter:
    found = gguf_fields(path, [_GGUF + name for name in _FIELDS])
    fields = {name: found[_GGUF + name] for name in _FIELDS if _GGUF + name in found}
    kind = fields.get("model")
    if kind == "gpt2":
        return VocabularyCounter(_byte_level_bpe(fields), path.name)
    if kind == "llama" and len(fields.get("scores", ())) == len(fields.get("tokens", ())) > 0:
        return VocabularyCounter(_scored_bpe(fields), path.name)
    # Others (WordPiece, Unigram) are cut in ways that this reader does not know: better an estimate that says so.
    return EstimatedCounter()


def _byte_level_bpe(fields: dict[str, Any]) -> Any:
    """
    The byte-level BPE of a GGUF file as a `tokenizers` object.

    Exact for plain lower-case words, which is what prompts are made of; how digits, other scripts and runs of blanks are cut
    before the merges differs between models (``tokenizer.ggml.pre``) and is not reproduced here.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415 - see above

    vocabulary = {token: index for index, token in enumerate(fields.get("tokens", ()))}
    merges = [tuple(merge.split(" ", 1)) for merge in fields.get("merges", ())]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _scored_bpe(fields: dict[str, Any]) -> Any:
    """
    The SentencePiece BPE of a GGUF file as a `tokenizers` object.

    SentencePiece joins, of all neighbours that together are a token, the two whose token has the best score; so every way to
    join two tokens is a merge, the best scores first. What no token covers becomes bytes.
    """
    from tokenizers import Tokenizer, models, normalizers  # noqa: PLC0415 - see above

    tokens, scores = fields["tokens"], fields["scores"]
    kinds = fields.get("token_type") or [_NORMAL] * len(tokens)
    normal = {token: score for token, score, kind in zip(tokens, scores, kinds, strict=False) if kind == _NORMAL}
    splits = [
        (-score, len(token), token[:at], token[at:])
        for token, score in normal.items()
        for at in range(1, len(token))
        if token[:at] in normal and token[at:] in normal
    ]
    merges = [(left, right) for _, _, left, right in sorted(splits)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    blanks = normalizers.Replace(" ", _BLANK)
    prefixed = fields.get("add_space_prefix", True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_BLANK), blanks]) if prefixed else blanks
    return tokenizer


def tokenizer_at(path: Path) -> TokenizerRef:
    """
    The tokenizer that a person points at: a tokenizer.json, a folder that holds one, or a GGUF file.

    Raises:
        ConfigError: it is none of them.
    """
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"there is no tokenizer at {path}; give a tokenizer.json, a folder that holds one, or a GGUF file")
    return TokenizerRef(kind="gguf" if file.suffix == ".gguf" else "json", path=file)
