"""
A container's log, written into a file as it comes.

Rule: a secret that came in by reference never reaches the file. Whole lines are looked through, so that none can slip through
between two pieces.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import BinaryIO

from pytest_inferbench.launch.docker_engine import Logs
from pytest_inferbench.launch.environment import SECRET_CHARACTERS_MIN, Secrets

_LINE_BYTES_MAX = 65_536
_CLOSE_LIMIT_S = 2.0
_LAST_END = re.compile(rb"[\r\n](?=[^\r\n]*\Z)")  # progress bars end their lines with a carriage return


class HidingWriter:
    """
    Writes whole lines without secrets.

    Args:
        file: where they go.
        secrets: what is taken out; of a value of several lines, each line.
    """

    def __init__(self, file: BinaryIO, secrets: Secrets) -> None:
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


class LogFollower:
    """
    Follows a container's log in a thread, until the container or the connection ends.

    Attributes:
        trouble: why the file could not be written to the end, such as a full disk; None while all is well.
    """

    def __init__(self, logs: Logs, *, path: Path, secrets: Secrets) -> None:
        self.trouble: str | None = None
        self._logs = logs
        self._path = path
        self._secrets = secrets
        self._thread = threading.Thread(target=self._follow, name="inferbench-container-log", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return not self._thread.is_alive()

    def close(self, *, limit_s: float) -> None:
        """Wait for the rest for at most ``limit_s`` seconds, then let go."""
        self._thread.join(limit_s)
        if not self.ended:
            self._logs.close()
            self._thread.join(_CLOSE_LIMIT_S)

    def _follow(self) -> None:
        try:
            with self._path.open("ab") as file:
                writer = HidingWriter(file, self._secrets)
                for piece in self._logs:
                    writer.write(piece)
                writer.close()
        except OSError as error:
            self.trouble = f"its log could not be written to {self._path}: {error.strerror or error}"
            self._logs.close()
