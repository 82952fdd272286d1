"""
Whether a replayed trace of a million requests fits into memory, and costs as much a request as a short one: a table.

    python -m suites.fidelity.million                                   # 250,000, 500,000 and 1,000,000 rows: about 18 minutes
    python -m suites.fidelity.million --rows 10000 --server ./truthserver

Each row is a whole ``inferbench run --trace`` of so many requests of 8 tokens: planning, sending, decoding, figures and records.
Run it from the root of the repository, on Linux, on two CPUs: one has the server, the other the client with all its processes.
Memory is what all of them together had resident, looked up four times a second; what they share counts once for each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from suites.fidelity.accounts import Account, run
from suites.fidelity.peers import cpus_of, say
from suites.fidelity.truth import BUILT_IN, Schedule, serving

ROWS = (250_000, 500_000, 1_000_000)
RATE_PER_S = 2000
PROMPT_TOKENS, TOKENS = 32, 8
SCHEDULE = Schedule(ttft_ms=20, itl_ms=5, tokens=TOKENS)
LIMIT_S = 7200.0
HEAD = ("requests", "not completed", "peak MB", "CPU us/request", "wall s", "send lag p99 ms")
Row = tuple[int, int, float, float, float, float]


class ReplayFailed(Exception):
    """The client came to no figures; says what it last wrote."""


def write_trace(path: Path, rows: int, *, rate_per_s: float = RATE_PER_S) -> None:
    """A plain trace of requests that are evenly apart."""
    with path.open("w", encoding="ascii") as file:
        file.write("timestamp,input_tokens,output_tokens\n")
        file.writelines(f"{row / rate_per_s:.6f},{PROMPT_TOKENS},{TOKENS}\n" for row in range(rows))


def replayed(rows: int, server: Sequence[str], cpus: tuple[int, int], *, rate_per_s: float = RATE_PER_S) -> Row:
    """
    One run, as a row of the table.

    Raises:
        ReplayFailed: there are no figures of it.
    """
    with (
        tempfile.TemporaryDirectory(prefix="inferbench-million-") as name,
        serving(server, SCHEDULE, cpu=cpus[0], logged=False) as truth,
    ):
        folder = Path(name)
        write_trace(folder / "trace.csv", rows, rate_per_s=rate_per_s)
        where = ["--endpoint", truth.url, "--model", truth.model, "--output", str(folder / "out"), "--quiet"]
        argv = [sys.executable, "-m", "pytest_inferbench.cli", "run", *where, "--trace", str(folder / "trace.csv")]
        account = run(argv, cpus={cpus[1]}, log=folder / "output.txt", limit_s=LIMIT_S)
        return row_of(account, folder / "out" / "summary.json")


def row_of(account: Account, summary: Path) -> Row:
    """
    What the table shows of a run.

    Raises:
        ReplayFailed: there are no figures of it.
    """
    if not summary.is_file():
        raise ReplayFailed(f"exit code {account.code}: {account.words.strip() or 'it said nothing'}")
    record = json.loads(summary.read_bytes())
    counts = record["summary"]["counts"]
    attempted, completed = counts["attempted"], counts["completed"]
    cpu_us = account.cpu_s * 1e6 / attempted
    lag_ms = float(record["audit"]["send_lag_ms_p99"])
    return attempted, attempted - completed, account.memory_mb_max, cpu_us, account.wall_s, lag_ms


def line(row: Row) -> str:
    """A row of the table."""
    requests, lost, peak_mb, cpu_us, wall_s, lag_ms = row
    cells = f"{requests:,}", f"{lost}", f"{peak_mb:,.0f}", f"{cpu_us:,.0f}", f"{wall_s:,.0f}", f"{lag_ms:.2f}"
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as it is done."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", action="append", type=int, help=f"of the trace; may be given several times (default: {ROWS})")
    made.add_argument("--rate", type=float, default=RATE_PER_S, help=f"requests a second (default {RATE_PER_S})")
    made.add_argument("--server", help="a server of your own, as a program (default: the built-in one)")
    made.add_argument("--cpus", help="the server's and the client's, such as 0,1 (default: the first two)")
    options = made.parse_args(arguments)
    cpus = cpus_of(options.cpus, made)
    server = [str(Path(options.server).absolute())] if options.server else BUILT_IN
    sys.stdout.write(f"| {' | '.join(HEAD)} |\n" + "|" + "---|" * len(HEAD) + "\n")
    for rows in options.rows or ROWS:
        say(f"{rows:,} rows, {rows / options.rate:,.0f} s and the time to plan and to decode")
        sys.stdout.write(line(replayed(rows, server, cpus, rate_per_s=options.rate)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
