"""
How right the client's figures are: held against llama.cpp's own timings, and against ``vllm bench serve`` on the same servers.

    python tests/benchmarks/accuracy.py timings
    python tests/benchmarks/accuracy.py peer --vllm FOLDER/bin [--server llamacpp|vllm]

``timings`` compares each request with what llama.cpp says of it in the last event of its answer. ``peer`` runs both clients in
turn (ours, theirs, ours, theirs, ...) against one running server with the same lengths and concurrency, and asks the server
before and after each what it has measured itself; FOLDER is an environment with vLLM, which brings its own client. Both print a
table in Markdown. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tokenizers.decoders import ByteLevel

from pytest_inferbench.cases.case import Case, Origin
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.drive import Driver
from pytest_inferbench.load.http1 import read_answer
from pytest_inferbench.load.plan import Recipe, make_plan
from pytest_inferbench.load.recording import Recording, read_recordings
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.load.tokens import counter_for
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.summarise import summarise
from tests.integration.servers import running

ROUNDS = 3
SERVERS_OWN = (
    ("vllm:request_time_per_output_token_seconds_sum", "vllm:request_time_per_output_token_seconds_count"),
    ("llamacpp:tokens_predicted_seconds_total", "llamacpp:tokens_predicted_total"),
)
_FIGURES = ("output_throughput", *(f"{name}_{metric}_ms" for name in ("mean", "median", "p99") for metric in ("ttft", "tpot")))


class KeepingDriver(Driver):
    """A driver that keeps the recordings, which hold more than traces do: llama.cpp's own timings."""

    kept: list[Recording]

    def _read(self, *args: Any, **kwargs: Any) -> Any:
        self.kept = []
        for file in self._records:
            file.seek(0)
            self.kept += read_recordings(file)
        return super()._read(*args, **kwargs)


def measured(endpoint: Endpoint, *, concurrency: int, requests: int, traffic: str) -> tuple[Traces, list[Recording]]:
    """Drive one closed loop; the traces and recordings of its measured requests."""
    case = one_case(concurrency=concurrency, requests=requests, traffic=traffic)
    recipe = Recipe(
        case=case,
        model=endpoint.model,
        extra_body=endpoint.extra_body,
        seeds=draw_seeds(None),
        counter=counter_for(endpoint.tokenizer),
    )
    plan = make_plan(recipe)
    driver = KeepingDriver(case, endpoint, plan, id_prefix="accuracy", on_progress=lambda _: None)
    driven = driver.run()
    plan.close()
    kept = [recording for recording in driver.kept if recording.row >= case.load.warmup]
    return driven.measured, sorted(kept, key=lambda recording: recording.row)


def one_case(*, concurrency: int, requests: int, traffic: str) -> Case:
    """A case of this script."""
    mapping = {
        "hardware": "cpu",
        "engine": "openai",
        "model": "any",
        "traffic": traffic,
        "concurrency": concurrency,
        "requests": requests,
        "warmup": 2,
    }
    (case,) = suite_from_mapping(mapping, "accuracy", Origin(file="accuracy.py")).cases()
    return case


def timings_of(recording: Recording) -> dict[str, float]:
    """What llama.cpp says of a request in the last event of its answer."""
    body = read_answer(recording.times_ns, recording.sizes, recording.data).body
    for event in reversed(body.split(b"\n\n")):
        if b'"timings"' in event:
            timings: dict[str, float] = json.loads(event.removeprefix(b"data: "))["timings"]
            return timings
    raise SystemExit("an answer of llama.cpp holds no timings")


def compare_timings(folder: Path) -> Iterator[str]:
    """A row a load: the client's figures minus llama.cpp's, in milliseconds."""
    heads = ("load", "requests", "TTFT less prompt_ms: p50 / p99", "first to last token less predicted_ms: p50 / p99")
    yield f"| {' | '.join((*heads, 'prompt_ms p50', 'predicted_ms p50'))} |"
    yield "|---|---|---|---|---|---|"
    with running("llamacpp", folder) as endpoint:
        for concurrency, requests in ((1, 30), (4, 40)):
            traces, recordings = measured(endpoint, concurrency=concurrency, requests=requests, traffic="D(64,32)")
            theirs = [timings_of(recording) for recording in recordings]
            prompt_ms = np.array([timings["prompt_ms"] for timings in theirs])
            predicted_ms = np.array([timings["predicted_ms"] for timings in theirs])
            first = (traces.first_token_ns - traces.send_ns) / 1e6 - prompt_ms
            rest = (traces.last_token_ns - traces.first_token_ns) / 1e6 - predicted_ms
            cells = [f"{np.percentile(each, 50):+.2f} / {np.percentile(each, 99):+.2f}" for each in (first, rest)]
            medians = [f"{np.median(each):.1f}" for each in (prompt_ms, predicted_ms)]
            yield f"| D(64,32), concurrency {concurrency} | {requests} | {' | '.join((*cells, *medians))} |"


def compare_peer(folder: Path, *, vllm_bin: Path, server: str, users: Sequence[int]) -> Iterator[str]:
    """A row a client and load: medians over the rounds."""
    heads = ("load", "client", "completed", "prompt tokens", "TTFT ms mean / p50 / p99", "TPOT ms mean / p50 / p99")
    yield f"| {' | '.join((*heads, 'TPOT ms, the server itself', 'output tok/s'))} |"
    yield "|---|---|---|---|---|---|---|---|"
    with running(server, folder) as endpoint:
        tokenizer = tokenizer_folder(endpoint, folder)
        for concurrency in users:
            requests = 20 if concurrency == 1 else 10 * concurrency
            ours: list[dict[str, float]] = []
            theirs: list[dict[str, float]] = []
            for _ in range(ROUNDS):
                with beside(ours, endpoint) as figures:
                    figures.update(our_figures(endpoint, concurrency, requests))
                with beside(theirs, endpoint) as figures:
                    figures.update(their_figures(endpoint, concurrency, requests, vllm_bin=vllm_bin, tokenizer=tokenizer))
            for name, rounds in (("pytest-inferbench", ours), ("vllm bench serve", theirs)):
                yield row(f"{server}, D(64,32), concurrency {concurrency}", name, rounds)


