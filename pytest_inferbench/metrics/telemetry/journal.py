"""
What the sampler writes while load runs, line by line, so that a sampler that is killed leaves what it has seen.

Rule: only this module knows what a line looks like. A line that is not whole (the last one, after a kill) is left out.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import Any

from pytest_inferbench.metrics.telemetry.gpu_source import GpuSample
from pytest_inferbench.metrics.telemetry.scrape import Scrape

_GPU, _SCRAPE, _TROUBLE = "gpu", "scrape", "trouble"
# A server's text is a tenth of its size afterwards, for a quarter of a millisecond.
_LEVEL = 1
_TAIL_BYTES = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """
    Everything that was seen beside a load, in order of time.

    Attributes:
        gpus: readings of GPUs.
        scrapes: what the server's ``/metrics`` said, undecoded.
        troubles: what could not be seen, in sentences.
        metrics_url: where the server's metrics are; None where they were not asked for.
        metric_names: the dialect of the server's metrics, where it is known.
        simulated: the server only behaves like one, and its GPUs are not there.
    """

    gpus: tuple[GpuSample, ...] = ()
    scrapes: tuple[Scrape, ...] = ()
    troubles: tuple[str, ...] = ()
    metrics_url: str | None = None
    metric_names: str | None = None
    simulated: bool = False


def gpu_lines(samples: Iterable[GpuSample]) -> str:
    """Readings of GPUs, a line each."""
    return "".join(_line(_GPU, *sample) for sample in samples)


def scrape_line(scrape: Scrape) -> str:
    """One answer of a server."""
    packed = base64.b64encode(zlib.compress(scrape.text.encode(), _LEVEL)).decode()
    return _line(_SCRAPE, scrape.timestamp_ns, packed)


def trouble_line(sentence: str) -> str:
    """Something that could not be seen."""
    return _line(_TROUBLE, sentence)


def read(path: Path) -> Readings:
    """
    What stands in a journal; nothing where there is none.

    Raises:
        OSError: it cannot be read.
    """
    gpus: list[GpuSample] = []
    scrapes: list[Scrape] = []
    troubles: list[str] = []
    for kind, *values in _lines(path):
        if kind == _GPU:
            gpus.append(GpuSample(*values))
        elif kind == _SCRAPE:
            scrapes.append(Scrape(values[0], zlib.decompress(base64.b64decode(values[1])).decode()))
        elif kind == _TROUBLE:
            troubles.append(values[0])
    return Readings(gpus=tuple(gpus), scrapes=tuple(scrapes), troubles=tuple(troubles))


def newest_gpus(path: Path) -> tuple[GpuSample, ...]:
    """The last reading of each GPU near the end of a journal that is still written to; none where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, SEEK_END) - _TAIL_BYTES))
            # The first line may have begun before, and the last one may not be whole.
            lines = file.read().split(b"\n")[1:-1]
    except OSError:
        return ()
    found = {sample.gpu: sample for sample in map(_gpu_sample, lines) if sample is not None}
    return tuple(found.values())


def _gpu_sample(line: bytes) -> GpuSample | None:
    if not line.startswith(b'["gpu"'):
        return None
    _, *values = json.loads(line)
    return GpuSample(*values)


def _line(*values: Any) -> str:
    return json.dumps(values, separators=(",", ":")) + "\n"


def _lines(path: Path) -> Iterator[list[Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
