"""
A pytest plugin for runs inside tests: its cases are made up, the report is real.

It does what the plugin of the package does: attach the case to the test's report in whatever process ran it, and install the
report's hooks where results come together.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting import html
from pytest_inferbench.reporting.changes_section import Changes
from tests.reporting.examples import HOSTILE, Example, comparisons, whole_run

RUN_DIR = Path("run")

TEST_FILE = """
import pytest
from tests.reporting.fabricated import cases

@pytest.mark.parametrize("position", [
    pytest.param(position, id=record.case.id, marks=[pytest.mark.xfail] if "d128x16-c8" in record.case.id else [])
    for position, (record, _) in enumerate(cases())
])
def test_case(position):
    record, _ = cases()[position]
    assert record.verdict.outlook == "pass", record.error
"""


@cache
def cases() -> tuple[Example, ...]:
    return tuple(whole_run())


def decode(attached: dict[str, Any]) -> Record:
    record, _ = cases()[int(attached["position"])]
    return replace(record, node_id=str(attached["node_id"]))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        report = html.install(config, default_report=lambda: RUN_DIR.absolute() / "report.html", decode=decode)
        if report is not None:
            report.changes = Changes(baseline="main", comparisons=comparisons(), notes=("one case is new",))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call" and isinstance(item, pytest.Function) and "position" in item.funcargs:
        position = cast("int", item.funcargs["position"])
        record, traces = cases()[position]
        _write_files(record)
        report.inferbench = {"position": position, "node_id": item.nodeid}
        report.extras = html.case_extras(record, traces, run_dir=RUN_DIR)
    return report


def _write_files(record: Record) -> None:
    folder = RUN_DIR / record.folder
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"environment": {"cpu_model": "A Processor", "packages": {HOSTILE: "1.0"}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    readings = "".join(f"{at * 250_000_000},0,{40 + at}\n" for at in range(20))
    (folder / "gpu_memory.csv").write_text(f"timestamp_ns,gpu,power_w\n{readings}", encoding="utf-8")
    log = "loading the model\n\x1b[32mready\x1b[0m\n<b>not bold</b></pre><script>alert(3)</script>\n"
    (folder / "server.log").write_text(log, encoding="utf-8")
