"""A text file as its lines, found once and read when they are asked for: memory grows by eight bytes a line."""

from __future__ import annotations

import mmap
from array import array
from pathlib import Path

from pytest_inferbench.errors import ConfigError


class TextFile:
    """
    The lines of a file that are not blank; ends of lines are not part of them.

    Raises:
        ConfigError: it is not there, cannot be read, or has no line.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with Path(path).open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            # An empty file cannot be mapped.
            raise ConfigError("is empty", file=path) from error
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", file=path) from error
        self._starts = array("q")
        self._numbers = array("q")
        self._find_lines()
        if not self._starts:
            raise ConfigError("has blank lines only", file=path)

    def __len__(self) -> int:
        return len(self._starts)

    def number(self, index: int) -> int:
        """On which line of the file it stands, from 1."""
        return self._numbers[index]

    def raw(self, index: int) -> bytes:
        """A line as it stands, without its end."""
        start = self._starts[index]
        end = self._bytes.find(b"\n", start)
        return self._bytes[start : end if end >= 0 else len(self._bytes)].rstrip(b"\r")

    def text(self, index: int) -> str:
        """
        A line as text.

        Raises:
            ConfigError: it is not UTF-8.
        """
        try:
            return self.raw(index).decode("utf-8-sig" if self._numbers[index] == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise self.wrong(index, f"is not UTF-8 text (byte 0x{error.object[error.start]:02x})") from error

    def wrong(self, index: int, problem: str) -> ConfigError:
        """An error that points to a line."""
        return ConfigError(problem, file=self.path, line=self._numbers[index])

    def _find_lines(self) -> None:
        at, number = 0, 0
        self._bytes.seek(0)
        while line := self._bytes.readline():
            number += 1
            if line.strip():
                self._starts.append(at)
                self._numbers.append(number)
            at += len(line)
