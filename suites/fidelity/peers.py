"""
How right and how dear this client is beside others, all against the same server with an exact schedule: a table.

    python -m suites.fidelity.peers                                     # every client, every load: about 25 minutes
    python -m suites.fidelity.peers --quick --tool aiperf --load A
    python -m suites.fidelity.peers --server ./truthserver --env vllm=/opt/vllm --json figures.json

Run it from the root of the repository, on Linux, where nothing else runs, on two CPUs: one has the server, the other the client
with all its processes. Clients that are missing are installed, each in an environment of its own; ``--env NAME=FOLDER`` names one
that is there. With ``--json`` figures are added to those that are in the file, so that the table can be made in parts.

An error is a percentile of what the client reports minus the same percentile of what the server says it did. CPU time is that of
the client and all that it starts, less what a load of a single request takes, for each token that the server sent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from suites.fidelity.accounts import Account, run
from suites.fidelity.peer_places import CACHE, NotInstalled, Places
from suites.fidelity.peer_tools import TOOLS, Report, Setting, Shape, Tool
from suites.fidelity.tokenizer_folder import write_tokenizer
from suites.fidelity.truth import BUILT_IN, Schedule, Truth, serving

RUN_LIMIT_S = 1200.0
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
_ONE = Shape(users=1, requests=1)
_WORDS = 160

LOADS = {
    "A": Shape(users=64, requests=1000),
    "B": Shape(users=512, requests=4000),
    "C": Shape(rate_per_s=200, requests=4000),
}
QUICK = {
    "A": Shape(users=8, requests=24),
    "B": Shape(users=32, requests=96),
    "C": Shape(rate_per_s=20, requests=40),
}
Figures = dict[str, Any]

COLUMNS = (
    ("first token error p50 / p99 ms", ("first_p50_ms", "first_p99_ms")),
    ("gap error p99 ms", ("gap_p99_ms",)),
    ("last token error p50 / p99 ms", ("whole_p50_ms", "whole_p99_ms")),
    ("CPU us/token", ("cpu_us",)),
    ("wall s", ("wall_s",)),
    ("in flight, mean", ("in_flight",)),
    ("requests/s", ("rate_per_s",)),
    ("not completed", ("lost",)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all runs have in common: the clients, the server's program, its CPU and the client's, and a tokenizer."""

    places: Places
    server: Sequence[str]
    cpus: tuple[int, int]
    tokenizer: Path
    idle_cpu_s: dict[str, float] = field(default_factory=dict)
    """What a load of a single request costs each client, once it was measured."""


class RunFailed(Exception):
    """A client did not come to its end, or left nothing to read; says what it last wrote."""


# -- one run of one client -------------------------------------------------------------------------------------------------


def measured(name: str, shape: Shape, bench: Bench) -> Figures:
    """
    The figures of a client at a load.

    Raises:
        NotInstalled: it cannot be had.
        RunFailed: it failed, with its last words.
    """
    if name not in bench.idle_cpu_s:
        # The first start reads everything from the disk, and compiles it.
        bench.idle_cpu_s[name] = min(driven(name, _ONE, bench)[0].cpu_s for _ in range(2))
    account, report, truth = driven(name, shape, bench)
    return figures_of(account, report, truth, idle_cpu_s=bench.idle_cpu_s[name])


def driven(name: str, shape: Shape, bench: Bench) -> tuple[Account, Report, Truth]:
    """
    Run a client against a server of its own.

    Raises:
        NotInstalled: it cannot be had.
        RunFailed: it failed, with its last words.
    """
    tool = TOOLS[name]
    command = bench.places.command(name, tool)
    with tempfile.TemporaryDirectory(prefix="inferbench-peer-") as folder:
        with serving(bench.server, Schedule(tokens=shape.tokens), cpu=bench.cpus[0]) as truth:
            at = Setting(shape=shape, url=truth.url, model=truth.model, tokenizer=bench.tokenizer, folder=Path(folder))
            argv = [*command, *tool.arguments(at)]
            log = Path(folder, "output.txt")
            account = run(argv, cpus={bench.cpus[1]}, log=log, limit_s=RUN_LIMIT_S, env=_environment(tool))
        return account, _report(tool, account, Path(folder)), truth


