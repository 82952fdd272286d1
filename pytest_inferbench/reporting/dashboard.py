"""
What a terminal shows while a case runs: a few lines that are drawn over and over.

Rule: `dashboard_lines` decides what is shown from what is known; nothing here reads the screen or a clock. What is not known is
left out, never shown as zero. Figures here are those of the last seconds, and none of them is a result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isfinite

from pytest_inferbench.reporting.figures import count, length_of_time, middle_cut, number, printable
from pytest_inferbench.reporting.progress import Progress, progress_line

SPARKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16
WIDTH_MIN = 60
"""Below so many columns one line is all that fits."""
_GIB = 1024**3
_INDENT = "      "


@dataclass(slots=True)
class Trail:
    """The last values of a figure, as many as a sparkline has places."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=SPARK_WIDTH))

    def add(self, value: float | None) -> None:
        """Take in a value; one that is not known leaves no place."""
        if value is not None and isfinite(value):
            self.values.append(value)


@dataclass(slots=True)
class Trails:
    """What a dashboard remembers of the running case."""

    case_id: str = ""
    tokens: Trail = field(default_factory=Trail)
    ttft: Trail = field(default_factory=Trail)
    tpot: Trail = field(default_factory=Trail)

    def add(self, state: Progress) -> None:
        """Take in where a case is; another case begins anew, and so does its measured part after the warm-up."""
        if state.case_id != self.case_id or state.phase != "measuring":
            self.case_id, self.tokens, self.ttft, self.tpot = state.case_id, Trail(), Trail(), Trail()
        self.tokens.add(state.output_tokens_per_s)
        self.ttft.add(state.ttft_ms)
        self.tpot.add(state.tpot_ms)


def sparkline(values: Iterable[float]) -> str:
    """``▁▃▆█``: a place a value, from the smallest to the largest of them; flat where all are alike."""
    found = list(values)
    low, high = min(found, default=0.0), max(found, default=0.0)
    if high <= low:
        return SPARKS[0] * len(found)
    top = len(SPARKS) - 1
    return "".join(SPARKS[round((value - low) / (high - low) * top)] for value in found)


def dashboard_lines(state: Progress, trails: Trails, width: int) -> list[str]:
    """
    Lines of at most ``width`` columns: where the case is, what it does now, and how the session stands.

    One line where the terminal is narrow, or where nothing is measured yet.
    """
    first = progress_line(state, width)
    if width < WIDTH_MIN:
        return [first]
    lines = [first, _now(state, trails), _session(state)]
    return [lines[0], *(_cut(_INDENT + line, width) for line in lines[1:] if line)]


def dashboard() -> Callable[[Progress, int], list[str]]:
    """What draws `dashboard_lines` for one state after another, and remembers what their trails need."""
    trails = Trails()

    def draw(state: Progress, width: int) -> list[str]:
        trails.add(state)
        return dashboard_lines(state, trails, width)

    return draw


def _now(state: Progress, trails: Trails) -> str:
    if state.phase not in ("warm-up", "measuring"):
        return ""
    parts = [state.load] if state.load else []
    parts += _figure("", state.output_tokens_per_s, "tok/s", trails.tokens)
    parts += _figure("TTFT ", state.ttft_ms, "ms", trails.ttft)
    parts += _figure("TPOT ", state.tpot_ms, "ms", trails.tpot)
    return "  ".join(parts)


def _figure(name: str, value: float | None, unit: str, trail: Trail) -> list[str]:
    if value is None:
        return []
    drawn = f" {sparkline(trail.values)}" if len(trail.values) > 1 else ""
    return [f"{name}{number(value)} {unit}{drawn}"]


def _session(state: Progress) -> str:
    parts = [f"GPU memory {number(state.gpu_memory_bytes / _GIB)} GiB"] if state.gpu_memory_bytes is not None else []
    done = [f"{count(number_of)} {word}" for word, number_of in state.outlooks if number_of]
    parts += [f"so far: {', '.join(done)}"] if done else []
    ahead = state.total - state.index
    parts += [f"{count(ahead)} case{'' if ahead == 1 else 's'} to come"] if ahead > 0 else []
    parts += [f"about {length_of_time(state.session_left_s)} left in all"] if state.session_left_s is not None else []
    return "  ".join(parts)


def _cut(text: str, width: int) -> str:
    shown = printable(text)
    return middle_cut(_INDENT + shown, width) if text.startswith(_INDENT) else middle_cut(shown, width)
