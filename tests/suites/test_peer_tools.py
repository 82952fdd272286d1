"""What each compared client is told, and what is read of what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from suites.fidelity.peer_tools import OURS, TOOLS, Report, Setting, Shape

FOLDERS = {"guidellm": ".", "aiperf": "out", "genai-bench": "out", "inference-perf": "out", "vllm": "."}
GUIDELLM = {"time_to_first_token_ms": 101.0, "request_latency": 1.4, "inter_token_latency_ms": 20.5}
AIPERF: dict[str, Any] = {
    "time_to_first_token": {"value": 101.0, "unit": "ms"},
    "request_latency": {"value": 1400.0, "unit": "ms"},
    "inter_chunk_latency": {"value": [20.0, 21.0], "unit": "ms"},
}
TOKENS_S = [10.101, 10.121, 10.142]
INFERENCE_PERF: dict[str, Any] = {
    "start_time": 10.0,
    "end_time": 11.4,
    "error": None,
    "info": {"response_metrics": {"output_token_times": TOKENS_S}},
}
LEFT: dict[str, tuple[str, str]] = {
    "guidellm": (
        "result.json",
        json.dumps({"benchmarks": [{"requests": {"successful": [GUIDELLM], "errored": [{}], "incomplete": []}}]}),
    ),
    "aiperf": (
        "profile_export.jsonl",
        "\n".join(json.dumps(row) for row in ({"metrics": AIPERF, "error": None}, {"metrics": {}, "error": {"code": 500}})),
    ),
    "genai-bench": (
        "D32_64_text-to-text_num_concurrency_8_time_5s.json",
        json.dumps(
            {
                "individual_request_metrics": [
                    {"ttft": 0.101, "e2e_latency": 1.4, "error_code": None},
                    {"ttft": None, "e2e_latency": None, "error_code": 500},
                ]
            }
        ),
    ),
    "inference-perf": (
        "per_request_lifecycle_metrics.json",
        json.dumps([INFERENCE_PERF, {"error": {"error_type": "x"}, "info": None}]),
    ),
    "vllm": (
        "result.json",
        json.dumps({"errors": ["", "it broke"], "ttfts": [0.101, 0.0], "latencies": [1.4, 0.0], "itls": [[0.02, 0.021], []]}),
    ),
}


def setting(folder: Path, shape: Shape) -> Setting:
    return Setting(shape=shape, url="http://127.0.0.1:1", model="m", tokenizer=folder / "tok", folder=folder)


def read(name: str, folder: Path) -> Report:
    file, text = LEFT[name]
    (folder / FOLDERS[name]).mkdir(exist_ok=True)
    (folder / FOLDERS[name] / file).write_text(text, encoding="utf-8")
    return TOOLS[name].read(folder)


@pytest.mark.parametrize("name", LEFT)
def test_a_completed_request_is_read_in_milliseconds_and_a_failed_one_is_counted(name: str, tmp_path: Path) -> None:
    report = read(name, tmp_path)
    assert report.first_ms == pytest.approx([101.0])
    assert report.whole_ms == pytest.approx([1400.0])
    assert report.failed == 1
    gaps = {"guidellm": [20.5], "genai-bench": []}.get(name, [20.0, 21.0])
    assert report.gaps_ms == pytest.approx(gaps)
    assert report.gaps_are_means == (name == "guidellm")


def test_the_first_of_aiperf_may_have_a_single_token(tmp_path: Path) -> None:
    row = {"metrics": {name: AIPERF[name] for name in ("time_to_first_token", "request_latency")}}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "profile_export.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert TOOLS["aiperf"].read(tmp_path).gaps_ms == []


@pytest.mark.parametrize("name", TOOLS)
def test_a_closed_loop_names_its_users_requests_and_server(name: str, tmp_path: Path) -> None:
    arguments = " ".join(TOOLS[name].arguments(setting(tmp_path, Shape(users=77, requests=888))))
    if name == "inference-perf":
        arguments = (tmp_path / "config.yml").read_text(encoding="utf-8")
    assert all(text in arguments for text in ("77", "888", "http://127.0.0.1:1", str(tmp_path / "tok"), str(tmp_path)))


@pytest.mark.parametrize("name", [name for name, tool in TOOLS.items() if tool.open_loop])
def test_an_open_loop_names_its_rate(name: str, tmp_path: Path) -> None:
    arguments = " ".join(TOOLS[name].arguments(setting(tmp_path, Shape(rate_per_s=55, requests=110))))
    if name == "inference-perf":
        (stage,) = yaml.safe_load((tmp_path / "config.yml").read_text(encoding="utf-8"))["load"]["stages"]
        assert stage == {"rate": 55, "duration": 2}
        return
    assert "55" in arguments
    assert "110" in arguments


def test_every_peer_is_pinned_to_a_version() -> None:
    assert {name for name, tool in TOOLS.items() if "==" not in tool.package} == {OURS}
