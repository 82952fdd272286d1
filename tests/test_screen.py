from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_inferbench.reporting.progress import Phase, Progress
from pytest_inferbench.screen import LiveProgress, reporter_of


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Console:
    """A terminal as pytest sees it: its reporter, its writer, and how output is captured."""

    screen: io.StringIO
    column: int = 0
    width: int = 80
    verbose: int = 0
    lines: list[str] = field(default_factory=list)
    captured: bool = True
    isatty: bool = True

    # pytest's writer
    @property
    def width_of_current_line(self) -> int:
        return self.column

    @property
    def fullwidth(self) -> int:
        assert not self.captured, "the width of a captured terminal is none"
        return self.width

    # pytest's reporter
    def ensure_newline(self) -> None:
        self.lines.append("newline")

    def write_line(self, line: str, /) -> None:
        assert not self.captured
        self.lines.append(line)

    # pytest's capture manager
    @contextmanager
    def global_and_fixture_disabled(self) -> Iterator[None]:
        self.captured = False
        yield
        self.captured = True

    def live(self, seconds: Iterator[float] | None = None) -> LiveProgress:
        plugins = {"capturemanager": self, "terminalreporter": self}
        config: Any = SimpleNamespace(
            get_terminal_writer=lambda: self,
            pluginmanager=SimpleNamespace(get_plugin=plugins.get),
            option=SimpleNamespace(verbose=self.verbose),
        )
        assert reporter_of(config) is cast("Any", self)
        ticks = seconds or count()
        return LiveProgress(config, self, clock_s=lambda: next(ticks))


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    screen = Tty()
    monkeypatch.setattr(sys, "__stdout__", screen)
    monkeypatch.setenv("TERM", "xterm")
    return Console(screen)


def at(phase: Phase = "measuring", done: int = 1) -> Progress:
    return Progress(
        case_id="cpu-a-c1",
        index=1,
        total=2,
        phase=phase,
        requests_done=done,
        requests_total=4,
        output_tokens_per_s=None,
        elapsed_s=1.0,
        left_s=3.0,
    )


def test_the_line_stands_below_the_one_that_pytest_has_begun_and_leaves_it_as_it_was(console: Console) -> None:
    console.column = 20
    live = console.live()
    live.show(at())
    live.show(at("writing"))
    live.clear()
    below, *drawn = console.screen.getvalue().split("\r")
    assert below == "\n"
    first = [each for each in drawn if each.startswith("[1/2] cpu-a-c1")]
    assert [each.split()[2] for each in first] == ["measuring", "writing"]
    assert console.screen.getvalue().endswith("\r\x1b[J\x1b[A\r\x1b[20C")


def test_lines_are_drawn_over_each_other_from_the_first_of_them(console: Console) -> None:
    live = console.live()
    for _ in range(3):
        live.show(at())
    text = console.screen.getvalue()
    assert text.count("\n") == text.count("\x1b[1A") == 3
    assert text.count("1 case to come") == 3


def test_a_line_that_wrapped_is_left_in_its_last_row(console: Console) -> None:
    console.column = 100
    live = console.live()
    live.show(at())
    live.clear()
    assert console.screen.getvalue().endswith("\x1b[A\r\x1b[20C")


def test_at_the_beginning_of_a_line_there_is_nothing_to_leave(console: Console) -> None:
    live = console.live()
    live.show(at())
    live.clear()
    shown = console.screen.getvalue()
    assert shown.startswith("\r[1/2]")
    assert shown.endswith("\r\x1b[J")
    assert shown.count("\n") == shown.count("\x1b[1A")


def test_after_a_resize_a_new_line_is_begun(console: Console) -> None:
    console.column = 20
    live = console.live()
    live.show(at())
    console.width = 60
    live.clear()
    assert console.lines == ["newline"]
    assert "\x1b[A" not in console.screen.getvalue()


def test_the_width_is_that_of_the_moment(console: Console) -> None:
    live = console.live()
    live.show(at())
    console.width = 30
    live.show(at("writing"))
    assert len(console.screen.getvalue().split("\r")[-1].removesuffix("\x1b[K\x1b[J")) <= 29


def test_a_second_case_begins_again_below(console: Console) -> None:
    console.column = 5
    live = console.live()
    for _ in range(2):
        live.show(at())
        live.show(at("writing"))
        live.clear()
    # Each time once to leave pytest's line, and once a drawing for the second line.
    assert console.screen.getvalue().count("\n") == 6


def test_a_log_has_lines_of_its_own(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    live = console.live(count(0, 31))
    live.show(at())
    live.show(at())
    live.clear()
    assert len(console.lines) == 1
    assert console.lines[0].startswith("[1/2] cpu-a-c1 measuring")
    assert console.screen.getvalue() == ""


@pytest.mark.parametrize("broken", ["dumb", "no reporter's terminal", "no screen"])
def test_what_cannot_rewrite_a_line_is_never_asked_to(console: Console, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    if broken == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    elif broken == "no screen":
        monkeypatch.setattr(sys, "__stdout__", None)
    else:
        console.isatty = False
    live = console.live()
    live.show(at())
    live.clear()
    assert console.screen.getvalue() == ""


def test_quiet_is_quiet(console: Console) -> None:
    console.verbose = -1
    live = console.live()
    live.show(at())
    live.clear()
    assert (console.screen.getvalue(), console.lines) == ("", [])


def test_clearing_what_was_never_shown_is_no_trouble(console: Console) -> None:
    console.live().clear()
    assert console.screen.getvalue() == ""


def test_it_works_where_nothing_is_captured(console: Console) -> None:
    console.captured = False
    plugins: dict[str, Any] = {"terminalreporter": console}
    config: Any = SimpleNamespace(
        get_terminal_writer=lambda: console,
        pluginmanager=SimpleNamespace(get_plugin=plugins.get),
        option=SimpleNamespace(verbose=0),
    )
    live = LiveProgress(config, console)
    live.show(at())
    assert "[1/2]" in console.screen.getvalue()
