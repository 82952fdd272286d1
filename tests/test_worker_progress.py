from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.reporting.progress import Progress
from pytest_inferbench.worker_progress import ProgressFile, worker_lines, worker_states

STATE = Progress(
    case_id="cpu-llamacpp-smollm2-135m-tp1-d128x64-c4",
    index=3,
    total=8,
    phase="measuring",
    requests_done=40,
    requests_total=100,
    output_tokens_per_s=120.4,
    elapsed_s=8.0,
    left_s=12.2,
)
TOLD = {
    "case_id": "a",
    "phase": "planning",
    "requests_done": 0,
    "requests_total": None,
    "output_tokens_per_s": None,
    "elapsed_s": 1.0,
    "left_s": None,
    "note": None,
}
ODD: list[dict[str, Any]] = [
    {"case_id": None},
    {"phase": "dancing"},
    {"phase": []},
    {"requests_done": "1"},
    {"requests_done": True},
    {"requests_total": -1},
    {"elapsed_s": inf},
    {"left_s": 10**400},
    {"note": 5},
]


def file_of(folder: Path, worker: str = "gw0", *, seconds: Iterator[float] | None = None) -> ProgressFile:
    ticks = seconds or repeat(0.0)
    return ProgressFile(folder, worker, clock_s=lambda: next(ticks))


def told(folder: Path) -> int:
    return worker_states(folder)["gw0"].requests_done


def test_a_worker_tells_where_it_is_and_when_its_case_is_over(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.show(STATE)
    # Which case of how many it is, a worker does not know.
    assert worker_states(tmp_path) == {"gw0": replace(STATE, index=0, total=0)}
    file.clear()
    file.clear()
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_told_twice_a_second_and_a_new_phase_at_once(tmp_path: Path) -> None:
    file = file_of(tmp_path, seconds=iter([0.0, 0.25, 0.5, 0.625, 0.75]))
    found = []
    for done, phase in ((1, "warm-up"), (2, "measuring"), (3, "measuring"), (4, "measuring"), (5, "measuring")):
        file.show(replace(STATE, requests_done=done, phase=phase))  # type: ignore[arg-type]  # these are phases
        found.append(told(tmp_path))
    # Of two states in half a second the later one is not told.
    assert found == [1, 2, 2, 2, 5]


def test_what_is_waited_for_is_told_at_once(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    waiting = replace(STATE, phase="waiting")
    file.show(waiting)
    file.show(replace(waiting, note="for cpu"))
    assert worker_states(tmp_path)["gw0"].note == "for cpu"


def test_a_case_after_another_is_told_at_once(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    for done in (1, 2):
        file.show(replace(STATE, requests_done=done))
        assert told(tmp_path) == done
        file.clear()


def test_a_folder_that_cannot_be_written_costs_no_case(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    file_of(gone).show(STATE)
    file_of(gone).clear()
    assert worker_states(gone) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"words"',
        "\xff",
        "{}",
        json.dumps({"case_id": "a"}),
        *(json.dumps({**TOLD, **odd}) for odd in ODD),
    ],
)
def test_a_file_that_is_none_of_a_workers_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress-gw0.json").write_text(text, encoding="latin-1")
    (tmp_path / "progress-gw1.json").mkdir()
    (tmp_path / "groups.json").write_text("{}", encoding="utf-8")
    file_of(tmp_path, "gw2").show(STATE)
    assert list(worker_states(tmp_path)) == ["gw2"]


def test_what_a_worker_tells_is_understood(tmp_path: Path) -> None:
    (tmp_path / "progress-gw0.json").write_text(json.dumps(TOLD), encoding="utf-8")
    assert worker_states(tmp_path)["gw0"].phase == "planning"


def test_half_a_character_can_be_shown(tmp_path: Path) -> None:
    file_of(tmp_path).show(replace(STATE, note="held by \udcff"))
    assert worker_states(tmp_path)["gw0"].note == "held by ?"


def test_each_worker_has_a_line_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for worker in ("gw10", "gw2", "gw0"):
        file_of(tmp_path, worker).show(STATE)
    lines = worker_lines(worker_states(tmp_path), width=120, height=24)
    rest = "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4 measuring       ████░░░░░░ 40/100 requests  120 tok/s  12 s left"
    assert lines == [f"gw0  {rest}", f"gw2  {rest}", f"gw10 {rest}"]


def test_lines_are_as_wide_and_as_many_as_the_terminal_has_room_for() -> None:
    states = {f"gw{number}": STATE for number in range(16)}
    assert all(len(line) <= 60 for line in worker_lines(states, width=60, height=24))
    lines = worker_lines(states, width=80, height=5)
    assert [line.split()[0] for line in lines] == ["gw0", "gw1", "gw2", "gw3", "and"]
    assert lines[-1] == "and 12 more"
    assert worker_lines(states, width=80, height=16)[-1].startswith("gw15 ")
    assert worker_lines({}, width=80, height=5) == []


def test_escape_sequences_never_reach_the_terminal() -> None:
    (line,) = worker_lines({"gw0\x1b[2J": replace(STATE, case_id="\x1b[2Jcpu", note="\x1b]0;a\x07b")}, width=200, height=5)
    assert line.isprintable()
    assert line.startswith("gw0 cpu measuring")
