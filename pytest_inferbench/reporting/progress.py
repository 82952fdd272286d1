"""
Live progress while a case runs: one line that is rewritten on a terminal, a line now and then in a log, nothing elsewhere.

Rule: `progress_line` decides what is shown and `ProgressWriter` when; neither reads the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pytest_inferbench.reporting.figures import count, length_of_time, middle_cut, number, printable

Phase = Literal["waiting", "calibrating", "starting server", "planning", "warm-up", "measuring", "writing"]
Mode = Literal["line", "log", "off"]

_BAR_WIDTH = 10
_ID_WIDTH_MIN = 12
# Often enough to look alive, seldom enough to cost the load nothing.
_LINE_EVERY_S = 0.1
_LOG_EVERY_S = 30.0
_PHASE_WIDTH = len("starting server")

CLEARED = "\r\x1b[J"
"""Takes lines off a terminal whose cursor is in the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    Where a running case is.

    ``index`` counts from 1 to ``total``. ``requests_total`` is None where only time ends the load, ``left_s`` None where nobody
    can tell, ``output_tokens_per_s`` None before the first token. ``note`` says what is being waited for, where it is known.
    ``load`` is the level in words, ``ttft_ms`` and ``tpot_ms`` medians of the last seconds, ``gpu_memory_bytes`` what the GPUs of
    the server use; ``outlooks`` are the verdicts so far with their numbers, ``session_left_s`` how long all cases may take yet.
    """

    case_id: str
    index: int
    total: int
    phase: Phase
    requests_done: int
    requests_total: int | None
    output_tokens_per_s: float | None
    elapsed_s: float
    left_s: float | None
    note: str | None = None
    load: str = ""
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    gpu_memory_bytes: int | None = None
    outlooks: tuple[tuple[str, int], ...] = ()
    session_left_s: float | None = None


class Stream(Protocol):
    """What progress is written to: any text file."""

    def write(self, text: str, /) -> object:
        """Write text."""
        ...

    def flush(self) -> object:
        """Make it visible now."""
        ...


def progress_mode(*, tty: bool, verbosity: int, xdist_worker: bool) -> Mode:
    """Where progress belongs: a rewritten line on a terminal, some lines in a log, nowhere with ``-q`` or in a worker."""
    if xdist_worker or verbosity < 0:
        return "off"
    return "line" if tty else "log"


def progress_line(state: Progress, width: int, *, place: str | None = None) -> str:
    """
    One line of at most ``width`` columns; where it is tight, first the bar goes, then the end of the line.

    It begins with ``place``; None: which case of how many it is.
    """
    place = f"[{state.index}/{state.total}]" if place is None else place
    case_id = printable(state.case_id)
    facts = _facts(state)
    for bar in (f" {_bar(state)}" if state.requests_total else "", ""):
        rest = f" {state.phase:<{_PHASE_WIDTH}}{bar} {facts}"
        room = width - len(place) - 1 - len(rest)
        if room >= min(len(case_id), _ID_WIDTH_MIN):
            return f"{place} {middle_cut(case_id, room)}{rest}".rstrip()
    return f"{place} {middle_cut(case_id, _ID_WIDTH_MIN)} {state.phase} {facts}"[: max(width, 0)].rstrip()


def redrawn(lines: Sequence[str]) -> str:
    """What draws lines over those of before, on a terminal whose cursor is in the first of them, and leaves it in the first."""
    # Down to the end of the screen all is ours: pytest writes above.
    body = "\r\n".join(f"{line}\x1b[K" for line in lines)
    up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
    return f"\r{body}\x1b[J{up}"


def _facts(state: Progress) -> str:
    if state.phase not in ("warm-up", "measuring"):
        waited = length_of_time(state.elapsed_s)
        return waited if state.note is None else f"{waited}  {printable(state.note)}"
    total = f"/{count(state.requests_total)}" if state.requests_total is not None else ""
    facts = [f"{count(state.requests_done)}{total} requests"]
    if state.output_tokens_per_s is not None:
        facts.append(f"{number(state.output_tokens_per_s)} tok/s")
    facts.append(length_of_time(state.elapsed_s) if state.left_s is None else f"{length_of_time(state.left_s)} left")
    if state.note is not None:
        facts.append(printable(state.note))
    return "  ".join(facts)


def _bar(state: Progress) -> str:
    share = min(state.requests_done / state.requests_total, 1.0) if state.requests_total else 0.0
    filled = int(share * _BAR_WIDTH)
    return "█" * filled + "░" * (_BAR_WIDTH - filled)


class ProgressWriter:
    """
    Shows progress, not more often than people can read.

    Args:
        stream: where it goes; on a terminal the one that pytest's own reporter writes to.
        mode: see `progress_mode`.
        width: columns of the terminal, asked each time since people resize windows.
        clock_s: a clock that never goes back, in seconds.
        draw: what several lines on a terminal say, of so many columns; None: one line (`progress_line`).
    """

    def __init__(
        self,
        stream: Stream,
        *,
        mode: Mode,
        width: Callable[[], int] = lambda: 100,
        clock_s: Callable[[], float] = time.monotonic,
        draw: Callable[[Progress, int], list[str]] | None = None,
    ) -> None:
        self._stream = stream
        self._mode = mode
        self._width = width
        self._clock_s = clock_s
        self._written_s: float | None = None
        self._phase: tuple[str, Phase] | None = None
        self._on_screen = False
        self._draw = draw

    def show(self, state: Progress) -> None:
        """Show where the case is, unless something was shown just now."""
        if self._mode == "off" or not self._due(state):
            return
        self._written_s = self._clock_s()
        self._phase = (state.case_id, state.phase)
        # One column stays free: a full line makes some terminals wrap.
        width = self._width() - 1
        if self._mode == "line" and self._draw is not None:
            self._stream.write(redrawn(self._draw(state, width)))
        elif self._mode == "line":
            self._stream.write(f"\r{progress_line(state, width)}\x1b[K")
        else:
            self._stream.write(f"{progress_line(state, width)}\n")
        self._stream.flush()
        self._on_screen = self._mode == "line"

    def clear(self) -> None:
        """Take the line off the screen, so that something else can be written there; safe to call at any time."""
        if self._on_screen:
            self._stream.write(CLEARED if self._draw is not None else "\r\x1b[K")
            self._stream.flush()
            self._on_screen = False

    def _due(self, state: Progress) -> bool:
        now_s = self._clock_s()
        if self._mode == "log":
            # A log says nothing of a case that is done within the half minute.
            if self._written_s is None:
                self._written_s = now_s
            return now_s - self._written_s >= _LOG_EVERY_S
        fresh = self._phase != (state.case_id, state.phase)
        return self._written_s is None or fresh or now_s - self._written_s >= _LINE_EVERY_S
