"""
What readers share while they read one JSON or YAML file: fields of the right kind, or an error in the file's own words.

Rule: strict reading refuses what the original tool swallows and says what it would have done; lenient reading does that, and
notes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.readers import Document, Place, dotted
from pytest_inferbench.errors import ConfigError


@dataclass(slots=True, kw_only=True)
class Reading:
    """One file on its way to suites; ``notes`` gathers what is not carried over."""

    source: Source
    document: Document
    lenient: bool
    notes: list[str] = field(default_factory=list)

    def error(self, problem: str, place: Place) -> ConfigError:
        """A `ConfigError` that points to a place of the file."""
        return self.source.error(problem, self.document, place)

    def refuse(self, problem: str, place: Place) -> None:
        """
        Strict: an error. Lenient: a note that says the same.

        Raises:
            ConfigError: reading is strict.
        """
        if not self.lenient:
            raise self.error(problem, place)
        self.note(f"{dotted(place)} {problem}" if place else problem)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def taken_notes(self) -> tuple[str, ...]:
        """The notes so far, and none are left: each suite has its own."""
        taken, self.notes = tuple(self.notes), []
        return taken

    def fields(self, place: Place, known: Iterable[str], *, otherwise: str) -> Mapping[str, Any]:
        """
        The object at a place, whose fields must be among ``known``; ``otherwise`` is what the original does with others.

        Raises:
            ConfigError: it is no object, or (strict) has another field.
        """
        value = self.at(place)
        if not isinstance(value, dict):
            raise self.error(f"must hold fields, not {_shown(value)}", place)
        known = tuple(known)
        for name in value:
            if name not in known:
                hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
                self.refuse(f"unknown field{hint}; {otherwise}", (*place, name))
        return value

    def items(self, place: Place) -> list[Any]:
        """
        The list at a place; empty where there is nothing.

        Raises:
            ConfigError: it is no list.
        """
        value = self.at(place)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(f"must be a list, not {_shown(value)}", place)
        return value

    def text(self, place: Place, default: str | None = None) -> str:
        """
        The text at a place.

        Raises:
            ConfigError: it is none, or is missing and there is no default.
        """
        value = self.at(place)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.error("is missing", place)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"must be text, not {_shown(value)}", place)
        return value

    def whole(self, place: Place, default: int | None = None, *, least: int = 1) -> int:
        """
        The whole number at a place; one that is text counts, as with most tools.

        Raises:
            ConfigError: it is none, less than ``least``, or is missing and there is no default.
        """
        value = self.at(place)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.error("is missing", place)
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(f"must be a whole number from {least}, not {_shown(value)}", place)
        return value

    def texts(self, place: Place) -> tuple[str, ...]:
        """
        The list of texts at a place; empty where there is nothing.

        Raises:
            ConfigError: it is no list, or an item is no text.
        """
        for index, item in enumerate(self.items(place)):
            if not isinstance(item, str):
                raise self.error(f"must be text, not {_shown(item)}; put quotes round it", (*place, index))
        return tuple(self.items(place))

    def at(self, place: Place) -> Any:
        """Whatever stands at a place; None where nothing does."""
        value: Any = self.document.data
        for part in place:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def _shown(value: object) -> str:
    # Of texts and of what holds several only the kind: there may be a secret inside.
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "text" if isinstance(value, str) and value.strip() else repr(value)
