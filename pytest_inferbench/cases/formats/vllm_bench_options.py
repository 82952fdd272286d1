"""
What the options of ``vllm bench serve``, and of the servers it is sent at, mean as fields of a suite.

Rule: names may be written with hyphens or underscores, as in the files that hold them; defaults and choices are facts about
vLLM. Every option is mapped, noted or refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.format import SHAREGPT
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.formats.secrets import without_secrets
from pytest_inferbench.cases.readers import Place
from pytest_inferbench.redaction import is_secret_name

PROMPTS = 1000
"""Requests of a run that says nothing of them."""
_APIS: Mapping[str, tuple[str, str]] = {
    "vllm": ("completions", "/v1/completions"),
    "openai": ("completions", "/v1/completions"),
    "sglang": ("completions", "/v1/completions"),
    "openai-chat": ("chat", "/v1/chat/completions"),
    "openai-chat-omni": ("chat", "/v1/chat/completions"),
    "openai-embeddings": ("embeddings", "/v1/embeddings"),
}
"""By ``--backend``: the API, and where it is."""
_SAMPLING = (
    *("temperature", "top-p", "top-k", "min-p", "frequency-penalty", "presence-penalty", "repetition-penalty", "logprobs"),
)
_LENGTHS = (
    *("random-input-len", "random-output-len", "random-range-ratio", "random-prefix-len"),
    *("sonnet-input-len", "sonnet-output-len", "sonnet-prefix-len", "sharegpt-output-len", "custom-output-len"),
    *("input-len", "output-len"),
)
_MAPPED = (
    *("model", "backend", "endpoint", "dataset-name", "dataset-path", "num-prompts", "request-rate", "max-concurrency"),
    *("burstiness", "num-warmups", "extra-body", "ignore-eos", *_LENGTHS, *_SAMPLING),
)
_NOTED = (
    *("tokenizer", "seed", "trust-remote-code", "percentile-metrics", "metric-percentiles", "disable-tqdm", "label", "metadata"),
    *("save-result", "save-detailed", "append-result", "result-dir", "result-filename", "host", "port", "base-url", "profile"),
    *("served-model-name", "ready-check-timeout-sec", "disable-shuffle", "goodput", "skip-chat-template", "tokenizer-mode"),
)
_ADDRESS = ("host", "port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Options at a place of a file, by name with hyphens; ``written`` is how each is spelled there."""

    values: Mapping[str, Any]
    written: Mapping[str, str]
    place: Place

    def at(self, name: str) -> Place:
        """Where an option stands; its surroundings where it does not."""
        return (*self.place, self.written[name]) if name in self.written else self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server of such a file: ``engine`` as in a suite file, and what is the case's own."""

    engine: Mapping[str, Any]
    model: str
    tensor_parallel: int


def parameters(reading: Reading, place: Place) -> Parameters:
    """
    The options at a place; none where nothing is there.

    Raises:
        ConfigError: it is no object, or (strict) an option stands there in both spellings.
    """
    given = reading.at(place)
    if given is not None and not isinstance(given, dict):
        raise reading.error("must hold options", place)
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    for name, value in (given or {}).items():
        plain = name.lstrip("-").replace("_", "-")
        if plain in values:
            reading.refuse(f"stands here as {written[plain]!r} too; vLLM would take the last one", (*place, name))
        values[plain], written[plain] = value, name
    return Parameters(values=values, written=written, place=place)


def merged(first: Parameters, second: Parameters) -> Parameters:
    """The options of both, those of the second in place of the first's."""
    return Parameters(values={**first.values, **second.values}, written={**first.written, **second.written}, place=second.place)


