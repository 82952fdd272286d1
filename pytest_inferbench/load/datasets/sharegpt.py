"""
Conversations as ShareGPT has them: a JSON list of ``{"conversations": [{"from": "human", "value": ...}, ...]}``.

The first message of a person and the answer to it are a request, as in other benchmarks. Conversations without such a pair
are left out: the published file has thousands of them.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from pytest_inferbench.cases.case import Dataset
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.content import Message
from pytest_inferbench.load.datasets.rows import Sample

_BYTES_MAX = 2 * 2**30
_HUMAN = ("human", "user")
_MODEL = ("gpt", "assistant", "chatgpt", "bing", "bard")

# Files of other systems name this data set without saying where it lies.
_MISSING = (
    "there is no such file; put the data set there, or, for another system's configuration, name the one you have with"
    " --inferbench-override dataset=FILE, or do without with --inferbench-override 'traffic=D(100,100)'"
)


class Conversations:
    """First messages and their answers."""

    def __init__(self, pairs: list[tuple[str, str]], dataset: Dataset) -> None:
        self._pairs = pairs
        self._output_tokens = dataset.output_tokens

    def __len__(self) -> int:
        return len(self._pairs)

    def sample(self, index: int) -> Sample:
        """A first message, and the answer to it for its length."""
        prompt, answer = self._pairs[index]
        messages = (Message("user", prompt),)
        return Sample(messages, output_tokens=self._output_tokens, answer=None if self._output_tokens else answer)


def read_sharegpt(dataset: Dataset) -> Conversations:
    """
    A file of conversations.

    Raises:
        ConfigError: it cannot be read, is no list of conversations, has none that can be used, or fields are asked for.
    """
    for name, value in (("prompt", dataset.prompt), ("output_tokens", dataset.output_field)):
        if value is not None:
            raise ConfigError(
                f"{value!r} asks for fields, and a ShareGPT conversation has none but its messages; use format: jsonl",
                field=f"dataset.{name}",
            )
    entries = _entries(dataset.path)
    pairs = [pair for at, entry in enumerate(entries) if (pair := _pair(entry, at, dataset.path)) is not None]
    if not pairs:
        raise ConfigError("has no conversation in which a person is answered", file=dataset.path)
    return Conversations(pairs, dataset)


def _entries(path: str) -> list[Any]:
    try:
        size = Path(path).stat().st_size
        if size > _BYTES_MAX:
            raise ConfigError(f"is larger than {_BYTES_MAX // 2**30} GiB; make JSON lines of it (format: jsonl)", file=path)
        entries = orjson.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(_MISSING, file=path) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"is not JSON: {error.msg}", file=path, line=error.lineno) from error
    if not isinstance(entries, list):
        raise ConfigError("is no list of conversations; for one object a line use format: jsonl", file=path)
    return entries


def _pair(entry: Any, at: int, path: str) -> tuple[str, str] | None:
    """The first message of a person that is answered at once, and the answer; None where there is none."""
    messages = entry.get("conversations", entry.get("messages")) if isinstance(entry, dict) else None
    if not isinstance(messages, list):
        raise ConfigError("has no list of conversations", file=path, field=f"[{at}]")
    said = [_said(message, f"[{at}].conversations[{index}]", path) for index, message in enumerate(messages)]
    for (speaker, text), (answerer, answer) in pairwise(said):
        if speaker in _HUMAN and answerer in _MODEL and text.strip() and answer.strip():
            return text, answer
    return None


def _said(message: Any, place: str, path: str) -> tuple[str, str]:
    if isinstance(message, dict):
        speaker, text = message.get("from", message.get("role")), message.get("value", message.get("content"))
        if isinstance(speaker, str) and isinstance(text, str):
            return speaker, text
    raise ConfigError("is no message with from and value, both texts", file=path, field=place)
