"""
How long the history takes to answer with 100,000 results in it, and what keeping a run costs.

Run it: ``python tests/benchmarks/history.py [--runs 500] [--cases 200] [--rounds 9] [--url URL]``. It fills a new history with
runs of the same cases (in a temporary folder, or at the URL, which should be empty) in the way that a session does, asks each
question round after round, and prints medians. Times are of the question alone, opening the database included: as long as a
person waits, without Python's own start. Every measured value differs.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

from pytest_inferbench.cases.case import Case
from pytest_inferbench.records.history import store, trends
from pytest_inferbench.records.history.database import reading
from pytest_inferbench.records.history.deliver import record_run
from pytest_inferbench.records.history.filters import Filter, figure_column
from pytest_inferbench.records.history.frames import load_history
from pytest_inferbench.records.history.place import file_of
from pytest_inferbench.records.history.queries import case_lines, diff, run_lines
from pytest_inferbench.records.history.rows import ResultRow, RunRows, microseconds
from pytest_inferbench.records.results import column_dtypes
from tests.records.history.example_runs import FIRST, FOUR, record_of, rows_from, sqlite_in

FIGURES = [figure_column(name) for name in ("output_throughput", "ttft_p99", "tpot_p50")]
MEASURED = frozenset(name for name, kind in column_dtypes().items() if kind == "float64")
LIMIT_MS = 200.0


def case_of(number: int) -> Case:
    """One of many cases, which differ in model, hardware and load."""
    hardware, model, load = ("h100", "mi300x", "cpu")[number % 3], f"model-{number % 10}", number // 10 + 1
    case_id = f"{hardware}-vllm-{model}-tp1-d1024x128-c{load}-{number}"
    return replace(FOUR, id=case_id, hardware=hardware, model=model, load=replace(FOUR.load, concurrency=load))


def templates(cases: int) -> list[ResultRow]:
    """A row of each case, made of a real record."""
    records = [record_of(case_of(number), "template") for number in range(cases)]
    return list(rows_from(records).results)


def run_of(number: int, rows: list[ResultRow], random: Random) -> RunRows:
    """A run like the others, whose figures are its own."""
    started_us = microseconds(FIRST + timedelta(hours=number))
    results = [
        replace(
            row,
            started_us=started_us + i,
            figures={
                name: value * random.uniform(0.9, 1.1) if name in MEASURED else value for name, value in row.figures.items()
            },
            texts={**row.texts, "verdict": "fail" if random.random() < 0.05 else "pass"},
        )
        for i, row in enumerate(rows)
    ]
    empty = rows_from([record_of(FOUR, f"run-{number:05d}")], commit=f"commit{number // 5}")
    return replace(empty, results=results)


def median_ms(question: Callable[[], object], rounds: int) -> float:
    """The median of several answers, the first of all left out."""
    question()
    taken = []
    for _ in range(rounds):
        begun_ns = time.perf_counter_ns()
        question()
        taken.append((time.perf_counter_ns() - begun_ns) / 1e6)
    return statistics.median(taken)


def questions(url: str, runs: int, case_id: str) -> dict[str, Callable[[], object]]:
    """What people ask, by what it is called in the table."""
    ttft = figure_column("ttft_p99")

    def side_by_side() -> object:
        with reading(url) as connection:
            sides = [case_lines(connection, f"run-{number:05d}", FIGURES, Filter()) for number in (runs // 2, runs - 1)]
        return diff(sides[0], sides[1], FIGURES)

    def over_time(filter_: Filter, newest: int) -> object:
        with reading(url) as connection:
            return trends.trends(connection, ttft, filter_, newest=newest)

    def newest_runs() -> object:
        with reading(url) as connection:
            return run_lines(connection, Filter(), limit=20)

    def flakiest() -> object:
        with reading(url) as connection:
            return trends.flakiest(connection, Filter(), limit=20)

    one, model = Filter(words=(case_id,)), Filter(where=(("model", "model-3"), ("hardware", "h100")))
    return {
        "trend METRIC -k CASE, 30 results": lambda: over_time(one, 30),
        "trend METRIC -k CASE, every result": lambda: over_time(one, runs),
        "trend METRIC --where (of one model and hardware)": lambda: over_time(model, 30),
        "diff OLD NEW (all cases)": side_by_side,
        "list (20 runs)": newest_runs,
        "trend METRIC (every case, 30 results each)": lambda: over_time(Filter(), 30),
        "flakiest (over everything)": flakiest,
    }


def fill(url: str, runs: int, cases: int) -> float:
    """Fill the history; how long keeping a run took at the median, in milliseconds."""
    random, rows, taken = Random(0), templates(cases), []  # noqa: S311 - figures, no secrets
    for number in range(runs):
        run = run_of(number, rows, random)
        begun_ns = time.perf_counter_ns()
        store.keep(url, run)
        taken.append((time.perf_counter_ns() - begun_ns) / 1e6)
        if number % 50 == 49:
            sys.stderr.write(f"{number + 1} of {runs} runs\n")
    return statistics.median(taken)


def session_ms(url: str, folder: Path, rounds: int) -> tuple[float, float]:
    """What the end of a session costs with 100 cases, the first time and at the median of the others, in milliseconds."""
    taken = []
    for number in range(rounds + 1):
        records = [record_of(case_of(i), f"session-{number}", day=400, ttft_ms=100 + i) for i in range(100)]
        begun_ns = time.perf_counter_ns()
        notices = record_run(folder, url=url, records=records)
        taken.append((time.perf_counter_ns() - begun_ns) / 1e6)
        if notices:
            sys.exit("\n".join(notices))
    return taken[0], statistics.median(taken[1:])


def report(url: str, asked: argparse.Namespace, folder: Path) -> None:
    """Fill, ask, and say how long it took."""
    say = sys.stdout.write
    keep_ms = fill(url, asked.runs, asked.cases)
    file = file_of(url)
    size = f", {file.stat().st_size / 1e6:.0f} MB" if file is not None else ""
    say(f"{asked.runs} runs of {asked.cases} cases = {asked.runs * asked.cases:,} results{size}\n")
    for name, question in questions(url, asked.runs, case_of(asked.cases // 2).id).items():
        taken_ms = median_ms(question, asked.rounds)
        say(f"{name:<50} {taken_ms:8.1f} ms  {taken_ms / LIMIT_MS:5.2f} of {LIMIT_MS:g} ms\n")
    begun_ns = time.perf_counter_ns()
    rows = len(load_history(url))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    say(
        f"load_history(), {rows:,} rows {(time.perf_counter_ns() - begun_ns) / 1e9:8.1f} s, {peak_mb:,.0f} MB of memory at most\n"
    )
    say(f"keeping a run of {asked.cases} cases {keep_ms:8.1f} ms\n")
    first_ms, next_ms = session_ms(url, folder, asked.rounds)
    say(f"the end of a session with 100 cases {next_ms:8.1f} ms ({first_ms:.1f} ms the first time in a process)\n")


def main() -> None:
    """Ask for what is to be filled, and do it in a folder that is gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--url")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder
        report(asked.url or sqlite_in(Path(folder)), asked, Path(folder))


if __name__ == "__main__":
    main()
