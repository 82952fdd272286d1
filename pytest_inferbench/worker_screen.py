"""
A line on the terminal for each worker of pytest-xdist that has a case, below what pytest has written there.

Rule: pytest writes whenever it likes, and finds the screen as it left it: whatever goes through its writer takes these lines off
first, and they come back when it has been silent for a moment. One lock is held by whoever writes.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from pytest_inferbench.reporting.progress import CLEARED, redrawn
from pytest_inferbench.screen import Below, Reporter, Screen, is_screen
from pytest_inferbench.worker_progress import worker_lines, worker_states

_EVERY_S = 0.5
_SILENT_S = 0.3
# A row for the line that pytest has begun, and one to spare: what is scrolled off the screen cannot be taken off it.
_ROWS_LEFT = 2
_END_LIMIT_S = 1.0


class WorkerScreen:
    """
    Where the workers are, on the terminal for the length of a ``with`` block.

    Args:
        config: pytest's configuration, of the session that the workers run tests for.
        reporter: pytest's terminal reporter.
        folder: in which workers tell where they are (`worker_progress.ProgressFile`).
        clock_s: a clock that never goes back, in seconds.
        rows: how high the terminal is, asked each time since people resize windows.
    """

    def __init__(
        self,
        config: pytest.Config,
        reporter: Reporter,
        folder: Path,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        rows: Callable[[], int] = lambda: shutil.get_terminal_size().lines,
    ) -> None:
        self._writer = config.get_terminal_writer()
        self._write: Callable[..., None] = self._writer.write
        self._below = Below(config, reporter)
        self._folder = folder
        self._clock_s = clock_s
        self._rows = rows
        self._lines: list[str] = []
        self._silent_since_s: float | None = None
        # pytest's writer may come back to itself: a line is ended before the next one begins.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="inferbench-worker-screen", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look, and hear of whatever pytest writes from now on; nothing where there is no screen."""
        if is_screen():
            self._writer.write = self._written  # type: ignore[method-assign]  # as pytest's own pastebin.py does
            self._thread.start()
        else:
            self._over.set()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the screen as pytest left it, for good."""
        if self._over.is_set():
            return
        with self._lock:
            self._over.set()
            self._clear()
            self._writer.write = self._write  # type: ignore[method-assign]  # as above
        self._thread.join(_END_LIMIT_S)

    def draw(self) -> None:
        """Show where the workers are now, unless pytest wrote just before, or nothing is new."""
        states = worker_states(self._folder)
        with self._lock:
            if self._over.is_set() or not self._is_silent:
                return
            # One column stays free: a full line makes some terminals wrap.
            lines = worker_lines(states, width=self._writer.fullwidth - 1, height=max(1, self._rows() - _ROWS_LEFT))
            if not lines:
                self._clear()
            elif lines != self._lines:
                self._writer.flush()
                self._below.leave()
                self._lines = lines
                # At the beginning of the line Ctrl-C, which terminals show as ^C, spoils nothing but these lines.
                Screen().write(f"{redrawn(lines)}\r")

    @property
    def _is_silent(self) -> bool:
        since_s = self._silent_since_s
        # A column below 0 is one that pytest lost count of, because xdist went over the line again.
        return self._writer.width_of_current_line >= 0 and (since_s is None or self._clock_s() - since_s >= _SILENT_S)

    def _written(self, *text: Any, **more: Any) -> None:
        with self._lock:
            self._clear()
            self._silent_since_s = self._clock_s()
            self._write(*text, **more)

    def _clear(self) -> None:
        if self._lines:
            self._lines = []
            Screen().write(CLEARED)
            self._below.go_back()

    def _keep_drawing(self) -> None:
        try:
            while not self._over.wait(_EVERY_S):
                self.draw()
        except (OSError, ValueError):
            # The terminal is gone, or cannot show these characters: the session goes on without.
            return
