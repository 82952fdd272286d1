"""
A file of somebody else's, and its fields: what is not as it should be is a `ConfigError` that names file and field.

Rule: read as data, never as code. The only module of this folder that opens files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.readers import read_document
from pytest_inferbench.errors import ConfigError

FILE_BYTES_MAX = 512 * 2**20
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file: its text, and its data where it is JSON or YAML (else None)."""

    path: Path
    text: str
    data: Any

    def sibling(self, name: str) -> Source | None:
        """A file beside it; None where there is none."""
        path = self.path.parent / name
        return open_source(path) if path.is_file() else None

    @property
    def fields(self) -> Fields:
        """Its data, which is an object."""
        return Fields(file=str(self.path), data=self.data)


def open_source(path: Path) -> Source:
    """
    Read a file.

    Raises:
        ConfigError: it is not there, too large, not text, or not of the format that its name says.
    """
    file = str(path)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"it has {path.stat().st_size} bytes, and {FILE_BYTES_MAX} can be read", file=file)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"it is not text in UTF-8: {error.reason} at byte {error.start}", file=file) from error
    except OSError as error:
        raise ConfigError(f"it could not be read: {error.strerror or error}", file=file) from error
    if path.suffix == ".json":
        return Source(path=path, text=text, data=_json(text, file))
    if path.suffix in _YAML:
        # JSON is YAML, and quicker read.
        data = _json(text, file) if text.lstrip().startswith("{") else read_document(path).data
        return Source(path=path, text=text, data=data)
    return Source(path=path, text=text, data=None)


def _json(text: str, file: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"it is not JSON: {error.msg}", file=file, line=error.lineno) from error
    except RecursionError as error:
        raise ConfigError("it is nested too deeply", file=file) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """An object within a file; ``place`` is the dotted path to it."""

    file: str
    data: Any
    place: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.data, Mapping):
            raise self.wrong("", self.data, "an object")

    def within(self, name: str) -> Fields:
        """The object in a field; it has to be there."""
        return Fields(file=self.file, data=self._get(name), place=self._at(name))

    def maybe(self, name: str) -> Fields:
        """The object in a field, empty where there is none."""
        found = self.data.get(name)
        return Fields(file=self.file, data={} if found is None else found, place=self._at(name))

    def each(self, name: str) -> Iterator[Fields]:
        """The objects in a list; it has to be there."""
        for place, value in enumerate(self.items(name)):
            yield Fields(file=self.file, data=value, place=f"{self._at(name)}[{place}]")

    def items(self, name: str) -> Sequence[Any]:
        """A list; it has to be there."""
        found = self._get(name)
        if not isinstance(found, list):
            raise self.wrong(name, found, "a list")
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """A number; without a default it has to be there. ``inf`` may be a text; null is the default, else NaN."""
        if default is not None and self.data.get(name) is None:
            return default
        found = self._get(name)
        if found is None:
            return nan
        if isinstance(found, str):
            try:
                return float(found)
            except ValueError:
                raise self.wrong(name, found, "a number") from None
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self.wrong(name, found, "a number")
        return float(found)

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number, likewise."""
        found = self.number(name, default)
        if found != int(found) if abs(found) < 2**63 else True:
            raise self.wrong(name, found, "a whole number")
        return int(found)

    def text(self, name: str, default: str | None = None) -> str:
        """A text; without a default it has to be there."""
        if default is not None and self.data.get(name) is None:
            return default
        found = self._get(name)
        if not isinstance(found, str):
            raise self.wrong(name, found, "a text")
        return found

    def found(self, *names: str | int) -> Any:
        """What stands at a path of names and places (-1 is the last); None where the path ends early. Never raises."""
        value: Any = self.data
        for name in names:
            try:
                value = value[name]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def statistics(self, names: Mapping[str, str], *, scale: float = 1.0) -> dict[str, float]:
        """Statistics under our names, from ``names`` (ours to the tool's), those that are there and not null, scaled."""
        return {ours: self.number(theirs) * scale for ours, theirs in names.items() if self.data.get(theirs) is not None}

    def wrong(self, name: str, found: Any, expected: str) -> ConfigError:
        """What is wrong with a field."""
        shown = f"{found!r:.60}"
        return ConfigError(f"{shown} stands where {expected} belongs", file=self.file, field=self._at(name) or None)

    def _get(self, name: str) -> Any:
        if name not in self.data:
            raise ConfigError("it is missing; is the file whole?", file=self.file, field=self._at(name))
        return self.data[name]

    def _at(self, name: str) -> str:
        return ".".join(part for part in (self.place, name) if part)
