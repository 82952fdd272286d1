"""
Benchmark sessions for tests: small suites, the loopback server to measure, and real processes to interrupt.

An inner run of pytest in this process forgets the modules that it imported, and these cannot bear to be imported twice: importing
this module imports them ahead.

Rule: no process of a test outlives it. All that a `Started` started carries a mark in its environment, by which it is found.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpcore  # noqa: F401 - see above

import pytest_inferbench.assembly
import pytest_inferbench.reporting.html  # noqa: F401 - see above
from pytest_inferbench.load.loopback import Schedule

LIMIT_S = 300.0
QUICK = Schedule(ttft_ms=10, itl_ms=4, tokens=4)
"""A server that answers soon; of one that answers at once, a client on a busy machine would call its own figures spoiled."""
STEADY_TTFT_MS = 250
STEADY = Schedule(ttft_ms=STEADY_TTFT_MS, itl_ms=20, tokens=4)
"""A server slow enough for the client to prove that a limit is missed, on a busy machine too."""
INI = "[pytest]\naddopts = -p no:asyncio --strict-markers --strict-config\nfilterwarnings = error\n"
_MARK = "INFERBENCH_TEST_MARK"


def suite(name: str = "quick", *, slo: str = "ttft_p99 <= 30s", concurrency: str = "[1, 2]", **more: str) -> str:
    """A suite file of cases too small to be sure of, at an endpoint; ``more`` are further top-level fields as YAML."""
    lines = [
        f"suite: {name}",
        "hardware: cpu",
        f"engine: {more.pop('engine', 'openai')}",
        f"matrix: {{model: [loopback], traffic: ['{more.pop('traffic', 'D(8,4)')}'], concurrency: {concurrency}}}",
        f"load: {more.pop('load', '{requests: 4, warmup: 1}')}",
        f"slo: ['{slo}']",
        f"confidence: {more.pop('confidence', 'observed')}",
        *(f"{field}: {value}" for field, value in more.items()),
    ]
    return "\n".join(lines) + "\n"


def own_server(schedule: Schedule = QUICK, *, name: str = "command") -> str:
    """The field ``engine`` of a suite whose server, a loopback, is started for it."""
    program = f"{sys.executable} -m pytest_inferbench.load.loopback --port {{port}}"
    command = f"{program} --ttft-ms {schedule.ttft_ms:g} --itl-ms {schedule.itl_ms:g} --tokens {schedule.tokens}"
    return f"{{name: {name}, args: {{command: '{command}', served_name: loopback}}}}"


class Started:
    """
    A process in a process group of its own, as a shell starts a command; its output goes to ``out.txt``.

    Args:
        argv: the command.
        folder: where it runs.
        env: added to the environment.
    """

    def __init__(self, argv: Sequence[str], folder: Path, **env: str) -> None:
        self.mark = secrets.token_hex(8)
        self._path = folder / "out.txt"
        environment = {**os.environ, **env, _MARK: self.mark, "PYTHONUNBUFFERED": "1"}
        with self._path.open("wb") as output:
            self.process = subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
            )

    @property
    def output(self) -> str:
        """All it has written so far."""
        return self._path.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds, and return what it gave; an error, with the output, if it does not come true."""
        deadline_s = time.monotonic() + LIMIT_S
        while not (found := condition()):
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                raise AssertionError(f"it did not come so far (exit code {self.process.poll()}):\n{self.output}")
            time.sleep(0.02)
        return found

    def interrupt(self) -> None:
        """Press Ctrl-C: the whole group hears it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Wait for its end, and return its exit code."""
        return self.process.wait(LIMIT_S)

    def others(self, words: str = "") -> dict[int, str]:
        """Process ids and command lines of what it has started and what still runs; those with ``words`` in them."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{_MARK}={self.mark}".encode() not in (process / "environ").read_bytes():
                    continue
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # it has just ended
            if state != "Z" and int(process.name) != self.process.pid and words in command:
                found[int(process.name)] = command
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for pid in (self.process.pid, *self.others()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(LIMIT_S)


def pytest_argv(*arguments: str) -> list[str]:
    """The command that runs pytest in another process."""
    return [sys.executable, "-m", "pytest", *arguments]


def inferbench_argv(*arguments: str) -> list[str]:
    """The command ``inferbench``."""
    return [sys.executable, "-m", "pytest_inferbench.cli", *arguments]


def only_run(root: Path) -> Path:
    """The folder of the only run under ``root``."""
    (run,) = (root / "reports" / "runs").iterdir()
    return run


def files_of(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
