from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.progress import Progress, ProgressWriter, progress_line, progress_mode

STATE = Progress(
    case_id="cpu-llamacpp-smollm2-135m-tp1-d128x64-c4",
    index=3,
    total=8,
    phase="measuring",
    requests_done=62,
    requests_total=100,
    output_tokens_per_s=412.3,
    elapsed_s=20,
    left_s=12.2,
)


def test_a_line_says_which_case_what_is_done_how_fast_and_how_long_still() -> None:
    assert progress_line(STATE, 120) == (
        "[3/8] cpu-llamacpp-smollm2-135m-tp1-d128x64-c4 measuring       ██████░░░░ 62/100 requests  412 tok/s  12 s left"
    )


def test_a_tight_line_loses_its_bar_and_the_middle_of_the_id() -> None:
    assert progress_line(STATE, 80) == "[3/8] cpu-llama…d128x64-c4 measuring       62/100 requests  412 tok/s  12 s left"


def test_a_load_that_only_time_ends_has_no_total_and_counts_up() -> None:
    line = progress_line(replace(STATE, requests_total=None, left_s=None, output_tokens_per_s=None), 120)
    assert line.endswith("measuring       62 requests  20 s")


def test_a_starting_server_shows_only_how_long_it_takes() -> None:
    assert progress_line(replace(STATE, phase="starting server", requests_total=None), 120).endswith("starting server 20 s")


def test_what_is_waited_for_is_named_and_cut_where_the_terminal_ends() -> None:
    waiting = replace(STATE, phase="waiting", note="for cpu, held by process 4711 of ann\x1b[2J")
    assert progress_line(waiting, 200).endswith("for cpu, held by process 4711 of ann")
    assert len(progress_line(waiting, 60)) <= 60


def test_escape_sequences_in_an_id_never_reach_the_terminal() -> None:
    assert "\x1b" not in progress_line(replace(STATE, case_id="\x1b[2Jcpu"), 120)


@given(st.integers(20, 200), st.integers(0, 10**6), st.text(max_size=60))
def test_a_line_never_is_wider_than_the_terminal(width: int, done: int, case_id: str) -> None:
    assert len(progress_line(replace(STATE, requests_done=done, case_id=case_id), width)) <= width


@pytest.mark.parametrize(
    ("tty", "verbosity", "worker", "mode"),
    [
        (True, 0, False, "line"),
        (False, 0, False, "log"),
        (True, -1, False, "off"),
        (True, 0, True, "off"),
    ],
)
def test_progress_belongs_on_terminals_and_rarely_in_logs(*, tty: bool, verbosity: int, worker: bool, mode: str) -> None:
    assert progress_mode(tty=tty, verbosity=verbosity, xdist_worker=worker) == mode


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_terminal_line_is_rewritten_in_place_and_taken_away() -> None:
    stream, clock = io.StringIO(), Clock()
    writer = ProgressWriter(stream, mode="line", width=lambda: 121, clock_s=clock)
    writer.show(STATE)
    clock.now_s += 1
    writer.show(replace(STATE, requests_done=63))
    writer.clear()
    writer.clear()
    first, second = progress_line(STATE, 120), progress_line(replace(STATE, requests_done=63), 120)
    assert stream.getvalue() == f"\r{first}\x1b[K\r{second}\x1b[K\r\x1b[K"


def test_a_terminal_line_is_written_at_most_ten_times_a_second_but_at_once_in_a_new_phase() -> None:
    stream, clock = io.StringIO(), Clock()
    writer = ProgressWriter(stream, mode="line", clock_s=clock)
    writer.show(replace(STATE, phase="warm-up"))
    clock.now_s += 0.05
    writer.show(replace(STATE, phase="warm-up"))
    writer.show(STATE)
    assert stream.getvalue().count("\r") == 2


def test_a_log_gets_a_plain_line_every_half_minute() -> None:
    stream, clock = io.StringIO(), Clock()
    writer = ProgressWriter(stream, mode="log", clock_s=clock)
    for _ in range(70):
        writer.show(STATE)
        clock.now_s += 1
    writer.clear()
    assert stream.getvalue() == f"{progress_line(STATE, 99)}\n" * 2


def test_nothing_is_written_where_progress_is_off() -> None:
    stream = io.StringIO()
    ProgressWriter(stream, mode="off").show(STATE)
    assert stream.getvalue() == ""
