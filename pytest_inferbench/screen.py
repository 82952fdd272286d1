"""
pytest's terminal, and a live line below what pytest has written there.

Rule: nothing here goes through pytest's writer while a line is only half written there, because pytest counts its columns.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from pytest_inferbench.reporting.progress import Progress, ProgressWriter

_CLEAR_LINE = "\r\x1b[K"


class Reporter(Protocol):
    """What is used of pytest's terminal reporter."""

    isatty: bool

    def ensure_newline(self) -> None:
        """End a line that was begun."""
        ...

    def write_line(self, line: str, /) -> None:
        """Write a line of its own."""
        ...


def reporter_of(config: pytest.Config) -> Reporter | None:
    """The terminal reporter; None where it was switched off with ``-p no:terminal``."""
    reporter: Reporter | None = config.pluginmanager.get_plugin("terminalreporter")
    return reporter


def on_screen(config: pytest.Config) -> bool:
    """Whether somebody can see lines that are drawn over and over: a terminal, and no ``-q``."""
    reporter = reporter_of(config)
    # Asked while a test's output is captured, when the standard output is no screen but the reporter's own copy of it is.
    screen = reporter is not None and reporter.isatty and os.environ.get("TERM") != "dumb"
    # pytest's own truth value of ``isatty`` is no plain one, and this is told to workers.
    return bool(screen) and config.option.verbose >= 0


class LiveProgress:
    """
    Progress of the running case: on a terminal lines that are rewritten and gone afterwards, in a log a line now and then.

    A test's output is captured while a case runs, so capturing stops for each of these writes.

    Args:
        config: pytest's configuration.
        reporter: pytest's terminal reporter.
        clock_s: a clock that never goes back, in seconds.
    """

    def __init__(self, config: pytest.Config, reporter: Reporter, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._reporter = reporter
        self._writer = config.get_terminal_writer()
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._clock_s = clock_s
        self._progress: ProgressWriter | None = None
        self._below = Below(config, reporter)

    def show(self, state: Progress) -> None:
        """Show where the case is, unless something was shown just now."""
        with self._uncaptured():
            if self._progress is None:
                self._progress = self._make()
            if self._rewrites:
                self._below.leave()
            self._progress.show(state)

    def clear(self) -> None:
        """Take the line off the screen, and go back to where pytest left off; safe to call at any time."""
        if self._progress is None:
            return
        with self._uncaptured():
            self._progress.clear()
            self._below.go_back()

    def _make(self) -> ProgressWriter:
        from pytest_inferbench.reporting.dashboard import dashboard  # noqa: PLC0415 - most sessions have no case
        from pytest_inferbench.reporting.progress import ProgressWriter, progress_mode  # noqa: PLC0415 - as above

        self._rewrites = self._reporter.isatty and is_screen()
        mode = progress_mode(tty=self._rewrites, verbosity=self._config.option.verbose, xdist_worker=False)
        self._rewrites = mode == "line"
        stream = Screen() if self._rewrites else _Log(self._reporter)
        draw = dashboard() if self._rewrites else None
        return ProgressWriter(stream, mode=mode, width=lambda: self._writer.fullwidth, clock_s=self._clock_s, draw=draw)

    @contextmanager
    def _uncaptured(self) -> Iterator[None]:
        if self._capture is None:
            yield
            return
        with self._capture.global_and_fixture_disabled():
            yield


class Below:
    """
    The place below the line that pytest has begun, and the way back to where it left off: it ends that line when a test is over.

    Args:
        config: pytest's configuration.
        reporter: pytest's terminal reporter.
    """

    def __init__(self, config: pytest.Config, reporter: Reporter) -> None:
        self._writer = config.get_terminal_writer()
        self._reporter = reporter
        self._left_at: tuple[int, int] | None = None

    def leave(self) -> None:
        """Go below pytest's line, unless this is there already."""
        if self._left_at is not None:
            return
        column = self._writer.width_of_current_line
        self._left_at = (column, self._writer.fullwidth)
        if column:
            Screen().write("\n")

    def go_back(self) -> None:
        """Go to where pytest left off; nothing where this has never left."""
        if self._left_at is None:
            return
        (column, width), self._left_at = self._left_at, None
        if not column:
            return
        if self._writer.fullwidth != width:
            # After a resize nobody knows where that line is.
            self._reporter.ensure_newline()
        else:
            Screen().write(f"\x1b[A\r\x1b[{column % width or width}C")


class Screen:
    """The terminal itself: pytest's writer would count these characters as part of its line."""

    def write(self, text: str, /) -> None:
        """Write text at once."""
        if sys.__stdout__ is not None:
            sys.__stdout__.write(text)
            sys.__stdout__.flush()

    def flush(self) -> None:
        """It was written at once."""


class _Log:
    """Where output is no screen: lines of their own."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def write(self, text: str, /) -> None:
        """Write a line."""
        self._reporter.write_line(text.rstrip("\n"))

    def flush(self) -> None:
        """It was written at once."""


def is_screen() -> bool:
    """Whether this process has a terminal that can rewrite its lines."""
    return sys.__stdout__ is not None and sys.__stdout__.isatty() and os.environ.get("TERM") != "dumb"
