"""
A request's body as a template, and a path to a text in an answer: both are parsed data, and neither is ever run.

Rule: a value takes the place of a placeholder inside a parsed JSON value. No text is pasted into JSON, and what was filled in
is not looked at again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_inferbench.errors import ConfigError

PROMPTS = ("prompt", "messages", "documents", "token_ids")
PLACEHOLDERS = (*PROMPTS, "images", "output_tokens", "model")
"""The first four hold what is asked; a body needs at least one of them."""

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_]+)\}")
_STEP = re.compile(r"""\.?([A-Za-z_][\w-]*)|\[(-?\d{1,6})\]|\[(?:'([^']+)'|"([^"]+)")\]""")


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """The JSON object of a request, with ``{placeholders}`` in its texts; doubled braces stand for single ones."""

    body: dict[str, Any]
    placeholders: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> BodyTemplate:
        """
        Read a template.

        Raises:
            ConfigError: it is no JSON object, has an unknown placeholder, one where it cannot stand, or nothing for the prompt.
        """
        try:
            body = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"is not JSON: {error}", field="body") from error
        if not isinstance(body, dict):
            raise ConfigError('must be a JSON object such as {"input": "{prompt}"}', field="body")
        found = {name for part in _texts(body) for name in _names(part)}
        if found.isdisjoint(PROMPTS):
            raise ConfigError(
                f"has no place for the prompt; write {' or '.join(f'{{{name}}}' for name in PROMPTS)}", field="body"
            )
        return cls(body, frozenset(found))

    def filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The body with every placeholder's value; one that is all of a text keeps its kind: a number, a list."""
        filled: dict[str, Any] = _filled(self.body, values)
        return filled


@dataclass(frozen=True, slots=True)
class TextPath:
    """Steps to a value inside JSON, such as ``choices[0].text``: names, indexes (also from the end), names in quotes."""

    steps: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> TextPath:
        """
        Read a path; ``$`` in front of it is the whole, and may be left out.

        Raises:
            ConfigError: it is no such path.
        """
        rest = text.strip().removeprefix("$")
        steps: list[str | int] = []
        at = 0
        while at < len(rest) and (found := _STEP.match(rest, at)):
            name, index, *quoted = found.groups()
            steps.append(int(index) if index is not None else name or next(filter(None, quoted)))
            at = found.end()
        if at < len(rest) or (not steps and text.strip() != "$"):
            raise ConfigError(f"{text!r} is not a path; write one such as choices[0].text", field="text")
        return cls(tuple(steps))

    def pick(self, value: Any) -> Any:
        """What is there; None where the path leads nowhere."""
        for step in self.steps:
            if isinstance(step, str) and isinstance(value, dict):
                value = value.get(step)
            elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
                value = value[step]
            else:
                return None
        return value


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, but for the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _names(text: str) -> Iterator[str]:
    for found in _PLACEHOLDER.finditer(text):
        name = found[1]
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ConfigError(f"{{{name}}} is not a placeholder; there are {known}, and {{{{ for a brace", field="body")
        if name in ("messages", "documents", "token_ids", "images") and found[0] != text:
            raise ConfigError(f"{{{name}}} is a list and must be all of a text, not a part of {text!r}", field="body")
        yield name


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole is not None and whole[1]:
        return values[whole[1]]
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]) if found[1] else found[0][0], value)
