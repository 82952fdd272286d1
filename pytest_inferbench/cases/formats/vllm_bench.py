"""
Command lines of ``vllm bench serve``, and of the script ``benchmark_serving.py`` that it was before.

Rule: a load is what the tool would have sent. A rate with ``--max-concurrency`` is an open loop with a cap on what is in flight;
without a rate, the cap is a closed loop: all requests wait for a place from the beginning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, path_of
from pytest_inferbench.cases.formats.command_format import CommandFormat
from pytest_inferbench.cases.formats.command_line import Arguments, Option, Tool, aside, flag, unmeant, value
from pytest_inferbench.cases.formats.format import SHAREGPT

REQUESTS = 1000
INPUT_TOKENS = 1024
OUTPUT_TOKENS = 128
"""What the tool assumes of the data set ``random`` and of the number of prompts."""

_TOOL = Tool(
    name="vllm bench serve",
    abbreviates=True,
    options=(
        *(value(name) for name in ("--model", "--served-model-name", "--base-url", "--host", "--port", "--endpoint")),
        value("--backend", "--endpoint-type"),
        *(value(name) for name in ("--dataset-name", "--dataset-path", "--num-prompts", "--request-rate", "--burstiness")),
        *(value(name) for name in ("--max-concurrency", "--random-input-len", "--random-output-len", "--random-prefix-len")),
        *(value(name) for name in ("--input-len", "--output-len", "--sharegpt-output-len", "--custom-output-len")),
        *(value(name) for name in ("--random-range-ratio", "--num-warmups", "--ramp-up-strategy", "--ramp-up-start-rps")),
        *(value(name) for name in ("--ramp-up-end-rps", "--extra-body", "--temperature", "--top-p", "--top-k", "--tokenizer")),
        *(flag(name) for name in ("--ignore-eos",)),
        *(aside(name, takes="flag") for name in ("--save-result", "--save-detailed", "--append-result", "--disable-tqdm")),
        *(aside(name, takes="flag") for name in ("--profile", "--trust-remote-code", "--disable-shuffle")),
        *(aside(name) for name in ("--result-dir", "--result-filename", "--percentile-metrics", "--metric-percentiles")),
        *(aside(name) for name in ("--label", "--seed", "--request-id-prefix", "--ready-check-timeout-sec", "--tokenizer-mode")),
        aside("--metadata", takes="values"),
        Option(names=("--goodput",), takes="values", many=True),
        unmeant("headers may hold secrets: write them in the suite, as ${NAME}", "--header", takes="values"),
        unmeant("every prompt has one answer here", "--logprobs", "--best-of", "--n"),
        unmeant("adapters are not chosen at random here", "--lora-modules", takes="values"),
    ),
)
_APIS = {"openai-chat": "chat", "openai": "completions", "vllm": "completions", "tgi": "tgi", "openai-embeddings": "embeddings"}
_PROGRAMS = ("benchmark_serving.py",)


def _skip(words: Sequence[str]) -> int:
    if [PurePath(words[0]).name, *words[1:3]] == ["vllm", "bench", "serve"]:
        return 3
    return next((at + 1 for at, word in enumerate(words[:3]) if PurePath(word).name in _PROGRAMS), 0)


def _suite(given: Arguments, name: str) -> dict[str, Any]:
    api = _api(given)
    url = given.last("--base-url") or f"http://{given.last('--host') or '127.0.0.1'}:{given.last('--port') or '8000'}"
    given.notes += address_note(url)
    if given.last("--tokenizer"):
        given.notes.append("--tokenizer is no part of a suite: give it with --inferbench-tokenizer")
    model = given.last("--served-model-name") or given.last("--model")
    if model is None:
        raise given.error("--model", "is missing: the tool asks the server for it, and a suite names what it measures")
    content = _content(given)
    level, load = _load(given)
    for text in given.all("--goodput"):
        given.notes.append(
            f"--goodput {text} is a limit for single requests: write an objective under slo, such as ttft_p99 <= 500ms"
        )
    return at_endpoint(
        name,
        api=api,
        path=path_of(given.last("--endpoint") and f"http://host{given.last('--endpoint')}", api),
        matrix={"model": model, **content.pop("matrix"), **level},
        load=load,
        extra_body=_extra_body(given) or None,
        **content,
    )


def _api(given: Arguments) -> str:
    backend = given.last("--backend") or "openai"
    if backend not in _APIS:
        raise given.error("--backend", f"{backend!r} is not known here; known: {', '.join(_APIS)}")
    endpoint = given.last("--endpoint") or ""
    if _APIS[backend] == "completions" and endpoint.endswith("/chat/completions"):
        given.refuse("--endpoint", f"is that of chats, and backend {backend!r} sends completions there, which servers refuse")
    return _APIS[backend]


def _content(given: Arguments) -> dict[str, Any]:
    dataset = given.last("--dataset-name") or "random"
    if dataset == "random":
        return _random(given)
    path = given.last("--dataset-path")
    if dataset == "sharegpt":
        tokens = given.whole("--sharegpt-output-len") or given.whole("--output-len")
        found = {"path": path or SHAREGPT["path"], "format": "sharegpt"}
        return {"matrix": {}, "dataset": found if tokens is None else {**found, "output_tokens": tokens}}
    if dataset == "custom" and path:
        tokens = given.whole("--custom-output-len") or given.whole("--output-len") or 256
        return {"matrix": {}, "dataset": {"path": path, "format": "jsonl", "output_tokens": tokens}}
    raise given.error("--dataset-name", f"{dataset!r} cannot be read here; random, sharegpt, and custom with --dataset-path can")


def _random(given: Arguments) -> dict[str, Any]:
    """Random words: fixed lengths, or uniform ones from (1 - ratio) to (1 + ratio) of them, both ends included."""
    prefix = given.whole("--random-prefix-len", least=0) or 0
    # The tool's prefix comes on top of the prompt; here the prompt's tokens are all of it.
    inputs = given.whole("--random-input-len") or given.whole("--input-len") or INPUT_TOKENS
    outputs = given.whole("--random-output-len") or given.whole("--output-len") or OUTPUT_TOKENS
    ratio = float(given.number("--random-range-ratio", least=-1e-9) or 0)
    if ratio >= 1:
        raise given.error("--random-range-ratio", f"must be less than 1, not {ratio:g}")
    if ratio and prefix:
        problem = "does not go with --random-prefix-len here: lengths are those of the whole prompt"
        raise given.error("--random-range-ratio", problem)
    traffic = f"D({inputs + prefix},{outputs})"
    if ratio:
        sides = [(int(tokens * (1 - ratio)) or 1, int(tokens * (1 + ratio)) + 1) for tokens in (inputs, outputs)]
        traffic = "U({},{})/({},{})".format(*sides[0], *sides[1])
    return {"matrix": {"traffic": traffic}, "prefix": {"tokens": prefix} if prefix else None}


def _load(given: Arguments) -> tuple[dict[str, Any], dict[str, Any]]:
    load: dict[str, Any] = {"requests": given.whole("--num-prompts") or REQUESTS, "warmup": given.whole("--num-warmups", least=0)}
    cap = given.whole("--max-concurrency")
    rate = given.last("--request-rate") or "inf"
    strategy = given.last("--ramp-up-strategy")
    if strategy is not None:
        if strategy not in ("linear", "exponential"):
            raise given.error("--ramp-up-strategy", f"must be linear or exponential, not {strategy!r}")
        start, end = given.number("--ramp-up-start-rps"), given.number("--ramp-up-end-rps")
        if start is None or end is None:
            raise given.error("--ramp-up-strategy", "needs --ramp-up-start-rps and --ramp-up-end-rps")
        return {"rate": end}, {**load, "arrival": strategy, "ramp_from": start, "max_in_flight": cap}
    if rate.lower() in ("inf", "infinity"):
        return ({"concurrency": cap}, load) if cap else ({"rate": "inf"}, load)
    burstiness = given.number("--burstiness")
    if burstiness not in (None, 1):
        load |= {"arrival": "gamma", "burstiness": burstiness}
    return {"rate": given.as_number("--request-rate", rate)}, {**load, "max_in_flight": cap}


def _extra_body(given: Arguments) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for option, name in (("--temperature", "temperature"), ("--top-p", "top_p"), ("--top-k", "top_k")):
        if given.last(option) is not None:
            body[name] = given.number(option, least=-2)
    if given.flag("--ignore-eos"):
        body["ignore_eos"] = True
    written = given.last("--extra-body")
    if written is not None:
        body |= json_object(given, "--extra-body", written)
    return body


def json_object(given: Arguments, option: str, text: str) -> dict[str, Any]:
    """
    The value of an option as a JSON object.

    Raises:
        ConfigError: it is none.
    """
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise given.error(option, f"is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise given.error(option, "must be a JSON object")
    return found


FORMAT = CommandFormat(
    name="vllm-bench",
    title="vllm bench serve command line",
    tool=_TOOL,
    mentions=re.compile(r"\bvllm\s+bench\s+serve\b|\bbenchmark_serving\.py\b"),
    skip=_skip,
    suite=_suite,
)
