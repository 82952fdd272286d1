"""
What telemetry costs, and what it does to the figures of the load beside it.

    python tests/benchmarks/telemetry.py cost [--server llamacpp|vllm] [--seconds 60]
    python tests/benchmarks/telemetry.py errors [--rounds 5]

``cost`` lets the sampler look at a real server once a second and at eight made-up GPUs ten times a second, and prints its CPU
time a minute. ``errors`` drives the loopback server with and without that, in turn, and prints the client's error of the first
token both ways and their ratio. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from pytest_inferbench.cases.case import Load
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.calibrate import Errors, drive_known, errors_against, known_case
from pytest_inferbench.load.loopback import Loopback, Schedule
from pytest_inferbench.metrics.telemetry.watch import Rates, Watch, watching
from tests.integration.servers import running

GPUS = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="h100") for index in range(8))
RATES = Rates(source="fake")
SCHEDULE = Schedule(ttft_ms=50, itl_ms=10, tokens=32)
LOAD = Load(concurrency=64, requests=1280, warmup=64)


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, in seconds: user and system (fields 14 and 15 of proc_pid_stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cost(folder: Path, *, server: str, seconds: float) -> Iterator[str]:
    """The sampler's CPU time while a server idles."""
    with running(server, folder) as endpoint, watching(endpoint, GPUS, folder=folder, rates=RATES) as watch:
        pid = watch.pid or 0
        began_s, began_cpu_s = time.monotonic(), cpu_s(pid)
        time.sleep(seconds)
        used_s, took_s, held_mb = cpu_s(pid) - began_cpu_s, time.monotonic() - began_s, memory_mb(pid)
    yield f"sampler beside {server}: {used_s * 60 / took_s:.2f} CPU seconds a minute, {held_mb:.0f} MB"
    readings = watch.readings
    size = len(readings.scrapes[-1].text)
    yield f"{len(readings.gpus)} readings of {len(GPUS)} GPUs, {len(readings.scrapes)} answers of {size} characters"
    yield _decoding(watch)
    yield f"troubles: {'; '.join(readings.troubles) or 'none'}"


def _decoding(watch: Watch) -> str:
    began_s = time.process_time()
    watch.summary(window_ns=(0, 1), output_tokens=None)
    return f"making figures of them afterwards took {(time.process_time() - began_s) * 1e3:.0f} ms"


def errors(folder: Path, *, rounds: int) -> Iterator[str]:
    """A row a round and the medians: the first token's error without telemetry and with it."""
    yield "| round | first token p50 without, with, ratio | p99 without, with, ratio | gap p99 without, with, ratio |"
    yield "|---|---|---|---|"
    rows: list[tuple[Errors, Errors]] = []
    with running("llamacpp", folder) as endpoint:
        trial(None, folder)  # the first load of a process is slower than the others
        for number in range(1, rounds + 1):
            # Which goes first changes from round to round, so that a machine that slows down favours neither.
            found = {with_it: trial(endpoint if with_it else None, folder) for with_it in (number % 2 == 0, number % 2 == 1)}
            rows.append((found[False], found[True]))
            yield f"| {number} | {row(cells(rows[-1:]))} |"
    yield f"| median | {row(cells(rows))} |"


def cells(pairs: list[tuple[Errors, Errors]]) -> list[tuple[float, float]]:
    """Medians of the three figures over the rounds, without telemetry and with it, in milliseconds."""
    figures = [[(each.first.p50_ms, each.first.p99_ms, each.gap.p99_ms) for each in side] for side in zip(*pairs, strict=True)]
    without, with_it = ([statistics.median(values) for values in zip(*side, strict=True)] for side in figures)
    return list(zip(without, with_it, strict=True))


def row(figures: list[tuple[float, float]]) -> str:
    """Cells of the table."""
    return " | ".join(f"{without:.3f}, {with_it:.3f} ms, {with_it / without:.2f}" for without, with_it in figures)


def trial(watched: Endpoint | None, folder: Path) -> Errors:
    """One load against a loopback server of its own, beside telemetry of another server where that is given."""
    with ExitStack() as held:
        if watched is not None:
            held.enter_context(watching(watched, GPUS, folder=folder, rates=RATES))
        server = held.enter_context(Loopback.start(SCHEDULE))
        driven = drive_known(known_case(LOAD, output_tokens=SCHEDULE.tokens), url=server.url)
        log = server.stop()
    return errors_against(driven.measured, {name: sent.token_ns for name, sent in log.sent.items()})


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cost", "errors"))
    parser.add_argument("--server", choices=("llamacpp", "vllm"), default="llamacpp")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = cost(folder, server=options.server, seconds=options.seconds) if options.what == "cost" else None
        for line in lines or errors(folder, rounds=options.rounds):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