@contextmanager
def beside(rounds: list[dict[str, float]], endpoint: Endpoint) -> Iterator[dict[str, float]]:
    """A round of one client, with what the server says of it: mean milliseconds from token to token."""
    before = spent(endpoint)
    figures: dict[str, float] = {}
    yield figures
    seconds, tokens = (now - then for now, then in zip(spent(endpoint), before, strict=True))
    rounds.append({**figures, "server_tpot_ms": seconds / tokens * 1000})


def spent(endpoint: Endpoint) -> tuple[float, float]:
    """Seconds from token to token so far, and what they are to be divided by: requests (vLLM) or tokens (llama.cpp)."""
    text = httpx.get(f"{endpoint.url}/metrics", timeout=10, trust_env=False).raise_for_status().text
    for seconds, divisor in SERVERS_OWN:
        found = [re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE) for name in (seconds, divisor)]
        if all(found):
            total, count = (sum(map(float, values)) for values in found)
            return total, count
    raise SystemExit(f"{endpoint.url}/metrics does not say how long the server took from token to token")


def row(load: str, client: str, figures: Sequence[dict[str, float]]) -> str:
    """One row of the table: medians over the rounds."""
    middle = {name: statistics.median(each[name] for each in figures) for name in figures[0]}
    ttft, tpot = (
        [f"{middle[f'{statistic}_{metric}_ms']:.1f}" for statistic in ("mean", "median", "p99")] for metric in ("ttft", "tpot")
    )
    prompt = f"{middle['input_tokens']:.0f}"
    cells = (load, client, f"{middle['completed']:.0f}", prompt, " / ".join(ttft), " / ".join(tpot))
    return f"| {' | '.join(cells)} | {middle['server_tpot_ms']:.1f} | {middle['output_throughput']:.1f} |"


def our_figures(endpoint: Endpoint, concurrency: int, requests: int) -> dict[str, float]:
    """Our figures under their names."""
    traces, _ = measured(endpoint, concurrency=concurrency, requests=requests, traffic="D(64,32)")
    summary = summarise(traces)
    figures = {
        "output_throughput": summary.scalars["output_throughput"],
        "input_tokens": float(traces.prompt_tokens.mean()),
        "completed": float(summary.counts.completed),
    }
    for metric in ("ttft", "tpot"):
        distribution = summary.distributions[metric]
        figures |= {
            f"mean_{metric}_ms": distribution.mean,
            f"median_{metric}_ms": distribution.p50,
            f"p99_{metric}_ms": distribution.p99,
        }
    return figures


def their_figures(endpoint: Endpoint, concurrency: int, requests: int, *, vllm_bin: Path, tokenizer: Path) -> dict[str, float]:
    """The figures of ``vllm bench serve``."""
    with tempfile.TemporaryDirectory() as out:
        command = [str(vllm_bin / "vllm"), "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions"]
        command += ["--base-url", endpoint.url, "--model", endpoint.model, "--tokenizer", str(tokenizer), "--num-warmups", "2"]
        command += ["--dataset-name", "random", "--random-input-len", "64", "--random-output-len", "32", "--ignore-eos"]
        command += ["--num-prompts", str(requests), "--max-concurrency", str(concurrency), "--seed", str(os.getpid())]
        command += [
            "--extra-body",
            json.dumps(endpoint.extra_body),
            "--save-result",
            "--result-dir",
            out,
            "--result-filename",
            "r.json",
        ]
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=900)
        if done.returncode:
            raise SystemExit(f"vllm bench serve failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        result: dict[str, float] = json.loads(Path(out, "r.json").read_text(encoding="utf-8"))
        completed = result["completed"]
        return {
            **{name: result[name] for name in _FIGURES},
            "input_tokens": result["total_input_tokens"] / completed,
            "completed": completed,
        }


def tokenizer_folder(endpoint: Endpoint, folder: Path) -> Path:
    """The served model's tokenizer as a folder that the peer can load."""
    path = endpoint.tokenizer.path
    if path is None:
        raise SystemExit("the served model has no tokenizer")
    if path.suffix != ".gguf":
        return path if path.is_dir() else path.parent
    out = folder / "tokenizer"
    out.mkdir()
    counter: Any = counter_for(endpoint.tokenizer)
    counter._tokenizer.decoder = ByteLevel()
    counter._tokenizer.save(str(out / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}
    (out / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return out


def main() -> None:
    """Print the table that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["timings", "peer"])
    parser.add_argument("--vllm", type=Path, help="bin folder of an environment with vLLM")
    parser.add_argument("--server", choices=["llamacpp", "vllm"], default="llamacpp")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 4], help="numbers of users (default: 1 4)")
    options = parser.parse_args()
    if options.what == "peer" and options.vllm is None:
        parser.error("peer needs --vllm FOLDER/bin")
    with tempfile.TemporaryDirectory() as folder:
        lines = (
            compare_timings(Path(folder))
            if options.what == "timings"
            else compare_peer(Path(folder), vllm_bin=options.vllm, server=options.server, users=options.users)
        )
        for line in lines:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