def _report(tool: Tool, account: Account, folder: Path) -> Report:
    if account.code is None:
        raise RunFailed(f"did not end within {RUN_LIMIT_S:g} s: {_end_of(account.words)}")
    try:
        report = tool.read(folder)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise RunFailed(f"exit code {account.code}, no result: {_end_of(account.words)}") from error
    if not report.first_ms:
        raise RunFailed(f"no request completed: {_end_of(account.words)}")
    return report


def figures_of(account: Account, report: Report, truth: Truth, *, idle_cpu_s: float) -> Figures:
    """Everything that the table shows of a run."""
    # What a client sends to see whether the server is there comes first, and is not in its figures.
    served = truth.served[-(len(report.first_ms) + report.failed) :]
    gaps_ms = truth.gaps_ms[-len(served) :]
    first_ms = [(each.first_ns - each.received_ns) / 1e6 for each in served]
    whole_ms = [(each.last_ns - each.received_ns) / 1e6 for each in served]
    true_gaps_ms = [float(np.mean(each)) for each in gaps_ms if each] if report.gaps_are_means else [*chain(*gaps_ms)]
    span_s = (max(each.last_ns for each in served) - served[0].received_ns) / 1e9
    sending_s = (served[-1].received_ns - served[0].received_ns) / 1e9
    tokens = sum(len(each) + 1 for each in gaps_ms)
    return {
        "first_p50_ms": _off(report.first_ms, first_ms, 50),
        "first_p99_ms": _off(report.first_ms, first_ms, 99),
        "gap_p99_ms": _off(report.gaps_ms, true_gaps_ms, 99) if report.gaps_ms else None,
        "whole_p50_ms": _off(report.whole_ms, whole_ms, 50),
        "whole_p99_ms": _off(report.whole_ms, whole_ms, 99),
        "cpu_us": (account.cpu_s - idle_cpu_s) * 1e6 / tokens,
        "wall_s": account.wall_s,
        "in_flight": sum(whole_ms) / 1e3 / span_s,
        "rate_per_s": (len(served) - 1) / sending_s if sending_s else None,
        "lost": report.failed,
        "requests": len(served),
        "memory_mb_max": account.memory_mb_max,
        "code": account.code,
    }


def _off(said: Sequence[float], true: Sequence[float], percent: float) -> float:
    return float(np.percentile(said, percent) - np.percentile(true, percent))


def _environment(tool: Tool) -> Mapping[str, str]:
    return {**_QUIET, **(_OFFLINE if tool.offline else {})}


def _end_of(words: str) -> str:
    """The last of what a program wrote, on one line that a table bears."""
    lines = [line.strip(" │╰╭─╯╮") for line in words.splitlines()]
    text = " ".join(line for line in lines if line)[-_WORDS:]
    return text.replace("|", "/") or "it said nothing"


# -- the table -------------------------------------------------------------------------------------------------------------


