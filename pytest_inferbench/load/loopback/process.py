"""The loopback server in a process of its own, as code sees it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.loopback.log import LoopbackLog, read_log
from pytest_inferbench.load.loopback.schedule import Schedule

_START_S = 30.0
_STOP_S = 30.0


class Loopback:
    """
    A running loopback server: ``with Loopback.start(Schedule(itl_ms=10)) as server``, its ``url``, and after that its ``log``.

    The server ends with the thread that started it, at the latest.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, directory: tempfile.TemporaryDirectory[str]) -> None:
        self._process = process
        self._directory = directory
        self._log: LoopbackLog | None = None
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.pid = process.pid

    @classmethod
    def start(cls, schedule: Schedule | None = None, *, port: int = 0, cpu: int | None = None) -> Self:
        """
        Start it and wait until it listens.

        Args:
            schedule: when tokens leave; `Schedule` has the default.
            port: on 127.0.0.1; 0 takes a free one.
            cpu: run it on this CPU only.

        Raises:
            LoadError: it did not start; carries its own words.
        """
        directory = tempfile.TemporaryDirectory(prefix="inferbench-loopback-")
        argv = _argv(schedule or Schedule(), Path(directory.name), port=port, cpu=cpu)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            return cls(process, _listening_port(process), directory)
        except BaseException:
            _end(process)
            directory.cleanup()
            raise

    @property
    def log(self) -> LoopbackLog:
        """
        The server's account.

        Raises:
            LoadError: it still runs.
        """
        if self._log is None:
            raise LoadError("the loopback server writes its log when it stops: call stop() first")
        return self._log

    def stop(self) -> LoopbackLog:
        """
        End the server and read its log; safe to call twice.

        Raises:
            LoadError: it did not end by itself in time, or with an error.
        """
        if self._log is None:
            try:
                self._log = self._ended()
            finally:
                self._directory.cleanup()
        return self._log

    def _ended(self) -> LoopbackLog:
        self._process.terminate()
        try:
            output, errors = self._process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired as exc:
            _end(self._process)
            raise LoadError(f"the loopback server did not end within {_STOP_S:g} s of SIGTERM; it was killed") from exc
        if self._process.returncode != 0:
            raise LoadError(f"the loopback server ended with {self._process.returncode}: {_text(errors)}")
        counts: dict[str, int] = json.loads(output)
        return read_log(Path(self._directory.name), counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _argv(schedule: Schedule, directory: Path, *, port: int, cpu: int | None) -> list[str]:
    waits = f"--ttft-ms={schedule.ttft_ms}", f"--itl-ms={schedule.itl_ms}", f"--jitter={schedule.jitter}"
    tokens = f"--tokens={schedule.tokens}", f"--tokens-per-chunk={schedule.tokens_per_chunk}"
    logs = f"--log={directory / 'log.csv'}", f"--times={directory / 'times.csv'}"
    argv = [sys.executable, "-m", "pytest_inferbench.load.loopback", f"--port={port}", f"--parent={os.getpid()}"]
    argv += [*waits, *tokens, *logs]
    if schedule.role_chunk:
        argv.append("--role-chunk")
    if cpu is not None:
        argv.append(f"--cpu={cpu}")
    return argv


def _listening_port(process: subprocess.Popen[bytes]) -> int:
    """Read the line that the server prints when it listens."""
    output = _piped(process.stdout)
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        ready = selector.select(_START_S)
    line = output.readline() if ready else b""
    if line:
        return int(json.loads(line)["port"])
    if not ready:
        raise LoadError(f"the loopback server did not listen within {_START_S:g} s")
    raise LoadError(f"the loopback server did not start: {_text(_piped(process.stderr).read())}")


def _piped(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise LoadError("the loopback server was started without a pipe")
    return stream


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _text(errors: bytes) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
