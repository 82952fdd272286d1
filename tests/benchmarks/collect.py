"""
How long collecting 10,000 cases takes, beside plain ``pytest.mark.parametrize`` with the same ids.

Run it: ``python tests/benchmarks/collect.py [--cases 10000] [--rounds 5]``. It writes three projects into a temporary folder
(plain parametrize, the marker, a suite file), collects each in a process of its own, round after round so that all see the same
machine, and prints the median of the whole process and of collection alone. Plugins found in the environment are switched off
for all three, save this one.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAIN = """
import pytest

VALUES = [(tp, f"D({{i}},64)", c) for tp in (1, 2) for i in range(1, {traffics} + 1) for c in range(1, 51)]
IDS = [f"cpu-llamacpp-smollm2-135m-tp{{tp}}-{{t[:-1].lower().replace('(', '').replace(',', 'x')}}-c{{c}}" for tp, t, c in VALUES]


@pytest.mark.parametrize("case", VALUES, ids=IDS)
def test_chat(case):
    pass
"""
MARKER = """
import pytest


@pytest.mark.inferbench(
    hardware="cpu", engine="llamacpp", model="smollm2-135m", tensor_parallel=[1, 2],
    traffic=[f"D({{i}},64)" for i in range(1, {traffics} + 1)], concurrency=range(1, 51),
)
def test_chat(case):
    pass
"""
FILE = """
hardware: cpu
engine: llamacpp
matrix:
  model: smollm2-135m
  tensor_parallel: [1, 2]
  traffic: [{listed}]
  concurrency: [{levels}]
"""
CONFTEST = """
import time


def pytest_collection(session):
    session.config.started = time.perf_counter()


def pytest_collection_finish(session):
    print(f"COLLECTED {len(session.items)} in {time.perf_counter() - session.config.started:.6f} s")
"""
CONFTEST_FILE = (
    CONFTEST
    + """

import pytest


@pytest.fixture
def measure():
    return None
"""
)


def write_projects(folder: Path, traffics: int) -> dict[str, Path]:
    """One project for each way of writing the same cases."""
    listed = ", ".join(f'"D({i},64)"' for i in range(1, traffics + 1))
    levels = ", ".join(map(str, range(1, 51)))
    sources = {
        "plain": ("test_chat.py", PLAIN.format(traffics=traffics)),
        "marker": ("test_chat.py", MARKER.format(traffics=traffics)),
        "file": ("chat.bench.yaml", FILE.format(listed=listed, levels=levels)),
    }
    for name, (file, text) in sources.items():
        (folder / name).mkdir()
        (folder / name / file).write_text(text)
        (folder / name / "conftest.py").write_text(CONFTEST_FILE if name == "file" else CONFTEST)
        (folder / name / "pytest.ini").write_text("[pytest]\n")
    return {name: folder / name for name in sources}


def collect_once(name: str, project: Path, cases: int) -> tuple[float, float]:
    """Seconds of the whole process, and of collection alone."""
    plugin = [] if name == "plain" else ["-p", "pytest_inferbench.plugin"]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *plugin]
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=project, env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, capture_output=True, text=True, check=True
    )
    whole_s = time.perf_counter() - started
    found = re.search(r"COLLECTED (\d+) in ([\d.]+) s", done.stdout)
    if found is None or int(found[1]) != cases:
        raise SystemExit(f"{name}: expected {cases} cases\n{done.stdout[-2000:]}")
    return whole_s, float(found[2])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="a multiple of 100")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        projects = write_projects(Path(folder), options.cases // 100)
        for _ in range(options.rounds):
            for name, project in projects.items():
                times.setdefault(name, []).append(collect_once(name, project, options.cases))
    plain = [statistics.median(column) for column in zip(*times["plain"], strict=True)]
    out = sys.stdout.write
    out(f"{options.cases} cases, median of {options.rounds} rounds\n{'':8}{'whole process':>22}{'collection alone':>22}\n")
    for name, rounds in times.items():
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        cells = "".join(f"{value:>13.2f} s {value / base:>4.2f} x" for value, base in zip(medians, plain, strict=True))
        out(f"{name:8}{cells}\n")


if __name__ == "__main__":
    main()
