"""
A load process from the outside: started, spoken to in lines of JSON, and ended, whatever it does.

What it says on its standard error goes to a file without a name, so that it never waits for somebody to read it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.worker import Job

_PROGRAM = ("-P", "-m", "pytest_inferbench.load.worker")
_END_LIMIT_S = 10.0
_WORDS_MAX = 2000


class LoadProcess:
    """
    One running load process; its descriptors are inherited as ``job`` names them.

    Raises:
        LoadError: it cannot be started.
    """

    def __init__(self, job: Job) -> None:
        self._errors = _errors_file()
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=(job.rows_fd, job.bodies_fd, job.record_fd),
                env=_environment(),
                # Ctrl-C is for the one who started this process: it says stop, and keeps what was measured.
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise LoadError(f"cannot start a load process: {error}") from error
        self._input, self._output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._held = b""
        self._ended = False
        try:
            self.tell(**asdict(job))
        except LoadError:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """The descriptor that can be read from when it has said something."""
        return self._output.fileno()

    def tell(self, **what: Any) -> None:
        """
        Send it a line.

        Raises:
            LoadError: it has ended.
        """
        try:
            self._input.write(json.dumps(what).encode() + b"\n")
            self._input.flush()
        except OSError:
            raise self._obituary() from None

    def hear(self, limit_s: float) -> list[dict[str, Any]]:
        """
        What it has said, waiting up to ``limit_s`` seconds for something; perhaps nothing.

        Raises:
            LoadError: it has ended, or said something that is no message.
        """
        if not self._selector.select(limit_s):
            return []
        data = os.read(self._output.fileno(), 65536)
        if not data:
            raise self._obituary()
        *lines, self._held = (self._held + data).split(b"\n")
        return [_message(line) for line in lines]

    def end(self) -> None:
        """End it, and give its descriptors back; safe to call twice."""
        if self._ended:
            return
        self._ended = True
        self._selector.close()
        for pipe in (self._input, self._output):
            # Closing sends what is held back, and nobody may be there to take it.
            _close(pipe)
        try:
            self._process.wait(_END_LIMIT_S)
        except BaseException as error:
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            self._errors.close()

    def _obituary(self) -> LoadError:
        try:
            code: int | None = self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            code = None
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip()[-_WORDS_MAX:]
        return LoadError(f"the load process ended unexpectedly ({_how(code)}): {words or 'it said nothing'}")


def _errors_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(prefix="inferbench-errors-")
    except OSError as error:
        raise LoadError(f"cannot start a load process, which needs a temporary file: {error}") from error


def _environment() -> dict[str, str]:
    """
    This environment, in which the load process finds this package and nothing else of the working directory.

    A checkout is put on the path; an installed package is there already, and its neighbours must not go before the standard
    library.
    """
    root = Path(__file__).parents[2]
    environment = dict(os.environ)
    if not root.name.endswith("-packages"):
        held = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = str(root) + (os.pathsep + held if held else "")
    return environment


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise LoadError("the load process was started without a pipe")
    return pipe


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        # The descriptor is closed all the same.
        return


def _message(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or "state" not in said:
        words = line[:200].decode(errors="replace")
        raise LoadError(f"the load process said something that is no message: {words!r}; does a site module print?")
    return said


def _how(code: int | None) -> str:
    if code is None:
        return f"it closed its output and did not end within {_END_LIMIT_S:g} s"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
