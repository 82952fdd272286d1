"""`inferbench run` against real model servers; each that is not installed is skipped, with what to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.launch.endpoint import Endpoint

REQUESTS = 6
CHAT_AND_COMPLETIONS = ("chat", "completions")


def run(endpoint: Endpoint, folder: Path, *, api: str) -> tuple[int, str, dict[str, Any]]:
    """Exit code, output and summary of one experiment."""
    command = [sys.executable, "-m", "pytest_inferbench.cli", "run", "--endpoint", endpoint.url, "--model", endpoint.model]
    command += [
        "--api",
        api,
        "--traffic",
        "D(20,8)",
        "--concurrency",
        "2",
        "--requests",
        str(REQUESTS),
        "--warmup",
        "1",
        "--seed",
        "1",
    ]
    if endpoint.tokenizer.path is not None:
        command += ["--tokenizer", str(endpoint.tokenizer.path)]
    done = subprocess.run(
        [*command, "--output", str(folder)], capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout + done.stderr, json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def assert_measured(endpoint: Endpoint, folder: Path, *, api: str) -> dict[str, Any]:
    """The experiment passed, and every request of it is in the books; its summary."""
    code, output, record = run(endpoint, folder / api, api=api)
    assert code == 0, output
    counts = record["summary"]["counts"]
    assert counts == {"attempted": REQUESTS, "completed": REQUESTS, "failed": 0, "timed_out": 0, "cancelled": 0}, output
    summary: dict[str, Any] = record["summary"]
    assert summary["distributions"]["ttft"]["count"] == REQUESTS
    assert 0 < summary["distributions"]["ttft"]["p50"] <= summary["distributions"]["e2e"]["p50"]
    return summary


@pytest.mark.parametrize("api", CHAT_AND_COMPLETIONS)
def test_llamacpp(llamacpp_endpoint: Endpoint, tmp_path: Path, api: str) -> None:
    summary = assert_measured(llamacpp_endpoint, tmp_path, api=api)
    assert summary["output_tokens"] == REQUESTS * 8


@pytest.mark.vllm
@pytest.mark.parametrize("api", CHAT_AND_COMPLETIONS)
def test_vllm(vllm_endpoint: Endpoint, tmp_path: Path, api: str) -> None:
    summary = assert_measured(vllm_endpoint, tmp_path, api=api)
    assert summary["output_tokens"] == REQUESTS * 8


@pytest.mark.parametrize("api", CHAT_AND_COMPLETIONS)
def test_transformers(transformers_endpoint: Endpoint, tmp_path: Path, api: str) -> None:
    summary = assert_measured(transformers_endpoint, tmp_path, api=api)
    assert summary["output_tokens"] == REQUESTS * 8


@pytest.mark.parametrize("api", CHAT_AND_COMPLETIONS)
def test_guidellm_mock(guidellm_endpoint: Endpoint, tmp_path: Path, api: str) -> None:
    assert_measured(guidellm_endpoint, tmp_path, api=api)


def test_aimock(aimock_endpoint: Endpoint, tmp_path: Path) -> None:
    # It has no completions, answers the same twelve words to everything, and sends its role event 20 ms before the first of them.
    summary = assert_measured(aimock_endpoint, tmp_path, api="chat")
    assert summary["distributions"]["ttft"]["p50"] >= 15
