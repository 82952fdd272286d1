"""
Where each worker of pytest-xdist is: a small file that the worker keeps, and the lines that are made of them all.

Rule: a file is written whole or not at all, and seldom, since a load runs beside it. Nothing that goes wrong with it costs a
case, and one that cannot be read is as good as none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, get_args

from pytest_inferbench.grouping import write_whole
from pytest_inferbench.reporting.figures import printable
from pytest_inferbench.reporting.progress import Phase, Progress, progress_line

_T = TypeVar("_T")
_BEFORE, _AFTER = "progress-", ".json"
_EVERY_S = 0.5
# What is shown of a worker. Which case of how many it is stays out: a worker knows of no case that another one has ended.
_FIELDS = ("case_id", "phase", "requests_done", "requests_total", "output_tokens_per_s", "elapsed_s", "left_s", "note")


class ProgressFile:
    """
    Tells whoever looks into a folder where the running case of a worker is.

    Args:
        folder: which all processes of the session share.
        worker: its name.
        clock_s: a clock that never goes back, in seconds.
    """

    def __init__(self, folder: Path, worker: str, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / f"{_BEFORE}{worker}{_AFTER}"
        self._clock_s = clock_s
        self._step: tuple[str, Phase, bool] | None = None
        self._written_s = 0.0

    def show(self, state: Progress) -> None:
        """Tell where the case is, unless nothing is new but numbers, and some were told just now."""
        now_s = self._clock_s()
        # What is waited for is named once, right after it is said that something is.
        step = (state.case_id, state.phase, state.note is None)
        if step == self._step and now_s - self._written_s < _EVERY_S:
            return
        self._step, self._written_s = step, now_s
        with suppress(OSError):
            write_whole(self._path, json.dumps({name: getattr(state, name) for name in _FIELDS}))

    def clear(self) -> None:
        """Tell that no case runs; safe to call at any time."""
        self._step = None
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def worker_states(folder: Path) -> dict[str, Progress]:
    """Where each worker with a running case is, in the order of their names: gw2 before gw10."""
    paths = sorted(folder.glob(f"{_BEFORE}*{_AFTER}"), key=lambda path: (len(path.name), path.name))
    states = {path.name.removeprefix(_BEFORE).removesuffix(_AFTER): _state_at(path) for path in paths}
    return {worker: state for worker, state in states.items() if state is not None}


def worker_lines(states: Mapping[str, Progress], *, width: int, height: int) -> list[str]:
    """A line of at most ``width`` columns for each worker; where they are more than ``height``, the last says how many more."""
    names = {worker: printable(worker) for worker in states}
    column = max(map(len, names.values()), default=0)
    lines = [progress_line(state, width, place=names[worker].ljust(column)) for worker, state in states.items()]
    if len(lines) <= height:
        return lines
    kept = max(height - 1, 0)
    return [*lines[:kept], f"and {len(lines) - kept} more"[: max(width, 0)]]


def _state_at(path: Path) -> Progress | None:
    try:
        return _state(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        # The case is over by now, or this is none of our files.
        return None


def _state(found: Any) -> Progress:
    if found["phase"] not in get_args(Phase):
        raise ValueError(found["phase"])
    return Progress(
        case_id=_words(found["case_id"]),
        index=0,
        total=0,
        phase=found["phase"],
        requests_done=int(_number(found["requests_done"])),
        requests_total=_or_none(found["requests_total"], lambda value: int(_number(value))),
        output_tokens_per_s=_or_none(found["output_tokens_per_s"], _number),
        elapsed_s=_number(found["elapsed_s"]),
        left_s=_or_none(found["left_s"], _number),
        note=_or_none(found["note"], _words),
    )


def _or_none(value: Any, kind: Callable[[Any], _T]) -> _T | None:
    return None if value is None else kind(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise ValueError(value)
    return float(value)


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    # Half a character, as in the name of a file, cannot be written to a terminal.
    return value.encode(errors="replace").decode()
