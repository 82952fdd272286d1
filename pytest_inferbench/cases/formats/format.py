"""
What a reader of another system's configuration takes and gives.

Rule: a reader is pure. It gets the text of one file and returns what a suite file of this project would hold, so that a converted
file and the original make the same cases by construction. Nothing of the file is run, and no secret in it goes any further:
see `cases.formats.secrets`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.readers import Document, Place, document_of, dotted
from pytest_inferbench.errors import ConfigError

SHAREGPT: Mapping[str, str] = {"path": "ShareGPT_V3_unfiltered_cleaned_split.json", "format": "sharegpt"}
"""The data set that others call ``sharegpt``: the file they download, expected beside the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """
    One suite out of another system's file.

    Attributes:
        name: of the suite; that of the file, without its ending, unless the format has one for the whole.
        suite: what a suite file would hold, in its spelling: plain values only.
        origin: where in the file it stands.
        notes: what is not carried over, or means something else here; one sentence each, without a full stop.
        lines: lines of the file by place in ``suite``, where known; they are what messages point to.
        with_tool: the suites that run the file's own load generator in its container instead; none where it has none.
    """

    name: str
    suite: Mapping[str, Any]
    origin: Origin
    notes: tuple[str, ...] = ()
    lines: Mapping[Place, int] = field(default_factory=dict)
    with_tool: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of one file, ``path`` as messages show it; ``gpus`` are those of this machine, for files that ask for all."""

    path: str
    text: str
    gpus: int = 0

    @property
    def stem(self) -> str:
        """The file's name without its ending: what its suites are called."""
        return Path(self.path).name.split(".")[0] or "suite"

    def document(self, suffix: str | None = None, *, top: str | None = None, lenient: bool = False) -> Document:
        """
        The text as YAML, TOML or JSON, by its file's ending or ``suffix``.

        A list at the top (JSON only) becomes the field ``top``, where one is named. Of a field that stands twice in JSON
        ``lenient`` takes the last value, as most tools do; else it is an error.

        Raises:
            ConfigError: it is not of that format; names the line.
        """
        suffix = suffix or Path(self.path).suffix
        if top is not None and suffix == ".json" and self.text.lstrip().startswith("["):
            return document_of(f'{{"{top}": {self.text}}}', self.path, suffix, last_wins=lenient)
        return document_of(self.text, self.path, suffix, last_wins=lenient)

    def line_of(self, document: Document, place: Place) -> int | None:
        """
        The line of a place.

        An item of a list has none of its own: of an object it is that of its first field, of a text the line on which that text
        first stands after the list's.
        """
        line = document.line_of(place)
        item: Any = document.data
        for part in place:
            try:
                item = item[part]
            except (KeyError, IndexError, TypeError):
                return line
        if line is None or not place or not isinstance(place[-1], int):
            return line
        if isinstance(item, dict) and item:
            return document.line_of((*place, next(iter(item))))
        if not isinstance(item, str):
            return line
        written = json.dumps(item, ensure_ascii=False)
        for number, text in enumerate(self.text.splitlines()[line - 1 :], start=line):
            if written in text:
                return number
        return line

    def origin(self, document: Document, place: Place = ()) -> Origin:
        """Where a place stands."""
        return Origin(file=self.path, line=self.line_of(document, place))

    def error(self, problem: str, document: Document, place: Place) -> ConfigError:
        """A `ConfigError` that points to a place of the file, under the file's own name for it."""
        return ConfigError(problem, file=self.path, line=self.line_of(document, place), field=dotted(place) or None)


class Format(Protocol):
    """Another system's configuration format."""

    @property
    def name(self) -> str:
        """What options and notes call it, such as ``benchflow``."""

    @property
    def title(self) -> str:
        """What people call it, such as ``BenchFlow JSON``."""

    def recognises(self, path: Path, text: str) -> bool:
        """
        Whether the text is of this format, by its content.

        Must not raise, and must say yes to a file of this format that is broken, so that its error is told.
        """

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        What the file describes, in its order.

        ``lenient`` does as the original tool does where strict reading refuses.

        Raises:
            ConfigError: it says something wrong, or something that would silently do nothing.
        """
