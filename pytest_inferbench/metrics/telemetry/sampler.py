"""
The process beside the load that looks at GPUs ten times a second and at the server's metrics once a second:
``python -m pytest_inferbench.metrics.telemetry.sampler``, with its settings as a line of JSON on standard input.

It says ``ready`` when it has looked once, and ends when its standard input does (or its parent), after a last look. It stands
back for everything else on its cores, and decodes nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pytest_inferbench.launch.guard import die_with_parent
from pytest_inferbench.load.clock import monotonic_ns
from pytest_inferbench.metrics.telemetry import journal
from pytest_inferbench.metrics.telemetry.gpu_source import SOURCES, GpuSource, NoGpus
from pytest_inferbench.metrics.telemetry.scrape import NotScraped, Source, scrape
from pytest_inferbench.metrics.telemetry.simulated_source import SimulatedSource
from pytest_inferbench.redaction import Secret, redact_url

SCRAPE_LIMIT_S = 5.0
FIRST_SCRAPE_LIMIT_S = 2.0
LAST_SCRAPE_LIMIT_S = 0.5
"""A sampler that was asked to end does so within a second, whatever the server does."""
_NICENESS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What a sampler is to do.

    ``gpus`` are (index, uuid); ``source`` is a key of `SOURCES`. The key that the server wants goes by the name of its variable.
    ``simulated_gpus_url`` is where a simulated server tells of its GPUs, which are watched in place of any that are here.
    """

    parent_pid: int
    journal: str
    gpus: tuple[tuple[int, str], ...] = ()
    source: str = "nvml"
    url: str | None = None
    key_env: str | None = None
    ca_file: str | None = None
    gpu_every_s: float = 0.1
    scrape_every_s: float = 1.0
    simulated_gpus_url: str | None = None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Settings:
        """From JSON."""
        return cls(**{**data, "gpus": tuple((index, uuid) for index, uuid in data["gpus"])})


class Ticks:
    """Instants at a fixed distance from the first: late ones are left out and shift nothing."""

    def __init__(self, first_ns: int, *, every_s: float) -> None:
        self._every_ns = round(every_s * 1e9)
        self.next_ns = first_ns + self._every_ns

    def passed(self, now_ns: int) -> None:
        """Let the next instant be the first one after now."""
        self.next_ns += max(0, (now_ns - self.next_ns) // self._every_ns + 1) * self._every_ns

    def left_s(self, now_ns: int) -> float:
        """Seconds until the next instant, at least 0."""
        return max(0, self.next_ns - now_ns) / 1e9


@dataclass(slots=True)
class Journal:
    """Takes lines from both threads and puts each on the disk at once."""

    file: IO[str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, text: str) -> None:
        """Add whole lines."""
        with self.lock:
            self.file.write(text)
            self.file.flush()


class Scraper(threading.Thread):
    """Asks the server once a second in a thread of its own, so that a slow server holds up nothing else."""

    def __init__(self, source: Source, writer: Journal, *, every_s: float) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._writer = writer
        self._every_s = every_s
        self._over = threading.Event()
        self._asked = self._failed = 0
        self._last = ""

    def look(self, *, limit_s: float) -> bool:
        """Ask once and write down what came; False where asking again is of no use."""
        self._asked += 1
        try:
            self._writer.write(journal.scrape_line(scrape(self._source, limit_s=limit_s)))
        except NotScraped as trouble:
            self._failed += 1
            self._last = str(trouble)
            return not trouble.for_good
        return True

    def run(self) -> None:
        """Ask until told to stop, and then once more."""
        ticks = Ticks(monotonic_ns(), every_s=self._every_s)
        while not self._over.wait(ticks.left_s(monotonic_ns())):
            if not self.look(limit_s=SCRAPE_LIMIT_S):
                return
            ticks.passed(monotonic_ns())
        self.look(limit_s=LAST_SCRAPE_LIMIT_S)

    def stop(self) -> None:
        """Let it ask once more, and wait for that no longer than it may take."""
        self._over.set()
        if self.ident is not None:
            self.join(LAST_SCRAPE_LIMIT_S + 0.2)

    def troubles(self) -> list[str]:
        """What could not be seen of the server, in a sentence."""
        url = redact_url(self._source.url)
        if self._failed and self._failed == self._asked:
            return [f"the server's metrics at {url} are not in this record: {self._last}"]
        if self._failed:
            return [f"the server's metrics at {url} could not be read {self._failed} of {self._asked} times; last: {self._last}"]
        return []


def main() -> int:
    """Look until standard input ends."""
    settings = Settings.of(json.loads(sys.stdin.buffer.readline()))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SIGKILL: there is nothing to put in order, every line is on the disk.
    die_with_parent(signal.SIGKILL)
    if os.getppid() != settings.parent_pid:
        return 0
    with suppress(OSError):
        os.nice(_NICENESS)
    with Path(settings.journal).open("w", encoding="utf-8") as file:
        _sample(settings, Journal(file))
    return 0


def _sample(settings: Settings, writer: Journal) -> None:
    gpus, troubles = _gpus(settings)
    scraper = _scraper(settings, writer)
    if gpus is not None:
        writer.write(journal.gpu_lines(gpus.read()))
    if scraper is not None and scraper.look(limit_s=FIRST_SCRAPE_LIMIT_S):
        scraper.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _watch_gpus(gpus, writer, every_s=settings.gpu_every_s)
    if scraper is not None:
        scraper.stop()
        troubles += scraper.troubles()
    if gpus is not None:
        troubles += gpus.troubles
    _say(troubles, writer)


def _watch_gpus(gpus: GpuSource | None, writer: Journal, *, every_s: float) -> None:
    ticks = Ticks(monotonic_ns(), every_s=every_s)
    while not _told_to_end(None if gpus is None else ticks.left_s(monotonic_ns())):
        if gpus is not None:
            writer.write(journal.gpu_lines(gpus.read()))
        ticks.passed(monotonic_ns())
    if gpus is not None:
        writer.write(journal.gpu_lines(gpus.read()))


def _told_to_end(timeout_s: float | None) -> bool:
    """Wait for so long, or for the end of standard input; whether it came."""
    ready, _, _ = select.select([sys.stdin.fileno()], [], [], timeout_s)
    return bool(ready)


def _gpus(settings: Settings) -> tuple[GpuSource | None, list[str]]:
    if settings.simulated_gpus_url is not None:
        return SimulatedSource(settings.gpus, _source(settings, settings.simulated_gpus_url)), []
    if not settings.gpus:
        return None, []
    try:
        return SOURCES[settings.source](settings.gpus), []
    except NoGpus as error:
        return None, [f"GPUs are not watched: {error}"]


def _scraper(settings: Settings, writer: Journal) -> Scraper | None:
    if settings.url is None:
        return None
    return Scraper(_source(settings, settings.url), writer, every_s=settings.scrape_every_s)


def _source(settings: Settings, url: str) -> Source:
    key = os.environ.get(settings.key_env) if settings.key_env else None
    return Source(url=url, key=Secret(key) if key else None, ca_file=settings.ca_file)


def _say(troubles: Iterable[str], writer: Journal) -> None:
    writer.write("".join(journal.trouble_line(sentence) for sentence in troubles))


if __name__ == "__main__":
    status = main()
    # At once: a scrape that hangs holds nobody up.
    os._exit(status)
