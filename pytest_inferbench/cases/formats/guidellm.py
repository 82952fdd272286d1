"""Command lines of ``guidellm benchmark run``: profiles are kinds of load, synthetic data is traffic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, normal
from pytest_inferbench.cases.formats.command_format import CommandFormat
from pytest_inferbench.cases.formats.command_line import Arguments, Tool, aside, unmeant, value
from pytest_inferbench.cases.formats.vllm_bench import json_object

SWEEP = 10
"""How many levels a sweep has unless a rate says otherwise, those of one user and of all at once among them."""

_FIGURES = ("prompt_tokens", "prompt_tokens_stdev", "output_tokens", "output_tokens_stdev", "prefix_tokens", "turns")
_BOUNDS = ("prompt_tokens_min", "prompt_tokens_max", "output_tokens_min", "output_tokens_max")
_PROFILES = ("synchronous", "concurrent", "throughput", "constant", "async", "poisson", "sweep")
_APIS = {"chat_completions": "chat", "text_completions": "completions"}
_OWN = "its settings are guidellm's own"
TOOL = Tool(
    name="guidellm",
    options=(
        *(value(name) for name in ("--target", "--model", "--max-seconds", "--max-requests", "--rampup", "--processor")),
        value("--profile", "--rate-type"),
        value("--warmup", "--warmup-percent"),
        value("--cooldown", "--cooldown-percent"),
        value("--request-type"),
        value("--data", many=True),
        value("--rate", many=True),
        value("--backend", "--backend-type"),
        *(aside(name) for name in ("--output-dir", "--outputs", "--output-path", "--random-seed", "--data-num-workers")),
        *(aside(name) for name in ("--sample-requests", "--output-sampling", "--data-samples", "--data-sampler")),
        *(aside(name, takes="flag") for name in ("--disable-console", "--disable-console-outputs", "--disable-progress")),
        aside("--disable-console-interactive", takes="flag"),
        unmeant("it stands in a file or in guidellm, and is not read here; write its options out", "--scenario", "-c"),
        *(unmeant(_OWN, name) for name in ("--backend-kwargs", "--backend-args", "--request-formatter-kwargs")),
        *(unmeant(_OWN, name) for name in ("--processor-args", "--data-args", "--data-column-mapper", "--dataloader-kwargs")),
        *(
            unmeant("a load does not end for its errors here: they count against its objectives", name)
            for name in ("--max-errors", "--max-error-rate", "--max-global-error-rate")
        ),
        unmeant("a load does not end for saturation here", "--over-saturation", "--per-constraints"),
        unmeant("a load does not end for saturation here", "--detect-saturation", "--default-over-saturation", takes="flag"),
    ),
)


def _skip(words: Sequence[str]) -> int:
    """``guidellm benchmark`` means ``guidellm benchmark run``; its other commands are not for measuring."""
    if [PurePath(words[0]).name, *words[1:2]] != ["guidellm", "benchmark"]:
        return 0
    if list(words[2:3]) == ["run"]:
        return 3
    return 2 if len(words) > 2 and words[2].startswith("-") else 0


def _suite(given: Arguments, name: str) -> dict[str, Any]:
    given.notes += address_note(given.text("--target"))
    if given.flag("--processor"):
        given.notes.append("--processor is no part of a suite: give it with --inferbench-tokenizer")
    backend = given.last("--backend") or "openai_http"
    if backend != "openai_http":
        raise given.error("--backend", f"{backend!r} sends nothing over HTTP that could be measured here; openai_http does")
    kind = given.last("--request-type") or "chat_completions"
    if kind not in _APIS:
        raise given.error("--request-type", f"{kind!r} cannot be sent here; {' and '.join(_APIS)} can")
    model = given.last("--model")
    if model is None:
        raise given.error("--model", "is missing: guidellm asks the server for it, and a suite names what it measures")
    traffic, content = _data(given)
    level, load = _profile(given)
    if ("sweep" in level or level.get("rate") == "inf") and not given.flag("--max-requests"):
        raise given.error("--max-seconds", "cannot end a load here that sends everything at once; give --max-requests")
    return at_endpoint(
        name, api=_APIS[kind], matrix={"model": model, "traffic": traffic, **level}, load={**_ends(given), **load}, **content
    )


def _data(given: Arguments) -> tuple[str | None, dict[str, Any]]:
    """The traffic, or the file that it is in, and what stands beside it."""
    if len(given.all("--data")) != 1:
        raise given.error("--data", "must stand once: several data sets are not mixed here")
    (text,) = given.all("--data")
    if text.lstrip().startswith("{"):
        return _synthetic(given, json_object(given, "--data", text))
    if "=" not in text:
        if not text.endswith((".json", ".jsonl", ".txt", ".parquet")) and not text.startswith((".", "/", "~")):
            given.refuse("--data", f"{text!r} is a data set on a hub, which is not downloaded here; give the path of a file")
        return None, {"dataset": {"path": text}}
    pairs = [part.partition("=") for part in text.split(",")]
    return _synthetic(given, {name.strip(): figure.strip() for name, _, figure in pairs})


def _synthetic(given: Arguments, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    for name in data:
        if name in _BOUNDS:
            given.refuse("--data", f"{name}: normally distributed lengths have no bounds here, but that they are above 0")
        elif name not in _FIGURES:
            raise given.error("--data", f"{name!r} is not known{did_you_mean(name, _FIGURES)}; known: {', '.join(_FIGURES)}")
    figures = {name: given.as_whole("--data", str(data[name]), least=0) for name in _FIGURES if name in data}
    for name in ("prompt_tokens", "output_tokens"):
        if not figures.get(name):
            raise given.error("--data", f"has no {name}")
    # guidellm's prefix comes on top of the prompt; here the prompt's tokens are all of it.
    prefix = figures.get("prefix_tokens", 0)
    traffic = normal(
        figures["prompt_tokens"] + prefix,
        figures.get("prompt_tokens_stdev", 0),
        figures["output_tokens"],
        figures.get("output_tokens_stdev", 0),
    )
    turns = figures.get("turns", 1)
    return traffic, {"prefix": {"tokens": prefix} if prefix else None, "turns": turns if turns > 1 else None}


def _profile(given: Arguments) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which levels a profile has, and how requests arrive."""
    profile = given.last("--profile") or "sweep"
    if profile not in _PROFILES:
        raise given.error(
            "--profile", f"{profile!r} is no profile{did_you_mean(profile, _PROFILES)}; known: {', '.join(_PROFILES)}"
        )
    texts = [part for text in given.all("--rate") for part in text.strip("[]").split(",")]
    if profile in ("synchronous", "throughput"):
        return _without_rates(given, profile, texts)
    if profile == "sweep":
        return _sweep(given, texts)
    if not texts:
        raise given.error("--rate", f"is missing, which the profile {profile} needs")
    ramp_up = given.number("--rampup")
    if profile == "concurrent":
        return {"concurrency": [given.as_whole("--rate", text) for text in texts]}, {"ramp_up": ramp_up}
    if ramp_up:
        given.refuse("--rampup", "goes with concurrency here; a rate is there from the beginning")
    arrival = "poisson" if profile == "poisson" else "constant"
    return {"rate": [given.as_number("--rate", text) for text in texts]}, {"arrival": arrival}


