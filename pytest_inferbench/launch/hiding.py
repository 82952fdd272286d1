"""
A log without secrets, written as it comes.

Rule: a secret that came in by reference never reaches the file. Whole lines are looked through, so that none can slip through
between two pieces.

For a process this file is a program of its own, ``python hiding.py ROOT LOG``, between the server and its log: it hides for as
long as the server lives, also where the server outlives whoever started it. It ends when nobody can write to it any more.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if __name__ == "__main__":
    sys.path.append(sys.argv[1])  # the bare interpreter finds no packages

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.environment import SECRET_CHARACTERS_MIN, Secrets
from pytest_inferbench.launch.watchdog import Outliving

if TYPE_CHECKING:
    from io import FileIO

_LINE_BYTES_MAX = 65_536
_PIECE_BYTES = 65_536
_STDIN = 0
_LAST_END = re.compile(rb"[\r\n](?=[^\r\n]*\Z)")  # progress bars end their lines with a carriage return
_PATIENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Sink(Protocol):
    """What takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take all of them."""
        ...

    def flush(self) -> object:
        """Let others see them."""
        ...


class HidingWriter:
    """
    Writes whole lines without secrets.

    Args:
        file: where they go.
        secrets: what is taken out; of a value of several lines, each line.
    """

    def __init__(self, file: Sink, secrets: Secrets) -> None:
        self._file = file
        lines = {line.strip() for value in secrets.values for line in value.splitlines()}
        self._secrets = Secrets(
            tuple(sorted((line for line in lines if len(line) >= SECRET_CHARACTERS_MIN), key=len, reverse=True))
        )
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Take in a piece; what ends no line yet is kept back, up to a limit."""
        self._rest += data
        end = _LAST_END.search(self._rest)
        if end is not None:
            self._out(end.end())
        elif len(self._rest) > _LINE_BYTES_MAX:
            # As much is kept back as a secret that is not yet complete could have.
            longest = max((len(value.encode()) for value in self._secrets.values), default=1)
            self._rest = self._secrets.hidden_in_bytes(self._rest)
            self._out(max(len(self._rest) - longest + 1, 0))

    def close(self) -> None:
        """Write what was kept back."""
        self._out(len(self._rest))

    def _out(self, count: int) -> None:
        whole, self._rest = self._rest[:count], self._rest[count:]
        self._file.write(self._secrets.hidden_in_bytes(whole))
        self._file.flush()


class HidingProcess:
    """
    A process that writes a server's log without secrets; it outlives this one, if the server does.

    Args:
        path: the log; appended to.
        secrets: what is taken out.
        env: of the process; with the server's mark, so that it is found as whatever is the server's.

    Raises:
        EngineError: it cannot be started.
    """

    def __init__(self, path: Path, secrets: Secrets, *, env: Mapping[str, str]) -> None:
        argv = [sys.executable, "-I", "-S", __file__, str(Path(__file__).parents[2]), str(path.absolute())]
        read_end, self._write_end = os.pipe()
        # It keeps the mask: whoever ends the server tells it as well, and it has the server's last words to write.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _PATIENT)
        try:
            self._process = Outliving(
                argv,
                stdin=read_end,
                # None of this one's, which whoever reads them would wait for.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=env,
                cwd="/",
                start_new_session=True,
            )
            # By the pipe: the command line of a process can be read by everybody.
            self._say(json.dumps(secrets.values).encode() + b"\n")
        except OSError as error:
            self.started()
            raise EngineError(f"what keeps secrets out of {path} could not be started: {error.strerror or error}") from error
        finally:
            os.close(read_end)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def fileno(self) -> int:
        """Where the server writes."""
        return self._write_end

    def started(self) -> None:
        """Leave the pipe to the server: the process ends when nobody has it any more."""
        write_end, self._write_end = self._write_end, -1
        if write_end >= 0:
            os.close(write_end)

    def wait(self, *, limit_s: float) -> None:
        """Wait until all is written, for at most ``limit_s`` seconds."""
        self.started()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_s)

    def _say(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._write_end, data) :]


class _Enduring:
    """A file that may be on a full disk: what cannot be written is left out, and that is written once it can be."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._lost_bytes = 0

    def write(self, data: bytes) -> None:
        try:
            if self._lost_bytes:
                self._all(f"[inferbench: {self._lost_bytes} bytes of this log could not be written]\n".encode())
                self._lost_bytes = 0
            self._all(data)
        except OSError:
            self._lost_bytes += len(data)

    def flush(self) -> None:
        """Nothing: it has no buffer."""

    def _all(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) or 0 :]


def main(argv: Sequence[str]) -> int:
    """Write what comes, until nobody can write any more; the first line says what is to be hidden."""
    _, path = argv
    begun = b""
    while b"\n" not in begun:
        piece = os.read(_STDIN, _PIECE_BYTES)
        if not piece:
            return 1
        begun += piece
    first, _, piece = begun.partition(b"\n")
    with Path(path).open("ab", buffering=0) as file:
        writer = HidingWriter(_Enduring(file), Secrets(tuple(json.loads(first))))
        writer.write(piece)
        while piece := os.read(_STDIN, _PIECE_BYTES):
            writer.write(piece)
        writer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
