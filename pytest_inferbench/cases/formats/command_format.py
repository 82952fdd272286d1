"""Formats that are a tool's command line in a file: each command becomes a suite."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.formats.command_line import Arguments, Tool, arguments, commands
from pytest_inferbench.cases.formats.format import Imported, Source

ENDINGS = (".sh", ".txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFormat:
    """
    One tool's command lines.

    Attributes:
        mentions: what such a file speaks of, even a broken one.
        skip: how many words of a command name the tool; 0 where it is another command.
        suite: the suite of a command, by its arguments and the suite's name.
    """

    name: str
    title: str
    tool: Tool
    mentions: re.Pattern[str]
    skip: Callable[[Sequence[str]], int]
    suite: Callable[[Arguments, str], dict[str, Any]]

    def recognises(self, path: Path, text: str) -> bool:
        """Whether it runs the tool."""
        return path.suffix.lower() in ENDINGS and bool(self.mentions.search(text))

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        A suite for each command; several are numbered.

        Raises:
            ConfigError: as of `command_line`, or a value makes no sense.
        """
        found, others = commands(source, lambda words: self.skip(words) > 0)
        imported = []
        for number, command in enumerate(found, start=1):
            given = arguments(command, self.tool, skip=self.skip(command.words), lenient=lenient)
            given.notes += others
            name = source.stem if len(found) == 1 else f"{source.stem}-{number}"
            suite = self.suite(given, name) | ({"label": name} if len(found) > 1 else {})
            origin = Origin(file=source.path, line=command.line)
            imported.append(Imported(name=name, suite=suite, origin=origin, notes=tuple(given.notes)))
        return tuple(imported)