def served(reading: Reading, given: Parameters, env: Mapping[str, Any]) -> Served:
    """
    The server that options and environment describe.

    Raises:
        ConfigError: no model is named, a value is wrong, or (strict) would reach the server as something else.
    """
    model = given.values.get("model")
    if not isinstance(model, str) or not model.strip():
        raise reading.error("names no model", given.place)
    ranks = _whole(reading, given, "tensor-parallel-size", 1)
    if _whole(reading, given, "pipeline-parallel-size", 1) * _whole(reading, given, "data-parallel-size", 1) > 1:
        raise reading.error("spreads the server over more GPUs than tensor_parallel says, which no case here can", given.place)
    args: dict[str, Any] = {}
    for name, value in given.values.items():
        if name in _ADDRESS:
            reading.note(f"--{name} is not carried over: the launcher decides where the server listens")
        elif name not in ("model", "tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size", "served-model-name"):
            args[name] = _argument(reading, given.at(name), name, value)
    kept, notes = without_secrets({name: str(value) for name, value in env.items()})
    for note in notes:
        reading.note(note)
    engine: dict[str, Any] = {"name": "vllm"} | ({"args": args} if args else {}) | ({"env": kept} if kept else {})
    return Served(engine=engine, model=model, tensor_parallel=ranks)


def content(reading: Reading, given: Parameters, model: str) -> dict[str, Any]:
    """
    What the client sends, as fields of a suite: everything but the level of the load.

    Raises:
        ConfigError: an option is unknown, wrong, or (strict) has no meaning here.
    """
    _check_names(reading, given)
    asked = given.values.get("model", model)
    if asked != model:
        reading.refuse(f"is {asked!r} and the server's model is {model!r}: every request would fail", given.at("model"))
    suite = _sending(reading, given)
    load: dict[str, Any] = {"requests": _whole(reading, given, "num-prompts", PROMPTS)}
    warmup = _whole(reading, given, "num-warmups", 0, least=0)
    if warmup:
        load["warmup"] = warmup
    burstiness = given.values.get("burstiness")
    if burstiness is not None and float(burstiness) != 1:
        load |= {"arrival": "gamma", "burstiness": float(burstiness)}
    traffic = _content(reading, given)
    return (
        suite
        | {"matrix": {name: value for name, value in traffic.items() if name == "traffic"}, "load": load}
        | {name: value for name, value in traffic.items() if name != "traffic"}
    )


def levelled(suite: Mapping[str, Any], rates: list[Any], users: list[int]) -> list[dict[str, Any]]:
    """
    The suite at its levels: at each rate, with at most so many in flight.

    All at once with a cap is a closed loop of as many users; a finite rate with one keeps it, so it is a suite of its own.
    """
    shape = {"arrival", "burstiness"}
    calm = {**suite, "load": {name: value for name, value in suite["load"].items() if name not in shape}}
    if not users:
        return [{**suite, "matrix": {**suite["matrix"], "rate": rates}}]
    made = []
    if "inf" in rates:
        made.append({**calm, "matrix": {**suite["matrix"], "concurrency": users}})
    finite = [rate for rate in rates if rate != "inf"]
    for most in users if finite else ():
        load = {**suite["load"], "max_in_flight": most}
        made.append({**suite, "matrix": {**suite["matrix"], "rate": finite}, "load": load})
    return made


