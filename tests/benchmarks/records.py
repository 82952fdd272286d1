"""
What keeping results costs, as a share of a run's time: a real session, in which each function that keeps anything is timed.

Run it: ``PYTHONPATH=. python tests/benchmarks/records.py [--cases 10] [--requests 1000]``. The session measures the loopback
server with 8 users, about 250 tokens a second each, so that a case of 1,000 requests of 64 tokens lasts half a minute. *Records*
are the files of each case, the results of the run, and the history (SQLite); pictures and the HTML report are counted apart.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.load.loopback import Loopback, Schedule

ROOT = Path(__file__).parents[2]
USERS, TOKENS = 8, 64
SCHEDULE = Schedule(ttft_ms=20, itl_ms=4, tokens=TOKENS)
SUITE = """
suite: records
hardware: cpu
engine: openai
matrix: {{model: [loopback], traffic: [{traffics}], concurrency: [{users}]}}
load: {{requests: {requests}, warmup: 8}}
slo: ["ttft_p99 <= 10s"]
confidence: observed
"""
RECORDS = {
    "pytest_inferbench.experiment": ("write_manifest", "write_case", "write_telemetry"),
    "pytest_inferbench.gathering:Gathering": ("write_results",),
    "pytest_inferbench.closing:Closing": ("_keep_in_history", "_note_durations"),
}
PICTURES = {
    "pytest_inferbench.experiment": ("write_case_png",),
    "pytest_inferbench.closing:Closing": ("_draw", "_summarise"),
    "pytest_inferbench.reporting.html": ("case_extras",),
}
spent_s: dict[str, float] = defaultdict(float)
begun_s = 0.0


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose time is counted under a name."""

    def call(*args: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            spent_s[name] += time.perf_counter() - begun

    return call


def count(kind: str, places: dict[str, tuple[str, ...]]) -> None:
    """Time what is named, under ``kind/name``."""
    for place, names in places.items():
        module, _, of_class = place.partition(":")
        holder = importlib.import_module(module)
        holder = getattr(holder, of_class) if of_class else holder
        for name in names:
            setattr(holder, name, timed(f"{kind}/{name}", getattr(holder, name)))


# -- the plugin of the session that is measured -------------------------------------------------------------------------


def pytest_configure() -> None:
    global begun_s  # noqa: PLW0603 - the session is one
    if "RECORDS_TIMED" in os.environ:
        count("records", RECORDS)
        count("pictures", PICTURES)
        begun_s = time.perf_counter()


def pytest_unconfigure(config: pytest.Config) -> None:
    if "RECORDS_TIMED" not in os.environ:
        return
    run_s = time.perf_counter() - begun_s
    write = config.get_terminal_writer().line
    write(f"records: the session took {run_s:.1f} s")
    for kind in ("records", "pictures"):
        of_kind = {name: took for name, took in spent_s.items() if name.startswith(f"{kind}/")}
        total_s = sum(of_kind.values())
        write(f"records: {kind} took {total_s:.2f} s, {100 * total_s / run_s:.2f} % of it")
        for name, took in sorted(of_kind.items(), key=lambda each: -each[1]):
            write(f"records:   {name.partition('/')[2].strip('_'):20} {took:6.2f} s")


# -- the benchmark --------------------------------------------------------------------------------------------------------


def measure(folder: Path, *, cases: int, requests: int) -> list[str]:
    """What the session says of itself."""
    traffics = ", ".join(f"'D({8 + each},{TOKENS})'" for each in range(cases))
    (folder / "records.bench.yaml").write_text(SUITE.format(traffics=traffics, users=USERS, requests=requests), encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RECORDS_TIMED": "1",
        "INFERBENCH_STORE": f"sqlite:///{folder}/history.sqlite",
    }
    with Loopback.start(SCHEDULE) as server:
        asked = ("-q", "-p", "no:cacheprovider", "-p", "tests.benchmarks.records", "--inferbench-endpoint", server.url)
        command = [sys.executable, "-m", "pytest", *asked, "records.bench.yaml"]
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stdout + run.stderr)
    return [line for line in run.stdout.splitlines() if line.startswith("records: ") or " passed" in line]


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--requests", type=int, default=1000, help="requests of each case")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write("\n".join(measure(Path(folder), cases=asked.cases, requests=asked.requests)) + "\n")


if __name__ == "__main__":
    main()
