"""``inferbench run`` against a simulated server that was started as people start it."""

from __future__ import annotations

import csv
import json
import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_inferbench.simulator.server.tokens import TOKENIZER
from tests.sessions import Started, inferbench_argv

MODEL = "llama-3.1-8b"
TOKENS, PROMPT, REQUESTS = 6, 12, 8
IGNORE_EOS = '{"ignore_eos": true}'


@contextmanager
def simulated(folder: Path, *flags: str) -> Iterator[tuple[Started, str]]:
    """A server that is ready, and its address."""
    folder.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "pytest_inferbench.simulator", "--model", MODEL, "--port", "0", *flags]
    with Started(argv, folder) as server:
        found = server.wait_for(lambda: re.search(r"ready at (http://\S+): .* simulated: nothing is measured\n", server.output))
        yield server, found[1]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with simulated(tmp_path_factory.mktemp("server")) as (_, address):
        yield address


def run(folder: Path, url: str, *flags: str) -> list[dict[str, str]]:
    """The requests of a run; whether its figures can be believed on a busy machine is not asked."""
    argv = inferbench_argv(
        "run", f"--endpoint={url}", f"--requests={REQUESTS}", f"--tokenizer={TOKENIZER}", "--output=out", *flags
    )
    with Started(argv, folder) as command:
        code = command.end()
        assert code in {0, 3}, command.output
    with (folder / "out" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def counts(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310 - the address is our own
        families = text_string_to_metric_families(answer.read().decode())
        return {sample.name: sample.value for family in families for sample in family.samples if "le" not in sample.labels}


@pytest.mark.parametrize("api", ["chat", "completions-tokens"])
def test_prompts_and_answers_have_exactly_the_tokens_that_were_planned(tmp_path: Path, url: str, api: str) -> None:
    before = counts(url)
    flags = (f"--api={api}", f"--traffic=D({PROMPT},{TOKENS})", "--concurrency=4", f"--extra-body={IGNORE_EOS}")
    rows = run(tmp_path, url, *flags)
    after = counts(url)
    assert len(rows) == REQUESTS
    assert {(row["outcome"], row["resp_tokens"]) for row in rows} == {("completed", str(TOKENS))}
    assert {row["prompt_tokens"] for row in rows} == {row["prompt_tokens_asked"] for row in rows} == {str(PROMPT)}
    probe = 1  # the request for one token with which an endpoint is looked at
    assert after["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"] == REQUESTS * TOKENS + probe
    assert after["vllm:prompt_tokens_total"] - before["vllm:prompt_tokens_total"] == REQUESTS * PROMPT + probe
    assert after["vllm:num_requests_running"] == after["vllm:kv_cache_usage_perc"] == 0


@pytest.mark.parametrize(("api", "traffic"), [("embeddings", "E(12)"), ("rerank", "R(8,12)")])
def test_what_makes_no_text_is_answered_whole(tmp_path: Path, url: str, api: str, traffic: str) -> None:
    rows = run(tmp_path, url, f"--api={api}", f"--traffic={traffic}", "--documents=2")
    assert [row["outcome"] for row in rows] == ["completed"] * REQUESTS


def test_tgis_own_api(tmp_path: Path) -> None:
    with simulated(tmp_path / "server", "--engine=tgi") as (_, address):
        body = '{"parameters": {"ignore_eos": true}}'
        rows = run(tmp_path, address, "--api=tgi", f"--traffic=D({PROMPT},{TOKENS})", f"--extra-body={body}")
    assert {(row["outcome"], row["resp_tokens"]) for row in rows} == {("completed", str(TOKENS))}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    with simulated(tmp_path) as (server, _):
        server.process.send_signal(number)
        assert server.end() == 0
        assert "stopped after 0 requests and 0 tokens, 0 of them late (simulated)" in server.output
        assert "Traceback" not in server.output


def test_a_crash_on_demand_ends_the_process_with_an_error(tmp_path: Path) -> None:
    with simulated(tmp_path, "--fault", "crash-after-requests=1") as (server, address):
        body = json.dumps({"model": MODEL, "prompt": "the", "max_tokens": 1}).encode()
        urllib.request.urlopen(f"{address}/v1/completions", body).close()  # noqa: S310 - the address is our own
        assert server.end() == 1
        assert "crashed on demand after 1 requests" in server.output