def _without_rates(given: Arguments, profile: str, texts: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    if profile == "throughput" and texts:
        # Its rate is the most at once, and there is always another request.
        return {"concurrency": [given.as_whole("--rate", text) for text in texts]}, {}
    if texts:
        given.refuse("--rate", f"is swallowed with the profile {profile}")
    return ({"concurrency": 1} if profile == "synchronous" else {"rate": "inf"}), {}


def _sweep(given: Arguments, texts: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    levels = given.as_whole("--rate", texts[0], least=3) if texts else SWEEP
    given.notes.append("the rates of a sweep lie between one user and all at once; guidellm's last is that of all at once itself")
    return {"sweep": levels - 2}, {"arrival": "constant"}


def _ends(given: Arguments) -> dict[str, Any]:
    """When the load ends, and what of it is not measured."""
    seconds, requests = given.number("--max-seconds"), given.whole("--max-requests")
    if seconds is None and requests is None:
        raise given.command.error("has neither --max-seconds nor --max-requests, and would not end before its data does")
    if given.last("--cooldown") is not None:
        given.refuse("--cooldown", "is not left out at the end of a load here")
    warmup = given.number("--warmup")
    if warmup is None:
        return {"duration": seconds, "requests": requests}
    if requests is None:
        given.refuse("--warmup", "is a number of requests here, and there is none to take a part of; give --max-requests")
        return {"duration": seconds}
    first = int(requests * warmup) if warmup < 1 else int(warmup)
    return {"duration": seconds, "requests": requests - first, "warmup": first}


FORMAT = CommandFormat(
    name="guidellm",
    title="guidellm command line",
    tool=TOOL,
    mentions=re.compile(r"\bguidellm\s+benchmark\b"),
    skip=_skip,
    suite=_suite,
)
