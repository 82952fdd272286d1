"""
Sending cases as they finish, so that little is left to send at the end and little is lost with the machine.

Rule: a load is never disturbed. Nothing is sent while one runs; a file that is under way when one is about to start is waited
for, and large files are left for the end. Nothing here fails a run: what was not sent is sent at the end, by
`artifacts.upload_run`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread
from typing import Final

from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.records.artifact_manifest import ARTIFACT_FILE, MANIFEST_BYTES_MAX, files_in, run_id_of
from pytest_inferbench.records.artifact_store import NotThere, Store

FILE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Larger files wait for the end: what is under way cannot be paused."""
PAUSE_S: Final = 30.0
"""How long a load waits for the file that is under way, at most."""


class Uploader:
    """
    A thread that sends finished cases while no load runs.

    Args:
        url: where to; the run gets a folder of its id there.
        run_dir: the run's folder.
        store: stands for the one at ``url``, for tests.

    Raises:
        ConfigError: the URL is none, holds credentials, or needs a library that is not installed.
        RecordError: the folder is no run's.
    """

    def __init__(self, url: str, run_dir: Path, *, store: Store | None = None) -> None:
        self._store = store or Store(url)
        self._run_dir = run_dir
        self._place = self._store.below(run_id_of(run_dir))
        self._changed = Condition()
        self._waiting: deque[Path] = deque()
        self._loads = 0
        self._sending = False
        self._over = False
        # A daemon: a store that hangs must not keep a session from ending.
        self._thread = Thread(target=self._send, name="inferbench-uploader", daemon=True)
        self._thread.start()

    def offer(self, case_folder: Path) -> None:
        """Send the files of a finished case when no load runs."""
        with self._changed:
            self._waiting += [path for path in files_in(case_folder) if path.stat().st_size <= FILE_BYTES_MAX]
            self._changed.notify_all()

    def pause(self) -> bool:
        """A load is about to start: send no further file; False where one was still under way after `PAUSE_S`."""
        with self._changed:
            self._loads += 1
            return self._changed.wait_for(lambda: not self._sending, PAUSE_S)

    def resume(self) -> None:
        """That load is over."""
        with self._changed:
            self._loads -= 1
            self._changed.notify_all()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """A load runs in this block: nothing is sent."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def stop(self) -> None:
        """Send nothing more; the file that is under way is waited for, `PAUSE_S` at most."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join(PAUSE_S)

    def _send(self) -> None:
        while (path := self._next()) is not None:
            try:
                if self._is_complete():
                    return
                self._place.send(path, path.relative_to(self._run_dir).as_posix())
            except InferbenchError:
                # Whatever is wrong, the upload at the end meets it again and says it once.
                return
            finally:
                with self._changed:
                    self._sending = False
                    self._changed.notify_all()

    def _next(self) -> Path | None:
        """The next file when it may be sent; None when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._waiting and not self._loads))
            if self._over:
                return None
            self._sending = True
            return self._waiting.popleft()

    def _is_complete(self) -> bool:
        """Whether the run is in the store already, where only the upload at the end may decide what becomes of it."""
        try:
            self._place.read(ARTIFACT_FILE, bytes_max=MANIFEST_BYTES_MAX)
        except NotThere:
            return False
        return True