def rate(reading: Reading, place: Place, value: Any) -> Any:
    """
    A rate as a suite file spells it; ``inf`` is all at once.

    Raises:
        ConfigError: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise reading.error(f"{value!r} is no rate; write a number, or inf", place) from None
    if isinstance(value, bool) or not number > 0:
        raise reading.error(f"{value!r} is no rate; write a number above 0, or inf", place)
    return "inf" if number == inf else int(number) if number == int(number) else number


def _argument(reading: Reading, place: Place, name: str, value: Any) -> str | int | float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        said = str(value).lower()
        reading.refuse(f'is {said}, which would reach the server as "--{name} {said}"; write "" for a flag that is on', place)
        return said
    if is_secret_name(name, str(value)):
        raise reading.error("a command line is readable by everybody; put it into the environment", place)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _whole(reading: Reading, given: Parameters, name: str, default: int, *, least: int = 1) -> int:
    value = given.values.get(name, default)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise reading.error(f"must be a whole number from {least}, not {value!r}", given.at(name))
    return value


def _check_names(reading: Reading, given: Parameters) -> None:
    for name in given.values:
        if name in _NOTED:
            reading.note(f"--{name} is not carried over: it changes nothing that is measured here")
        elif name not in _MAPPED:
            hint = did_you_mean(name, (*_MAPPED, *_NOTED)) or " or reads it not here"
            reading.refuse(f"vllm bench serve has no option --{name}{hint}", given.at(name))


def _sending(reading: Reading, given: Parameters) -> dict[str, Any]:
    backend = str(given.values.get("backend", "openai"))
    if backend not in _APIS:
        raise reading.error(f"{backend!r} is no backend that is measured here; known: {', '.join(_APIS)}", given.at("backend"))
    api, usual = _APIS[backend]
    suite: dict[str, Any] = {"api": api}
    path = given.values.get("endpoint", usual)
    if path != usual:
        suite["path"] = path
    body = {name.replace("-", "_"): given.values[name] for name in _SAMPLING if name in given.values}
    extra = given.values.get("extra-body")
    if extra is not None:
        body |= extra if isinstance(extra, dict) else json.loads(extra)
    if body:
        suite["extra_body"] = body
    return suite


def _content(reading: Reading, given: Parameters) -> dict[str, Any]:
    name = str(given.values.get("dataset-name", "random"))
    path = given.values.get("dataset-path")
    match name:
        case "random":
            return _random(reading, given)
        case "sonnet":
            tokens, out = _whole(reading, given, "sonnet-input-len", 550), _whole(reading, given, "sonnet-output-len", 150)
            prefix = _whole(reading, given, "sonnet-prefix-len", 200, least=0)
            reading.note("the data set sonnet: prompts are made of random words, of the same lengths")
            return {"traffic": f"D({tokens},{out})"} | ({"prefix": {"tokens": prefix}} if prefix else {})
        case "sharegpt":
            return {"dataset": {"path": path or SHAREGPT["path"], "format": "sharegpt", **_output(reading, given, "sharegpt")}}
        case "custom":
            if path is None:
                raise reading.error("needs dataset_path", given.at("dataset-name"))
            return {"dataset": {"path": path, "format": "jsonl", **_output(reading, given, "custom")}}
        case _:
            known = "random, sonnet, sharegpt, custom"
            raise reading.error(f"the data set {name!r} is not read here; known: {known}", given.at("dataset-name"))


def _output(reading: Reading, given: Parameters, name: str) -> dict[str, int]:
    for option in (f"{name}-output-len", "output-len"):
        if option in given.values:
            return {"output_tokens": _whole(reading, given, option, 1)}
    return {}


def _random(reading: Reading, given: Parameters) -> dict[str, Any]:
    short_in, short_out = given.values.get("input-len", 1024), given.values.get("output-len", 128)
    tokens = _whole(reading, given, "random-input-len", short_in)
    out = _whole(reading, given, "random-output-len", short_out)
    prefix = _whole(reading, given, "random-prefix-len", 0, least=0)
    spread = float(given.values.get("random-range-ratio", 0))
    if not 0 <= spread < 1:
        raise reading.error(f"must be from 0 and below 1, not {spread:g}", given.at("random-range-ratio"))
    if spread == 0:
        text = f"D({prefix + tokens},{out})"
    else:
        (low, high), (low_out, high_out) = (_around(prefix, tokens, spread), _around(0, out, spread))
        text = f"U({low},{high})/({low_out},{high_out})"
    return {"traffic": text} | ({"prefix": {"tokens": prefix}} if prefix else {})


def _around(base: int, tokens: int, spread: float) -> tuple[int, int]:
    """The least, and one above the most: both ends are drawn there."""
    return base + max(1, floor(tokens * (1 - spread))), base + ceil(tokens * (1 + spread)) + 1
