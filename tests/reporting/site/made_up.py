"""
A made-up history for tests and for the pictures in the docs: plausible, deterministic, and measured by nobody.

Level changes are planted, so that tests know what is to be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any

import numpy as np
import pandas as pd

from pytest_inferbench.records.results import column_names

TITLE = "Made-up history (an example, nothing was measured)"
HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\x1b[31m\u202e'
STATISTICS = {"mean": 1.05, "p50": 1.0, "p90": 1.25, "p95": 1.4, "p99": 1.7, "max": 2.1}
RELEASES = {20: "v1.3.0", 45: "v1.4.0", 78: "v2.0.0", 104: "v2.1.0"}
"""Runs whose commit is the first of a release."""
ENGINES = ((0, "0.9.1"), (33, "0.9.2"), (61, "0.10.0"), (96, "0.10.1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """From a run on, the figures of cases with a word in their id are ``factor`` times what they were before."""

    run: int
    word: str
    metric: str
    factor: float


PLANTED = (
    Planted(run=61, word="vllm-llama-3.1-8b", metric="tpot", factor=0.86),
    Planted(run=84, word="l4-vllm", metric="ttft", factor=1.22),
    Planted(run=93, word="l4-vllm", metric="ttft", factor=1 / 1.22),
    Planted(run=108, word="h100-vllm-llama-3.1-8b-tp1-d512x128", metric="tpot", factor=1.13),
    Planted(run=112, word="sglang", metric="ttft", factor=1.09),
)


def made_up_history(runs: int = 120, *, seed: int = 8, hostile: bool = False) -> pd.DataFrame:
    """A row a case of a run, with the columns of a history; every eighth run is of a branch and not of main."""
    random = np.random.default_rng(seed)
    rows = [row for run in range(runs) for row in _run(run, random)]
    if hostile:
        rows += [{**row, **_hostile_words(row)} for row in rows if row["case"].startswith("l4-vllm")]
        rows = [{**row, "branch": f"{row['branch']}{HOSTILE}", "host": f"{HOSTILE}{row['host']}"} for row in rows]
    columns = [*column_names(), "commit", "branch", "dirty", "host", "plugin_version"]
    return pd.DataFrame(rows, columns=columns)


def commit_of(run: int) -> str:
    return sha1(f"made-up {run}".encode(), usedforsecurity=False).hexdigest()


def releases_of(runs: int = 120) -> dict[str, str]:
    """Commit to the newest tag, as git would say it."""
    found: dict[str, str] = {}
    tag = ""
    for run in range(runs):
        tag = RELEASES.get(run, tag)
        if tag:
            found[commit_of(run)] = tag
    return found


def _hostile_words(row: dict[str, Any]) -> dict[str, Any]:
    words = dict.fromkeys(("case", "model", "suite", "host", "engine_version", "missed", "error", "branch", "run_id"), HOSTILE)
    return {
        **words,
        "case": f"{HOSTILE}{row['case']}",
        "run_id": f"{HOSTILE}{row['run_id']}",
        "branch": "main",
        "missed": HOSTILE,
    }


def _cases() -> Iterator[dict[str, Any]]:
    for hardware, engine, model, tp in (
        ("h100", "vllm", "llama-3.1-8b", 1),
        ("h100", "sglang", "llama-3.1-8b", 1),
        ("h100", "vllm", "llama-3.3-70b", 4),
        ("l4", "vllm", "llama-3.1-8b", 1),
    ):
        for prompt, output in ((512, 128), (2048, 256)):
            for users in (4, 16):
                yield {
                    "case": f"{hardware}-{engine}-{model}-tp{tp}-d{prompt}x{output}-c{users}",
                    "suite": "serving",
                    "hardware": hardware,
                    "engine": engine,
                    "model": model,
                    "tp": tp,
                    "traffic": f"D({prompt},{output})",
                    "cache": "cold",
                    "api": "chat",
                    "concurrency": users,
                    "simulated": False,
                }
    simulated = "h200-vllm-llama-3.3-70b-tp8-d2048x256-c16-simulated"
    yield {
        **_axes("h200", "vllm", "llama-3.3-70b", 8),
        "case": simulated,
        "traffic": "D(2048,256)",
        "concurrency": 16,
        "simulated": True,
    }


def _axes(hardware: str, engine: str, model: str, tp: int) -> dict[str, Any]:
    return {"suite": "serving", "hardware": hardware, "engine": engine, "model": model, "tp": tp, "cache": "cold", "api": "chat"}


def _run(run: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    started = datetime(2026, 5, 4, 2, 10, tzinfo=UTC) + timedelta(hours=36 * run)
    branch = "prefix-cache" if run % 8 == 5 else "main"
    engine = next(version for first, version in reversed(ENGINES) if run >= first)
    about = {
        "run_id": f"{started:%Y%m%d-%H%M%S}-{run:04x}",
        "started_at": started.isoformat(timespec="milliseconds"),
        "commit": commit_of(run),
        "branch": branch,
        "dirty": run % 31 == 30,
        "plugin_version": "0.1.0",
        "wall_s": 42.0,
    }
    for case in _cases():
        figures = _figures(case, run, random)
        # A case on a branch under work is sometimes not measured at all.
        if branch == "main" or case["hardware"] != "l4":
            yield {
                **about,
                **case,
                **figures,
                "node_id": f"suites/serving.bench.yaml::{case['case']}",
                "folder": case["case"],
                "host": f"made-up-{case['hardware']}-host",
                "engine_version": "inferbench-simulator 0.1.0" if case["simulated"] else f"{case['engine']} {engine}",
                **_verdict(figures, run, case),
            }


def _verdict(figures: dict[str, Any], run: int, case: dict[str, Any]) -> dict[str, Any]:
    if run == 50 and case["hardware"] == "l4":
        return {"verdict": "invalid", "reasons": "the client was busy for 97 % of the time"}
    limit = 1500 if case["hardware"] == "l4" else 600
    over = figures["ttft_ms_p99"] > limit
    return {"verdict": "fail", "missed": f"ttft_p99 <= {limit}ms"} if over else {"verdict": "pass"}


def _figures(case: dict[str, Any], run: int, random: np.random.Generator) -> dict[str, Any]:
    slow = {"h100": 1.0, "h200": 0.8, "l4": 4.0}[case["hardware"]] * (3.0 if "70b" in case["model"] else 1.0)
    users = case["concurrency"]
    prompt = 2048 if "2048" in case["traffic"] else 512
    noise = 0.0 if case["simulated"] else 1.0
    level = {"ttft": slow * (20 + prompt * users * 0.004), "tpot": slow * (6.5 + 0.16 * users)}
    for planted in PLANTED:
        if run >= planted.run and planted.word in case["case"]:
            level[planted.metric] *= planted.factor
    drawn = {name: value * float(np.exp(noise * 0.022 * random.standard_normal())) for name, value in level.items()}
    output = 256 if prompt == 2048 else 128
    drawn["e2e"] = drawn["ttft"] + drawn["tpot"] * (output - 1)
    drawn["itl"] = drawn["tpot"]
    figures: dict[str, Any] = {}
    for name in ("ttft", "tpot", "itl", "e2e", "ttft_from_send", "inter_chunk", "ttft_content"):
        base = drawn[{"ttft_from_send": "ttft", "inter_chunk": "itl", "ttft_content": "ttft"}.get(name, name)]
        tail = 1 if name == "ttft_content" else float(np.exp(noise * 0.03 * random.standard_normal()))
        figures[f"{name}_count"] = 64
        figures |= {f"{name}_ms_{each}": base * share * (tail if share > 1.1 else 1) for each, share in STATISTICS.items()}
    if case["hardware"] != "l4":
        figures |= {f"ttft_content_ms_{each}": figures[f"ttft_ms_{each}"] for each in STATISTICS}
    per_s = 1000 * users / drawn["e2e"]
    return {
        **figures,
        "attempted": 64,
        "completed": 64,
        "failed": 0,
        "timed_out": 0,
        "cancelled": 0,
        "window_s": 64 / per_s,
        "prompt_tokens": 64 * prompt,
        "output_tokens": 64 * output,
        "request_throughput_requests_per_s": per_s,
        "input_throughput_tokens_per_s": per_s * prompt,
        "output_throughput_tokens_per_s": per_s * output,
        "total_throughput_tokens_per_s": per_s * (prompt + output),
        "goodput_requests_per_s": per_s,
        "error_rate": 0.0,
    }
