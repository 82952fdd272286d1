"""
What the HTML report of a large run costs: time, memory, size, and how long a browser takes to open it.

Run it: ``python tests/benchmarks/report.py [--cases 1000] [--requests 1000] [--keep FOLDER]``. A pytest session of its own makes
up the cases (their requests are drawn, their figures follow by the real metrics) and lets the real report be written of them, by
pytest-html as ever. "Report" is the time in the report's own code and in pytest-html; making up the requests is not part of it.
With Chromium and playwright the report is then opened from disk, in a fresh browser each time.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting import html
from tests.reporting.examples import case, judged, record, verdict

ROOT = Path(__file__).parents[2]
TEST_FILE = """
import os
import pytest

@pytest.mark.parametrize("position", range(int(os.environ["REPORT_CASES"])))
def test_case(position):
    pass
"""
TOKENS = 64
MS = 1_000_000
LEVELS = (1, 2, 4, 8)
spent_s = {"cases": 0.0, "writing": 0.0, "cpu": 0.0}
made: dict[int, Record] = {}


def made_up_traces(position: int, requests: int) -> Traces:
    """A closed loop with a drawn TTFT and TPOT for each request; a hundredth of them fail."""
    random = np.random.default_rng(position)
    users = LEVELS[position % len(LEVELS)]
    ttft_ns = (random.lognormal(3 + 0.3 * users, 0.4, requests) * MS).astype(np.int64)
    gap_ns = (random.normal(9 + users, 0.5, (requests, TOKENS - 1)).clip(1) * MS).astype(np.int64)
    events = np.concatenate((ttft_ns[:, None], gap_ns), axis=1).cumsum(axis=1)
    took_ns = events[:, -1]
    sent_ns = np.zeros(requests, dtype=np.int64)
    for user in range(users):
        sent_ns[user::users][1:] = took_ns[user::users].cumsum()[:-1]
    events += sent_ns[:, None]
    failed = random.random(requests) < 0.01
    nothing = np.full(requests, -1, dtype=np.int64)
    return Traces(
        request_id=tuple(f"{position}-{row}" for row in range(requests)),
        intended_send_ns=sent_ns,
        send_ns=sent_ns,
        first_byte_ns=events[:, 0],
        first_token_ns=events[:, 0],
        last_token_ns=events[:, -1],
        first_content_ns=events[:, 0],
        first_reasoning_ns=nothing,
        first_tool_ns=nothing,
        end_ns=events[:, -1],
        prompt_tokens=np.full(requests, 128),
        prompt_tokens_asked=np.full(requests, 128),
        output_tokens=np.full(requests, TOKENS),
        output_tokens_asked=np.full(requests, TOKENS),
        cached_tokens=nothing,
        bytes_received=np.full(requests, 12_000),
        status=np.full(requests, 200),
        outcome=failed.astype(np.int64),
        resends=np.zeros(requests, dtype=np.int64),
        cap_wait_ns=np.zeros(requests, dtype=np.int64),
        errors={int(row): f"HTTP 500: worker {row % 3} died" for row in np.flatnonzero(failed)},
        event_offset=np.arange(requests + 1) * TOKENS,
        event_ns=events.ravel(),
        event_tokens=np.ones(requests * TOKENS, dtype=np.int64),
        open_loop=False,
        clock="kernel",
        wall_offset_ns=1_700_000_000_000_000_000,
    )


def made_up_record(position: int, traces: Traces) -> Record:
    """One of many cases: some models, sizes and traffics, four loads each."""
    users, rest = LEVELS[position % len(LEVELS)], position // len(LEVELS)
    model, size, suite = f"model-{rest % 10}", 2 ** (rest // 10 % 3), f"suite-{rest // 30}"
    base = case(f"{suite}-h100-vllm-{model}-tp{size}-d128x64-c{users}", concurrency=users, model=model)
    of_case = replace(base, suite=suite, hardware="h100", tensor_parallel=size)
    summary = summarise(traces)
    limits = verdict(judged(summary, "ttft", "p99", 700), judged(summary, "error_rate", None, 0.02))
    return replace(record(of_case=of_case), summary=summary, verdict=limits)


# -- the plugin of the session that is measured -------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if "REPORT_CASES" in os.environ:
        report = html.install(
            config, default_report=lambda: Path("report.html").absolute(), decode=lambda each: made[each["position"]]
        )
        assert report is not None, "this benchmark needs pytest-html"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call" and isinstance(item, pytest.Function):
        position = int(str(item.funcargs["position"]))
        traces = made_up_traces(position, int(os.environ["REPORT_REQUESTS"]))
        made[position] = made_up_record(position, traces)
        begun, begun_cpu = time.perf_counter(), time.process_time()
        report.extras = html.case_extras(made[position], traces, run_dir=Path())
        report.inferbench = {"position": position}
        spent_s["cases"] += time.perf_counter() - begun
        spent_s["cpu"] += time.process_time() - begun_cpu
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None, Any, Any]:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    yield
    spent_s["writing"] = time.perf_counter() - begun
    spent_s["cpu"] += time.process_time() - begun_cpu


def pytest_unconfigure(config: pytest.Config) -> None:
    if "REPORT_CASES" in os.environ:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cases, writing, cpu = (spent_s[name] for name in ("cases", "writing", "cpu"))
        parts = f"{cases:.1f} s for the cases, {writing:.1f} s to write it; {cpu:.1f} s of CPU in all"
        config.get_terminal_writer().line(
            f"report: {cases + writing:.1f} s ({parts}); peak memory of the session {peak:,.0f} MiB"
        )


# -- the benchmark --------------------------------------------------------------------------------------------------------


def write_report(folder: Path, *, cases: int, requests: int) -> list[str]:
    """What the session says of itself; the report lies in ``folder``."""
    (folder / "test_made_up.py").write_text(TEST_FILE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REPORT_CASES": str(cases), "REPORT_REQUESTS": str(requests)}
    plugins = ("-p", "no:inferbench", "-p", "no:cacheprovider", "-p", "tests.benchmarks.report")
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "test_made_up.py"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return [line for line in run.stdout.splitlines() if line.startswith("report:") or " passed" in line]


def opening_ms(report: Path, chromium: str) -> tuple[float, float]:
    """Milliseconds until the page is loaded, and until its first chart is drawn, from the beginning of the navigation."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not everybody who measures has a browser

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 2000})
        page.goto(report.as_uri(), timeout=120_000)
        page.locator("#ib-across .ib-canvas svg").first.wait_for(timeout=120_000)
        drawn = float(page.evaluate("performance.now()"))
        loaded = float(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        browser.close()
    return loaded, drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=1000, help="requests of each case")
    parser.add_argument("--rounds", type=int, default=3, help="how often the browser opens it")
    parser.add_argument("--keep", type=Path, help="keep the report in this folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        say = sys.stdout.write
        say(f"{chosen.cases:,} cases of {chosen.requests:,} requests\n")
        say("".join(f"{line}\n" for line in write_report(folder, cases=chosen.cases, requests=chosen.requests)))
        report = folder / "report.html"
        say(f"size: {report.stat().st_size / 1e6:.1f} MB\n")
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if chromium is None:
            say("no Chromium on the PATH: how long it takes to open was not measured\n")
            return
        rounds = [opening_ms(report, chromium) for _ in range(chosen.rounds)]
        loaded, drawn = (statistics.median(each) for each in zip(*rounds, strict=True))
        say(f"opens: loaded after {loaded:,.0f} ms, first chart after {drawn:,.0f} ms (median of {chosen.rounds})\n")


if __name__ == "__main__":
    main()
