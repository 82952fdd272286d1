"""
Protobuf text as plain data: fields by name, each a list, for any field may be repeated.

Rule: as much of the format as results need: names, numbers, quoted texts, messages in ``{}`` or ``<>``, lists in ``[]``,
comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pytest_inferbench.errors import ConfigError

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<word>[\w.+-]+)|(?P<mark>[{}<>\[\]:;,])"""
)
DEPTH_MAX = 40
_CLOSING = {"{": "}", "<": ">"}


def parse(text: str, file: str) -> dict[str, list[Any]]:
    """
    The message in a text.

    Raises:
        ConfigError: it is none; names the line.
    """
    return _Parser(text, file).message(end=None, depth=0)


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._tokens = list(_tokens(text, file))
        self._place = 0

    def message(self, *, end: str | None, depth: int) -> dict[str, list[Any]]:
        if depth > DEPTH_MAX:
            raise self._wrong("it is nested too deeply")
        fields: dict[str, list[Any]] = {}
        while (kind_and_text := self._next(end)) is not None:
            kind, name = kind_and_text
            if kind != "word":
                raise self._wrong(f"{name} stands where the name of a field belongs")
            if self._peek() == ":":
                self._place += 1
            fields.setdefault(name, []).extend(self._values(name, depth))
            if self._peek() in (",", ";"):
                self._place += 1
        return fields

    def _values(self, name: str, depth: int) -> list[Any]:
        kind, text = self._take(f"a value for {name}")
        if text in _CLOSING and kind == "mark":
            return [self.message(end=_CLOSING[text], depth=depth + 1)]
        if text == "[" and kind == "mark":
            found: list[Any] = []
            while self._peek() != "]":
                found += self._values(name, depth)
                if self._peek() == ",":
                    self._place += 1
            self._place += 1
            return found
        if kind == "mark":
            raise self._wrong(f"{text} stands where a value for {name} belongs")
        return [_text(text) if kind == "text" else _scalar(text)]

    def _next(self, end: str | None) -> tuple[str, str] | None:
        """The next token of a message; None at its end."""
        if end is None and self._place == len(self._tokens):
            return None
        kind, text = self._take(end or "a field")
        return None if kind == "mark" and text == end else (kind, text)

    def _peek(self) -> str | None:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else None

    def _take(self, expected: str) -> tuple[str, str]:
        if self._place == len(self._tokens):
            raise self._wrong(f"it ends where {expected} belongs; is the file whole?")
        kind, text, _ = self._tokens[self._place]
        self._place += 1
        return kind, text

    def _wrong(self, problem: str) -> ConfigError:
        line = self._tokens[max(self._place - 1, 0)][2] if self._tokens else 1
        return ConfigError(problem, file=self._file, line=line)


def _tokens(text: str, file: str) -> Iterator[tuple[str, str, int]]:
    place, line = 0, 1
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise ConfigError(f"{text[place]!r} has no meaning in protobuf text", file=file, line=line)
        if found.lastgroup != "skip":
            yield found.lastgroup, found.group(), line
        line += found.group().count("\n")
        place = found.end()


def _text(quoted: str) -> str:
    try:
        value = json.loads(f'"{quoted[1:-1]}"' if quoted[0] == '"' else json.dumps(quoted[1:-1]))
    except json.JSONDecodeError:
        return quoted[1:-1]
    return str(value)


def _scalar(word: str) -> float | str:
    try:
        return float(word.rstrip("fF") if word[0].isdigit() or word[0] in "+-." else word)
    except ValueError:
        return word
