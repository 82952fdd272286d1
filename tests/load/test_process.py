"""A load process is started, heard, and ended, whatever it does."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load import process as module
from pytest_inferbench.load.process import LoadProcess
from pytest_inferbench.load.worker import Job
from tests.load.driving import is_running

Start = Callable[[str], LoadProcess]
ECHO = 'import sys\nfor line in sys.stdin: print(\'{"state": "heard", "what":\', line.strip(), \'}\', flush=True)'


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Start]:
    """Starts a program in place of the load process."""
    started: list[LoadProcess] = []
    file = (tmp_path / "file").open("w+b")
    some: dict[str, Any] = dict.fromkeys((each.name for each in fields(Job)), 0)
    job = Job(**{**some, **dict.fromkeys(("rows_fd", "bodies_fd", "record_fd"), file.fileno())})

    def start(program: str) -> LoadProcess:
        monkeypatch.setattr(module, "_PROGRAM", ("-c", program))
        started.append(LoadProcess(job))
        return started[-1]

    yield start
    for process in started:
        process.end()
    file.close()


def heard(process: LoadProcess, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += process.hear(20.0)
    return found


def death(process: LoadProcess) -> str:
    with pytest.raises(LoadError) as caught:
        heard(process, 1_000_000)
    return str(caught.value)


def test_it_is_told_its_job_first_and_then_what_is_said(start: Start) -> None:
    process = start(ECHO)
    process.tell(do="go", at_ns=5)
    job, order = heard(process, 2)
    assert set(job["what"]) == {each.name for each in fields(Job)}
    assert order["what"] == {"do": "go", "at_ns": 5}


def test_a_line_in_pieces_is_one_message_and_nothing_said_is_none(start: Start) -> None:
    parts = ('{"state"', ": 1}", '\n{"state": 2}\n')
    process = start(f"import os, sys\nfor part in {parts}: os.write(1, part.encode())\nsys.stdin.read()")
    assert heard(process, 2) == [{"state": 1}, {"state": 2}]
    assert process.hear(0.0) == []


@pytest.mark.parametrize("line", ["warming up...", "[1]", "{}", "3"])
def test_what_is_no_message_is_an_error_with_its_words(start: Start, line: str) -> None:
    process = start(f"print({line!r}, flush=True); import sys; sys.stdin.read()")
    said = death(process)
    assert said == f"the load process said something that is no message: {line!r}; does a site module print?"


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise SystemExit('no such thing')", "exit code 1): no such thing"),
        ("import sys; sys.exit(3)", "exit code 3): it said nothing"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL): it said nothing"),
        ("import os; os.kill(os.getpid(), 40)", "killed by "),
    ],
)
def test_an_unexpected_end_is_an_error_with_its_last_words(start: Start, program: str, how: str) -> None:
    said = death(start(program))
    assert said.startswith("the load process ended unexpectedly (")
    assert how in said


def test_speaking_to_one_that_has_ended_is_the_same_error(start: Start) -> None:
    process = start("import sys; sys.stdin.readline(); sys.exit('bye')")
    while is_running(process.pid):
        time.sleep(0.01)
    with pytest.raises(LoadError, match=r"ended unexpectedly \(exit code 1\): bye"):
        process.tell(do="stop")


def test_one_that_talks_much_on_its_standard_error_is_not_held_up(start: Start) -> None:
    process = start("import sys; sys.stderr.write('x' * 3_000_000); print('{\"state\": 1}', flush=True); sys.exit('the end')")
    assert heard(process, 1) == [{"state": 1}]
    assert death(process).endswith("xxxthe end")


def test_ending_it_ends_it_and_gives_the_descriptors_back(start: Start) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    process = start(ECHO)
    assert is_running(process.pid)
    process.end()
    process.end()
    assert not is_running(process.pid)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_one_that_does_not_end_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_LIMIT_S", 0.1)
    process = start("import time; time.sleep(600)")
    process.end()
    assert not is_running(process.pid)


def test_one_that_closes_its_output_and_lives_on_is_said(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_LIMIT_S", 0.1)
    process = start("import os, time; os.close(1); time.sleep(600)")
    assert "(it closed its output and did not end within 0.1 s)" in death(process)


def test_it_has_a_session_of_its_own_so_that_ctrl_c_is_not_for_it(start: Start) -> None:
    process = start(ECHO)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_a_python_that_is_not_there_is_an_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(LoadError, match=r"cannot start a load process: .*No such file or directory: '/nowhere/python'"):
        start(ECHO)


def test_the_real_one_ends_when_whoever_started_it_is_gone(start: Start) -> None:
    # The parent is killed before it could end its child; the child sees its input end.
    parent = start(
        "import subprocess, sys, json, time\n"
        "child = subprocess.Popen([sys.executable, '-P', '-m', 'pytest_inferbench.load.worker'], stdin=subprocess.PIPE)\n"
        "print(json.dumps({'state': 1, 'pid': child.pid}), flush=True)\n"
        "time.sleep(600)"
    )
    (said,) = heard(parent, 1)
    assert is_running(said["pid"])
    os.kill(parent.pid, signal.SIGKILL)
    deadline_s = time.monotonic() + 120
    while is_running(said["pid"]) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not is_running(said["pid"])
