from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import tool_load
from pytest_inferbench.cases.case import Limits, Tool
from pytest_inferbench.errors import LoadError
from pytest_inferbench.launch.docker_tool import ToolRun
from pytest_inferbench.tool_load import LIMIT_LEAST_S, order_of, result_of
from tests.records.example import CASE

TOOL = Tool(name="vllm-bench", image="vllm:1", results="/results")
# As much of what `vllm bench serve --save-result` writes as tells one result from another.
SAVED: dict[str, Any] = {
    "date": "20261101-101500",
    "backend": "openai",
    "endpoint_type": "openai",
    "label": None,
    "model_id": "m",
    "tokenizer_id": "m",
    "num_prompts": 8,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 2,
    "duration": 4.0,
    "completed": 8,
    "failed": 0,
    "total_input_tokens": 80,
    "total_output_tokens": 80,
    "request_throughput": 2.0,
    "output_throughput": 20.0,
    "total_token_throughput": 40.0,
    "mean_ttft_ms": 50.0,
    "median_ttft_ms": 50.0,
    "p99_ttft_ms": 60.0,
    "mean_tpot_ms": 5.0,
    "median_tpot_ms": 5.0,
    "p99_tpot_ms": 6.0,
}


def ended(tmp_path: Path, *, failed: str | None = None) -> ToolRun:
    results = tmp_path / "tool-results"
    results.mkdir()
    return ToolRun(results=results, log=tmp_path / "tool.log", wall_s=1.0, image_digest="vllm@sha256:1", failed=failed)


def left(run: ToolRun, *names: str) -> None:
    for name in names:
        path = run.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(SAVED), encoding="utf-8")


def test_the_one_result_is_found_in_whatever_folder(tmp_path: Path) -> None:
    run = ended(tmp_path)
    left(run, "2026/m/result.json")
    (run.results / "2026" / "plot.png").write_bytes(b"")
    found = result_of(TOOL, run)
    assert (found.tool, found.counts.completed, found.scalars["output_throughput"]) == ("vllm", 8, 20.0)


def test_several_results_are_no_case_s(tmp_path: Path) -> None:
    run = ended(tmp_path)
    left(run, "a.json", "b.json")
    with pytest.raises(LoadError, match="vllm-bench left 2 results where a case has one"):
        result_of(TOOL, run)


def test_a_tool_that_left_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"left no results that can be read in /results, but nothing; its log: .*tool\.log"):
        result_of(TOOL, ended(tmp_path))


def test_what_it_left_instead_is_named(tmp_path: Path) -> None:
    run = ended(tmp_path)
    (run.results / "notes.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LoadError, match=r"but notes\.json \(.*holds results of a tool that is known here"):
        result_of(TOOL, run)


def test_a_tool_that_failed_left_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ended(tmp_path, failed="it exited with code 2; the last lines of its log: no such flag")
    left(run, "a.json")
    monkeypatch.setattr(tool_load, "run_tool", lambda *_, **__: run)
    order = order_of(CASE, TOOL, folder=tmp_path, run_id="r1")
    server: Any = None
    with pytest.raises(LoadError, match=r"vllm-bench failed: it exited with code 2; .*no such flag"):
        tool_load.drive(order, server, progress=lambda _: None)


def test_it_may_take_as_long_as_its_load_and_an_hour_more(tmp_path: Path) -> None:
    timed = replace(CASE, load=replace(CASE.load, duration_s=600.0), limits=Limits(total_s=60.0))
    assert order_of(timed, TOOL, folder=tmp_path, run_id="r1").limit_s == 600.0 + LIMIT_LEAST_S
