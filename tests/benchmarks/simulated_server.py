"""
How many tokens the simulated server streams on one core, and how well it keeps its own schedule.

    python tests/benchmarks/simulated_server.py [--concurrency 512] [--step-time 25ms] [--tokens 400] [--rounds 2]

The server runs on the first CPU that there is, with every step as long as ``--step-time``; ``inferbench run`` drives it from the
others, each user with ``--rounds`` requests one after the other. Printed are the rate, the server's CPU time, and its lateness by
its own ``/metrics``: of each token from when it was due (a step's i-th token is due i x 40 µs after the step's end), and from the
end of its step; then the times that the client saw. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from pytest_inferbench.simulator.server.tokens import TOKENIZER

MODEL = "llama-3.1-8b"
READY = re.compile(r"ready at (http://\S+): ")
LIMIT_S = 60.0
PREFIX = "inferbench_simulator_"


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, in seconds: user and system (fields 14 and 15 of proc_pid_stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metrics(url: str) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """Every series of the server by name."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310 - the address is our own
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def percentile_ms(buckets: list[tuple[Mapping[str, str], float]], share: float) -> str:
    """The bucket that holds this share of all, in milliseconds: between which bounds it lies, and where if evenly spread."""
    total, lower_s, below = buckets[-1][1], 0.0, 0.0
    for labels, count in buckets:
        upper_s = float(labels["le"])
        if count >= share * total:
            inside = (share * total - below) / (count - below)
            return f"{(lower_s + (upper_s - lower_s) * inside) * 1e3:.2f} ms (from {lower_s * 1e3:g} to {upper_s * 1e3:g})"
        lower_s, below = upper_s, count
    return "none"


def pinned(cpus: set[int]) -> Any:
    """Something to call in a new process that runs on these CPUs only."""
    return lambda: os.sched_setaffinity(0, cpus)


def measure(options: argparse.Namespace) -> Iterator[str]:
    """Start both, and say what was seen."""
    first, *others = sorted(os.sched_getaffinity(0))
    program = [sys.executable, "-m", "pytest_inferbench.simulator", "--model", MODEL, "--port", "0"]
    argv = [*program, "--step-time", options.step_time, "--", "--max-num-seqs", str(options.concurrency)]
    with tempfile.TemporaryDirectory() as name:
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, preexec_fn=pinned({first}))  # noqa: PLW1509 - no threads here
        try:
            url = address(server)
            yield from driven(server.pid, url, options, cpus=set(others) or {first}, folder=Path(name))
        finally:
            server.terminate()
            server.wait(LIMIT_S)


def address(server: subprocess.Popen[str]) -> str:
    """Where it is, when it is ready."""
    line = "" if server.stdout is None else server.stdout.readline()
    found = READY.match(line)
    if found is None:
        raise SystemExit(f"the server did not become ready: {line}")
    return found[1]


def driven(pid: int, url: str, options: argparse.Namespace, *, cpus: set[int], folder: Path) -> Iterator[str]:
    """Drive it, and say what was seen."""
    requests = options.concurrency * options.rounds
    flags = [
        f"--endpoint={url}",
        f"--concurrency={options.concurrency}",
        f"--requests={requests}",
        f"--traffic=D(32,{options.tokens})",
    ]
    argv = [sys.executable, "-m", "pytest_inferbench.cli", "run", *flags, f"--tokenizer={TOKENIZER}", "--workers=1", "-q"]
    argv += ['--extra-body={"ignore_eos": true}', f"--output={folder / 'out'}"]
    began_s = cpu_s(pid)
    done = subprocess.run(argv, check=False, capture_output=True, text=True, preexec_fn=pinned(cpus))
    yield from server_lines(metrics(url), used_s=cpu_s(pid) - began_s)
    yield from client_lines(folder / "out", done.stdout)


def server_lines(series: Mapping[str, list[tuple[Mapping[str, str], float]]], *, used_s: float) -> Iterator[str]:
    """What the server says of itself."""
    tokens, late, steps, late_steps = (
        series[f"{PREFIX}{name}_total"][0][1] for name in ("tokens", "late_tokens", "steps", "late_steps")
    )
    yield f"server: {tokens:.0f} tokens in {steps:.0f} steps, {used_s / tokens * 1e6:.1f} µs of CPU each, {used_s:.1f} s in all"
    yield f"late by more than 2 ms: {late / tokens:.2%} of the tokens, {late_steps / steps:.2%} of the steps"
    for name, text in (("lateness", "after it was due"), ("after_step_end", "after the end of its step")):
        buckets = series[f"{PREFIX}{name}_seconds_bucket"]
        yield f"a token leaves {text}: p50 {percentile_ms(buckets, 0.5)}, p99 {percentile_ms(buckets, 0.99)}"


def client_lines(folder: Path, output: str) -> Iterator[str]:
    """What the client saw."""
    path = folder / "summary.json"
    if not path.is_file():
        raise SystemExit(f"inferbench run left no summary:\n{output}")
    summary = json.loads(path.read_text(encoding="utf-8"))["summary"]
    yield f"client: {json.dumps({name: value for name, value in summary.items() if name in CLIENT_FIGURES})}"
    yield output.strip()


CLIENT_FIGURES = ("completed", "failed", "output_tokens", "output_tokens_per_s", "itl_ms", "tpot_ms", "ttft_ms", "duration_s")


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=512)
    parser.add_argument("--step-time", default="25ms")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=2)
    for line in measure(parser.parse_args()):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
