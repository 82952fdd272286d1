"""
Telemetry as an experiment uses it: ``with watching(endpoint, gpus, folder=...) as watch``, and after that ``watch.summary(...)``.

Rule: telemetry never breaks a case. Whatever goes wrong with it becomes a sentence in its troubles.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.launch.answer import printable
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.ledger import passing_file
from pytest_inferbench.launch.process import end_sentence
from pytest_inferbench.metrics.telemetry import journal
from pytest_inferbench.metrics.telemetry.journal import Readings
from pytest_inferbench.metrics.telemetry.sampler import Settings
from pytest_inferbench.metrics.telemetry.simulated_source import GPUS_PATH
from pytest_inferbench.metrics.telemetry.summarise import summarise
from pytest_inferbench.metrics.telemetry.telemetry import Telemetry

MODULE = "pytest_inferbench.metrics.telemetry.sampler"
READY_LIMIT_S = 15.0
END_LIMIT_S = 3.0
SIMULATED_EVERY_S = 0.2
"""Each look at simulated GPUs is a request to a server that has a schedule to keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often is looked, and through which of `gpu_source.SOURCES`."""

    gpu_every_s: float = 0.1
    scrape_every_s: float = 1.0
    source: str = "nvml"


USUAL = Rates()


class Watch:
    """
    What is seen beside one load.

    Attributes:
        readings: everything that was seen; nothing before the end.
        pid: of the process that looks; None where there is nothing to look at.
    """

    def __init__(self, settings: Settings | None, *, readings: Readings) -> None:
        self.readings = readings
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._troubles: list[str] = []

    @property
    def pid(self) -> int | None:
        """The sampler's, while it is watched."""
        return None if self._process is None else self._process.pid

    def summary(self, *, window_ns: tuple[int, int], output_tokens: int | None) -> Telemetry:
        """
        What was seen over the measured window.

        Args:
            window_ns: begin and end of what is measured, on the clock of the requests (`load.clock.monotonic_ns`).
            output_tokens: that came within it; None where nobody knows.
        """
        return summarise(self.readings, window_ns=window_ns, output_tokens=output_tokens)

    @property
    def gpu_memory_bytes(self) -> int | None:
        """What the GPUs use together at this moment; None where there is none, or it has not been seen yet."""
        if self._settings is None or self._process is None:
            return None
        used = [each.memory_used_bytes for each in journal.newest_gpus(Path(self._settings.journal))]
        known = [each for each in used if each is not None]
        return sum(known) if known else None

    def start(self) -> None:
        """Start the process that looks, and wait until it has looked once."""
        if self._settings is None:
            return
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the process has ended
        try:
            self._process = _spawned(self._settings, words=self._words)
        except OSError as error:
            self._troubles.append(f"telemetry could not be started: {error.strerror or error}")
            return
        if not _is_ready(self._process):
            self._troubles.append(f"telemetry was not ready within {READY_LIMIT_S:g} s, and is left out")
            self._process.kill()

    def stop(self) -> None:
        """End the process, and read what it saw; safe to call twice."""
        process, self._process = self._process, None
        if process is not None and self._settings is not None:
            gone = process.poll() is not None
            self._end(process, gone=gone)
            self._read(Path(self._settings.journal))
        if self._words is not None:
            self._words.close()
        self.readings = replace(self.readings, troubles=(*self.readings.troubles, *self._troubles))
        self._troubles = []

    def _end(self, process: subprocess.Popen[bytes], *, gone: bool) -> None:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        try:
            code = process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self._troubles.append(
                f"telemetry did not end within {END_LIMIT_S:g} s and was killed; its last readings may be missing"
            )
            return
        if (gone or code != 0) and not self._troubles:
            self._troubles.append(f"telemetry ended before the load did: {end_sentence(code)}{self._last_words()}")

    def _last_words(self) -> str:
        if self._words is None:
            return ""
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return f"; it said: {printable(lines[-1])}" if lines else ""

    def _read(self, path: Path) -> None:
        try:
            seen = journal.read(path)
            path.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            self._troubles.append(f"telemetry in {path} cannot be read: {error}")
            return
        self.readings = replace(self.readings, gpus=seen.gpus, scrapes=seen.scrapes, troubles=seen.troubles)


@contextmanager
def watching(endpoint: Endpoint, gpus: Sequence[Gpu], *, folder: Path, rates: Rates = USUAL) -> Iterator[Watch]:
    """
    Look at GPUs and server for as long as the block runs, in a process of its own.

    It has looked once when the block begins, and looks once more after it. Where there is nothing to look at nothing is started.

    Args:
        endpoint: the server; its ``metrics_url`` is None where it has no metrics.
        gpus: that the server holds; of a simulated one, those that stand for what it tells of its own.
        folder: where the process writes what it sees, and from which it is gone afterwards.
        rates: how often.
    """
    here, troubles = (tuple(gpus), ()) if endpoint.simulated else _visible(gpus)
    settings = _settings(endpoint, here, folder=folder, rates=rates)
    watch = Watch(
        settings,
        readings=Readings(
            troubles=troubles,
            metrics_url=endpoint.metrics_url,
            metric_names=endpoint.metric_names,
            simulated=endpoint.simulated,
        ),
    )
    with nullcontext() if settings is None else passing_file(Path(settings.journal)):
        try:
            watch.start()
            yield watch
        finally:
            watch.stop()


def _visible(gpus: Sequence[Gpu]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    here = tuple(gpu for gpu in gpus if gpu.vendor == "nvidia" and not gpu.declared)
    if len(here) == len(gpus):
        return here, ()
    left_out = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in gpus if gpu not in here)
    return here, (f"only NVIDIA's GPUs that are on this host are watched; left out: {left_out}",)


def _settings(endpoint: Endpoint, gpus: Sequence[Gpu], *, folder: Path, rates: Rates) -> Settings | None:
    if not gpus and endpoint.metrics_url is None and not endpoint.simulated:
        return None
    return Settings(
        parent_pid=os.getpid(),
        journal=str(folder / f".telemetry-{secrets.token_hex(4)}.jsonl"),
        gpus=tuple((gpu.index, gpu.uuid) for gpu in gpus),
        source=rates.source,
        url=endpoint.metrics_url,
        key_env=endpoint.api_key_env,
        ca_file=endpoint.ca_file,
        gpu_every_s=max(rates.gpu_every_s, SIMULATED_EVERY_S) if endpoint.simulated else rates.gpu_every_s,
        scrape_every_s=rates.scrape_every_s,
        simulated_gpus_url=endpoint.url + GPUS_PATH if endpoint.simulated else None,
    )


def _spawned(settings: Settings, *, words: IO[bytes]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        start_new_session=True,  # Ctrl-C at the terminal is for us, who then end it
    )
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(settings)).encode() + b"\n")
            process.stdin.flush()
    return process


def _is_ready(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has looked once, or ended, within the limit."""
    if process.stdout is None:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return bool(selector.select(READY_LIMIT_S))
