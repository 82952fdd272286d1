"""
What the options of ``genai-bench benchmark`` mean as a load of this project.

Rule: every option is mapped, noted or refused; none is dropped in silence. Names, defaults and choices are facts about that tool.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.option_words import Option, Options
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.readers import Place
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError

CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
BATCH_SIZES = (1, 2, 4, 8, 24, 48, 96)
SCENARIOS: Mapping[str, tuple[str, ...]] = {
    "text-to-text": ("N(480,240)/(300,150)", "D(100,100)", "D(100,1000)", "D(2000,200)", "D(7800,200)"),
    "image-text-to-text": ("I(512,512)", "I(1024,512)", "I(2048,2048)"),
    "image-to-text": ("I(512,512)", "I(1024,512)", "I(2048,2048)"),
    "text-to-embeddings": ("E(64)", "E(128)", "E(256)", "E(512)", "E(1024)"),
    "text-to-rerank": ("R(64,100)", "R(128,100)", "R(256,100)", "R(512,100)", "R(1024,100)", "R(2096,100)", "R(4096,100)"),
    "text-to-speech": ("A(100)", "A(500)", "A(1000)", "A(2000)", "A(4000)"),
}
"""By task: what is sent where no scenario is given."""
HARDWARE: Mapping[str, str] = {
    "H100": "h100",
    "H200": "h200",
    "B200": "b200",
    "A100-80G": "a100-80gb",
    "A100-40G": "a100-40gb",
    "A10": "a10",
    "MI300": "mi300x",
    "RTX-PRO-6000": "gpu",
}
"""By ``--server-gpu-type``: the hardware."""

_APIS = {"text-to-embeddings": "embeddings", "text-to-rerank": "rerank", "text-to-speech": "speech"}
_BY_BATCH = ("text-to-embeddings", "text-to-rerank")
_BACKENDS = ("openai", "vllm", "sglang")
# Read somewhere in this module.
_MAPPED = (
    *("task", "traffic-scenario", "num-concurrency", "batch-size", "iteration-type", "max-time-per-run", "max-requests-per-run"),
    *("dataset-path", "dataset-prompt-column", "additional-request-params", "api-backend", "api-base", "api-model-name"),
    *("model-tokenizer", "server-gpu-type"),
)
_NOTED: Mapping[str, str] = {
    "api-key": "the server here asks for no key but its own",
    "model-api-key": "the server here asks for no key but its own",
    "model": "the model's name in results is the case's",
    "server-engine": "what serves is known here, and need not be said",
    "server-version": "the server is asked for its version",
    "server-gpu-count": "how many GPUs there are is known here",
    "experiment-folder-name": "results go into the run's own folder",
    "experiment-base-dir": "results go into the run's own folder",
    "num-workers": "the client starts as many processes as the load needs",
    "master-port": "the client's processes need no port",
    "metrics-time-unit": "every figure here has its unit",
    "log-dir": "logs go into the run's own folder",
    "dataset-image-column": "images are made up here",
}
_REFUSED: Mapping[str, str] = {
    "dataset-config": "a data set is described by a suite's own field 'dataset' here",
    "warmup-ratio": "a warm-up is a number of requests that go first here (load.warmup)",
    "cooldown-ratio": "the end of a load is not left out of figures here; see the steady-state metrics",
    "spawn-rate": "users that start one after the other are the field load.ramp_up here",
    "upload-results": "results are not uploaded",
    "model-auth-type": "only a server that speaks OpenAI's API is benchmarked here",
}
_REFUSED_BEGINNINGS = ("storage-", "aws-", "azure-", "gcp-", "github-")
_REFUSED_ALSO = ("auth", "config-file", "profile", "security-token", "region", "prefix", "namespace", "bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchLoad:
    """
    What the options ask for; ``batches`` are documents in a request, where the task goes through those.

    ``scenarios`` and ``concurrencies`` are as given or by default, ``suite`` holds everything else, as fields of a suite file.
    """

    task: str
    scenarios: tuple[str, ...]
    concurrencies: tuple[int, ...]
    batches: tuple[int, ...] = ()
    suite: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Options among the words that stand at a place of a file; an option's own place is that of its first word."""

    options: Options
    place: Place

    def at(self, option: Option | None) -> Place:
        """The place of an option's first word; that of all where there is none."""
        return self.place if option is None else (*self.place, option.position)


def bench_load(reading: Reading, words: Words) -> BenchLoad:
    """
    The load that the options describe.

    Raises:
        ConfigError: an option is unknown, missing, wrong, or (strict) has no meaning here.
    """
    _check_names(reading, words)
    task = _one(reading, words, "task").lower()
    if task not in SCENARIOS:
        known = f"{did_you_mean(task, SCENARIOS)}; known: {', '.join(SCENARIOS)}"
        raise reading.error(f"--task {task!r} cannot be benchmarked here{known}", words.at(words.options.last("task")))
    load = BenchLoad(
        task=task,
        scenarios=_scenarios(reading, words, task),
        concurrencies=_wholes(reading, words, "num-concurrency") or CONCURRENCIES,
        suite=_suite(reading, words, task),
    )
    return _by_batches(reading, words, load)