def table(load: str, shape: Shape, rows: Mapping[str, Figures]) -> list[str]:
    """The Markdown of one load: a title, a head, and a line a client in the order of `TOOLS`."""
    names = ["client", *(name for name, _ in COLUMNS)]
    lines = [f"**{load}: {title(shape)}**", "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return [*lines, *(line(name, rows[name]) for name in TOOLS if name in rows)]


def title(shape: Shape) -> str:
    """A load in words."""
    if shape.users:
        return f"{shape.users} users, {shape.requests:,} requests of {shape.tokens} tokens"
    return f"Poisson {shape.rate_per_s}/s, {shape.requests:,} requests of {shape.tokens} tokens"


def line(name: str, figures: Figures) -> str:
    """A row of the table; a client that failed has its last words there."""
    label = f"{name} {TOOLS[name].package.partition('==')[2]}".strip()
    if "failed" in figures:
        return f"| {label} | failed: {figures['failed']} |" + " |" * (len(COLUMNS) - 1)
    cells = [" / ".join(_number(column, figures[column]) for column in columns) for _, columns in COLUMNS]
    return f"| {' | '.join([label, *cells])} |"


def _number(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column in ("lost", "wall_s", "in_flight"):
        return f"{value:,.0f}"
    if column in ("cpu_us", "rate_per_s"):
        return f"{value:,.1f}"
    return f"{value:+,.3f}" if abs(value) < 1 else f"{value:+,.1f}"


# -- all of them -----------------------------------------------------------------------------------------------------------


def measure_all(options: argparse.Namespace, bench: Bench) -> dict[str, dict[str, Figures]]:
    """Figures of every client at every load that was asked for, with those that the file has of others."""
    shapes = QUICK if options.quick else LOADS
    kept = Path(options.json) if options.json else None
    found: dict[str, dict[str, Figures]] = json.loads(kept.read_bytes()) if kept and kept.exists() else {}
    for load in options.load or LOADS:
        for name in options.tool or TOOLS:
            if shapes[load].users is None and not TOOLS[name].open_loop:
                continue
            say(f"{load}: {name}, {title(shapes[load])}")
            rows = found.setdefault(load, {})
            rows[name] = _figures_or_words(name, shapes[load], bench)
            say(line(name, rows[name]))
            if kept:
                kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def _figures_or_words(name: str, shape: Shape, bench: Bench) -> Figures:
    try:
        return measured(name, shape, bench)
    except (NotInstalled, RunFailed) as error:
        return {"failed": str(error)}


def say(text: str) -> None:
    """Tell a person how far it is, beside the table."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def parser() -> argparse.ArgumentParser:
    """What it takes on its command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--tool", action="append", choices=list(TOOLS), help="only this client; may be given several times")
    made.add_argument("--load", action="append", choices=list(LOADS), help="only this load; may be given several times")
    made.add_argument("--quick", action="store_true", help="small loads: whether it works, no figures to quote")
    made.add_argument("--server", help="a server of your own, as a program (default: the built-in one)")
    made.add_argument("--cpus", help="the server's and the client's, such as 0,1 (default: the first two)")
    made.add_argument("--env", action="append", default=[], metavar="NAME=FOLDER", help="an environment with that client")
    made.add_argument("--vllm", metavar="BIN", help="the bin folder of an environment with vLLM")
    made.add_argument("--python312", metavar="PROGRAM", help="a Python of at least 3.12 (default: the newest on PATH)")
    made.add_argument(
        "--pip", action="append", default=[], metavar="ARGUMENT", help="of pip install, such as --pip=--index-url=URL"
    )
    made.add_argument("--cache", type=Path, default=CACHE, help=f"where clients are installed (default: {CACHE})")
    made.add_argument("--json", metavar="FILE", help="add the figures to those in this file")
    return made


def places_of(options: argparse.Namespace, made: argparse.ArgumentParser) -> Places:
    """Where clients are to be found, from the command line."""
    given = {}
    for text in options.env:
        name, equals, folder = text.partition("=")
        if name not in TOOLS or not equals:
            made.error(f"--env {text}: write NAME=FOLDER, with a NAME of {', '.join(TOOLS)}")
        given[name] = Path(folder).expanduser()
    if options.vllm:
        given["vllm"] = Path(options.vllm).expanduser().absolute().parent
    return Places(cache=options.cache.expanduser(), given=given, python=options.python312, pip=options.pip, say=say)


def cpus_of(text: str | None, made: argparse.ArgumentParser) -> tuple[int, int]:
    """The server's CPU and the client's."""
    mine = sorted(os.sched_getaffinity(0))
    asked = [int(part) if part.isdecimal() else -1 for part in text.split(",")] if text else mine[:2]
    if len(asked) != 2 or len(set(asked)) != 2 or not set(asked) <= set(mine):
        made.error(f"--cpus takes two different ones of {','.join(map(str, mine))}: the server's, then the client's")
    return asked[0], asked[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    made = parser()
    options = made.parse_args(arguments)
    cpus, places = cpus_of(options.cpus, made), places_of(options, made)
    with tempfile.TemporaryDirectory(prefix="inferbench-peers-") as folder:
        server = [str(Path(options.server).absolute())] if options.server else BUILT_IN
        bench = Bench(places=places, server=server, cpus=cpus, tokenizer=write_tokenizer(Path(folder, "tokenizer")))
        found = measure_all(options, bench)
    shapes = QUICK if options.quick else LOADS
    for load, rows in sorted(found.items()):
        sys.stdout.write("\n".join([*table(load, shapes[load], rows), "", ""]))


if __name__ == "__main__":
    main()
