"""
A container's log, written into a file as it comes.

Rule: a secret that came in by reference never reaches the file: see `hiding`.
"""

from __future__ import annotations

import threading
from pathlib import Path

from pytest_inferbench.launch.docker_engine import Logs
from pytest_inferbench.launch.environment import Secrets
from pytest_inferbench.launch.hiding import HidingWriter

_CLOSE_LIMIT_S = 2.0


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