def hardware_named(reading: Reading, words: Words) -> str:
    """
    The hardware that ``--server-gpu-type`` speaks of; any GPU where it is not said.

    Raises:
        ConfigError: there is no such type.
    """
    option = words.options.last("server-gpu-type")
    if option is None:
        return "gpu"
    found = HARDWARE.get(option.value or "")
    if found is None:
        raise reading.error(f"--server-gpu-type {option.value} is unknown; known: {', '.join(HARDWARE)}", words.at(option))
    return found


def _check_names(reading: Reading, words: Words) -> None:
    for index in words.options.stray:
        raise reading.error("belongs to no option; genai-bench would refuse it", (*words.place, index))
    for option in words.options.given:
        name = option.name
        if name in _MAPPED:
            continue
        if name in _NOTED:
            reading.note(f"--{name} is not carried over: {_NOTED[name]}")
        elif name in _REFUSED:
            reading.refuse(f"--{name} has no meaning here: {_REFUSED[name]}", words.at(option))
        elif name in _REFUSED_ALSO or name.startswith(_REFUSED_BEGINNINGS):
            reading.refuse(f"--{name} is of clouds and uploads, which are not of a benchmark here", words.at(option))
        else:
            known = (*_MAPPED, *_NOTED, *_REFUSED)
            raise reading.error(f"genai-bench has no option --{name}{did_you_mean(name, known)}", words.at(option))


def _one(reading: Reading, words: Words, name: str) -> str:
    option = words.options.last(name)
    if option is None or not option.value:
        raise reading.error(f"--{name} is missing; genai-bench would ask for it and wait", words.at(option))
    return option.value


def _wholes(reading: Reading, words: Words, name: str) -> tuple[int, ...]:
    found = []
    for option in words.options.all(name):
        if not (option.value or "").isdecimal() or not int(option.value or 0):
            raise reading.error(f"--{name} must be a whole number from 1, not {option.value!r}", words.at(option))
        found.append(int(option.value or 0))
    return tuple(dict.fromkeys(found))


def _scenarios(reading: Reading, words: Words, task: str) -> tuple[str, ...]:
    given = words.options.all("traffic-scenario")
    for option in given:
        text = option.value or ""
        if re.search(r"\s", text):
            reading.refuse(f"--traffic-scenario {text!r} has a blank, for which genai-bench refuses it", words.at(option))
        try:
            parse_traffic(text)
        except ConfigError as error:
            raise reading.error(f"--traffic-scenario {error.problem}", words.at(option)) from error
    if given:
        return tuple(dict.fromkeys(option.value or "" for option in given))
    if words.options.last("dataset-path") is not None and not task.startswith("image"):
        return ("dataset",)
    reading.note(f"no --traffic-scenario: genai-bench's own for {task}")
    return SCENARIOS[task]


def _suite(reading: Reading, words: Words, task: str) -> dict[str, Any]:
    for name in ("max-time-per-run", "max-requests-per-run"):
        if not _wholes(reading, words, name):
            raise reading.error(f"--{name} is missing; genai-bench would ask for it and wait", words.place)
    load: dict[str, Any] = {
        "requests": _wholes(reading, words, "max-requests-per-run")[-1],
        "duration": f"{_wholes(reading, words, 'max-time-per-run')[-1]}m",
    }
    suite: dict[str, Any] = {"load": load}
    if task in _APIS:
        suite["api"] = _APIS[task]
    backend = words.options.last("api-backend")
    if backend is not None and (backend.value or "").lower() not in _BACKENDS:
        raise reading.error(
            f"--api-backend {backend.value} is no server of this benchmark; it takes {', '.join(_BACKENDS)}", words.at(backend)
        )
    extra = words.options.last("additional-request-params")
    if extra is not None:
        suite["extra_body"] = _parameters(reading, words, extra)
    return suite


def _parameters(reading: Reading, words: Words, option: Option) -> dict[str, Any]:
    text = option.value or ""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError):
            continue
        if isinstance(found, dict):
            return found
    raise reading.error("--additional-request-params must be a JSON object", words.at(option))


def _by_batches(reading: Reading, words: Words, load: BenchLoad) -> BenchLoad:
    """Tasks over documents go through batch sizes with one user; all others through numbers of users."""
    asked = words.options.last("iteration-type")
    meant = "batch_size" if load.task in _BY_BATCH else "num_concurrency"
    if asked is not None and (asked.value or "").lower() != meant:
        reading.refuse(f"--iteration-type {asked.value}: genai-bench takes {meant} for {load.task} all the same", words.at(asked))
    other = "num-concurrency" if meant == "batch_size" else "batch-size"
    ignored = words.options.last(other)
    if ignored is not None:
        reading.refuse(f"--{other} is read by nobody: genai-bench goes through {meant} for {load.task}", words.at(ignored))
    if meant == "num_concurrency":
        return load
    return replace(load, concurrencies=(1,), batches=_wholes(reading, words, "batch-size") or BATCH_SIZES)
