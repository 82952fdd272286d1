from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_inferbench.reporting.progress import Progress
from pytest_inferbench.worker_progress import ProgressFile
from pytest_inferbench.worker_screen import WorkerScreen
from tests.emulated_terminal import rows_of


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Console:
    """A terminal with pytest's writer and reporter on it, and a folder in which workers tell where they are."""

    folder: Path
    screen: io.StringIO
    begun: str = ""
    fullwidth: int = 80
    rows: int = 24
    now_s: float = 0.0
    flushed: int = 0

    # pytest's writer
    @property
    def width_of_current_line(self) -> int:
        return -1 if "\r" in self.begun else len(self.begun)

    def write(self, text: str, **_: bool) -> None:
        self.begun = (self.begun + text).rpartition("\n")[2]
        self.screen.write(text)

    def flush(self) -> None:
        self.flushed += 1

    # pytest's reporter
    isatty = True

    def ensure_newline(self) -> None:
        self.write("\n")

    def write_line(self, line: str, /) -> None:
        self.write(f"{line}\n")

    # what the tests do
    @property
    def seen(self) -> list[str]:
        return rows_of(self.screen.getvalue())

    def tell(self, worker: str = "gw0", case: str = "cpu-a-c1") -> ProgressFile:
        file = ProgressFile(self.folder, worker)
        file.show(
            Progress(
                case_id=case,
                index=1,
                total=2,
                phase="measuring",
                requests_done=1,
                requests_total=4,
                output_tokens_per_s=None,
                elapsed_s=1.0,
                left_s=3.0,
            )
        )
        return file

    @contextmanager
    def watched(self) -> Iterator[WorkerScreen]:
        config: Any = SimpleNamespace(get_terminal_writer=lambda: self)
        with WorkerScreen(config, self, self.folder, clock_s=lambda: self.now_s, rows=lambda: self.rows) as screen:
            yield screen


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    screen = Tty()
    monkeypatch.setattr(sys, "__stdout__", screen)
    monkeypatch.setenv("TERM", "xterm")
    # The thread that draws now and then would draw between the lines of a test.
    monkeypatch.setattr("pytest_inferbench.worker_screen._EVERY_S", 3600.0)
    return Console(tmp_path, screen)


def line(worker: str = "gw0", case: str = "cpu-a-c1") -> str:
    return f"{worker} {case} measuring       ██░░░░░░░░ 1/4 requests  3.0 s left"


def test_lines_stand_below_the_one_that_pytest_has_begun_and_leave_it_as_it_was(console: Console) -> None:
    with console.watched() as screen:
        console.write("a.bench.yaml ..")
        console.now_s += 1
        console.tell("gw0")
        console.tell("gw1", "cpu-b-c2")
        screen.draw()
        assert console.seen == ["a.bench.yaml ..", line(), line("gw1", "cpu-b-c2")]
        console.write(".")
        assert console.seen == ["a.bench.yaml ..."]
    assert console.seen == ["a.bench.yaml ..."]


def test_they_are_gone_before_pytest_writes(console: Console) -> None:
    written: list[list[str]] = []
    original = console.write

    def noted(text: str, **more: bool) -> None:
        written.append(console.seen)
        original(text, **more)

    console.write = noted  # type: ignore[method-assign]  # to see what is on the screen then
    with console.watched() as screen:
        for text in ("a", "b\n", "c"):
            console.now_s += 1
            console.tell()
            screen.draw()
            assert line() in console.seen
            console.write(text)
    assert written == [[], ["a"], ["ab"]]
    assert console.write is noted


def test_pytest_is_left_alone_until_it_has_been_silent_for_a_moment(console: Console) -> None:
    console.tell()
    with console.watched() as screen:
        console.write("..")
        for now_s, rows in ((0.0, 1), (0.29, 1), (0.31, 2)):
            console.now_s = now_s
            screen.draw()
            assert len(console.seen) == rows


def test_a_line_goes_with_its_case_and_the_others_move_up(console: Console) -> None:
    with console.watched() as screen:
        first, second = console.tell("gw0"), console.tell("gw1")
        screen.draw()
        first.clear()
        screen.draw()
        assert console.seen == [line("gw1")]
        second.clear()
        screen.draw()
        assert console.seen == []


def test_what_is_not_new_is_not_drawn_again(console: Console) -> None:
    console.tell()
    with console.watched() as screen:
        screen.draw()
        drawn = console.screen.getvalue()
        screen.draw()
        assert console.screen.getvalue() == drawn


def test_no_more_lines_than_rows(console: Console) -> None:
    console.rows = 5
    with console.watched() as screen:
        for number in range(9):
            console.tell(f"gw{number}")
        screen.draw()
        assert console.seen == [line("gw0"), line("gw1"), "and 7 more"]


def test_where_pytest_lost_count_of_its_columns_nothing_is_drawn(console: Console) -> None:
    console.tell()
    with console.watched() as screen:
        console.write("\r3 workers [8 items]")
        console.now_s += 1
        screen.draw()
        assert console.seen == ["3 workers [8 items]"]
        console.write("\n")
        console.now_s += 1
        screen.draw()
        assert console.seen == ["3 workers [8 items]", line()]


def test_after_a_resize_a_new_line_is_begun(console: Console) -> None:
    console.tell()
    with console.watched() as screen:
        console.write("..")
        console.now_s += 1
        screen.draw()
        console.fullwidth = 70
        console.write(".")
    assert console.seen == ["..", "", "."]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_the_session_takes_them_off_for_good(console: Console, error: type[BaseException]) -> None:
    console.tell()
    console.write("..")

    def interrupted() -> None:
        with console.watched() as screen:
            screen.draw()
            assert len(console.seen) == 2
            raise error

    with pytest.raises(error):
        interrupted()
    assert console.seen == [".."]


def test_a_thread_looks_now_and_then_and_ends(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_inferbench.worker_screen._EVERY_S", 0.01)
    looked = threading.Event()
    draw: Callable[[WorkerScreen], None] = WorkerScreen.draw

    def noted(self: WorkerScreen) -> None:
        draw(self)
        looked.set()

    monkeypatch.setattr(WorkerScreen, "draw", noted)
    console.tell()
    with console.watched():
        assert looked.wait(60)
        assert console.seen == [line()]
    assert console.seen == []
    assert "inferbench-worker-screen" not in {thread.name for thread in threading.enumerate()}


def test_a_terminal_that_cannot_show_them_costs_the_session_nothing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_inferbench.worker_screen._EVERY_S", 0.01)
    asked = threading.Event()

    def broken(_: WorkerScreen) -> None:
        asked.set()
        raise UnicodeEncodeError("ascii", "█", 0, 1, "ordinal not in range")

    monkeypatch.setattr(WorkerScreen, "draw", broken)
    with console.watched():
        assert asked.wait(60)
        console.write("..")
    assert console.seen == [".."]


@pytest.mark.parametrize("broken", ["dumb", "no screen", "a pipe"])
def test_what_cannot_rewrite_a_line_is_never_asked_to(console: Console, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    if broken == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    else:
        monkeypatch.setattr(sys, "__stdout__", None if broken == "no screen" else io.StringIO())
    console.tell()
    with console.watched() as screen:
        screen.draw()
    assert console.screen.getvalue() == ""
