"""
nm-vllm's benchmark files: ``configs[]`` of ``benchmark_serving`` and ``benchmark_throughput``, and lists of such files.

A config is the product of its models, sparsities, model lengths and script arguments. Each combination of script arguments is
a suite; models, sparsities and lengths are its matrix. Servers are fresh for every one, as they are there. The throughput script,
which has no server, becomes a load that sends everything at once.

Rule: ``_`` at the end of an option is part of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.formats.format import SHAREGPT, Imported, Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.readers import Place, read_text
from pytest_inferbench.errors import ConfigError

SERVING, THROUGHPUT = "benchmark_serving", "benchmark_throughput"
WARMUP = 10
"""Requests that go first; the original sends 1000 of 128 tokens in and 1 out, which nothing here counts either."""
IMAGE = "vllm/vllm-openai:latest"
"""Where ``vllm bench throughput`` is run, where that is asked for."""

_ALL = "use_all_available_gpus"
_FIELDS = ("description", "models", "max_model_lens", "sparsity", "script_name", "script_args", "tensor_parallel_size", _ALL)
_OTHERWISE = "the driver would not read it"
_LOAD = ("nr-qps-pair_", "num-prompts_", "request-rate_")
_OF_SCRIPT: Mapping[str, tuple[str, ...]] = {
    SERVING: (*_LOAD, "dataset", "num-input-tokens", "num-output-tokens", "best-of", "use-beam-search", "seed"),
    THROUGHPUT: (
        *("dataset", "input-len", "output-len", "num-prompts", "n", "use-beam-search", "max-model-len", "seed", "backend"),
        *("use-all-available-gpus_", "tensor-parallel-size_", "sparsity"),
    ),
}
# What the script says of the engine: its own spelling is the server's.
_OF_ENGINE = (
    *("quantization", "dtype", "gpu-memory-utilization", "enforce-eager", "kv-cache-dtype", "enable-prefix-caching"),
    *("max-num-seqs", "trust-remote-code", "max-model-len", "sparsity", "quantization-param-path"),
)
_NOTED = ("disable-tqdm", "log-model-io", "save-directory", "version", "backend", "endpoint", "seed", "server-args")
_LIST = re.compile(r"[^\s#].*\.json")
_FOLDERS_UP_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """One combination of script arguments: the load, what is said of the engine, and how many GPUs it asks for."""

    load: Mapping[str, Any]
    matrix: Mapping[str, Any]
    suite: Mapping[str, Any]
    engine: Mapping[str, Any]
    ranks: int


class NmVllm:
    """The format of nm-vllm's ``run_benchmarks``."""

    name = "nm-vllm"
    title = "nm-vllm JSON"

    def recognises(self, path: Path, text: str) -> bool:
        """A JSON file of configs with a script, or a text file of paths to such files."""
        if path.suffix == ".json":
            return '"configs"' in text and ('"script_name"' in text or '"script_args"' in text)
        lines = _listed(text)
        return path.suffix == ".txt" and bool(lines) and all(_LIST.fullmatch(line) for _, line in lines)

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        A suite for each combination of script arguments of each config; of a list, those of all its files.

        Raises:
            ConfigError: the file says something wrong, or (strict) something that the driver would not do.
        """
        if source.path.endswith(".txt"):
            return tuple(one for each in _files(source) for one in self.read(each, lenient=lenient))
        reading = Reading(source=source, document=source.document(".json", lenient=lenient), lenient=lenient)
        reading.fields((), ("configs",), otherwise=_OTHERWISE)
        configs = reading.items(("configs",))
        if not configs:
            raise reading.error("holds no config", ("configs",))
        found = [one for index in range(len(configs)) for one in _config(reading, ("configs", index))]
        return _told_apart(found)


FORMAT = NmVllm()


# --- lists of files ---------------------------------------------------------------------------------------------------------


def _listed(text: str) -> list[tuple[int, str]]:
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _files(source: Source) -> Iterator[Source]:
    for number, line in _listed(source.text):
        found = _nearest(Path(source.path).parent, line)
        if found is None:
            raise ConfigError(f"there is no file {line}, from this file's folder or one above it", file=source.path, line=number)
        yield Source(path=str(found), text=read_text(found), gpus=source.gpus)


def _nearest(folder: Path, written: str) -> Path | None:
    """Paths in a list begin from the repository's root, which is this folder or one above it."""
    folder = folder.absolute()
    for place in (folder, *list(folder.parents)[:_FOLDERS_UP_MAX]):
        if (place / written).is_file():
            return place / written
    return None


# --- configs ----------------------------------------------------------------------------------------------------------------


def _config(reading: Reading, place: Place) -> list[Imported]:
    script = reading.text((*place, "script_name"))
    if script not in _OF_SCRIPT:
        raise reading.error(
            f"must be {SERVING} or {THROUGHPUT}, not {script!r}{did_you_mean(script, _OF_SCRIPT)}", (*place, "script_name")
        )
    serving = script == SERVING
    known = _FIELDS if serving else tuple(name for name in _FIELDS if name not in ("sparsity", "tensor_parallel_size", _ALL))
    raw = reading.fields(place, known, otherwise=_OTHERWISE)
    label = reading.text((*place, "description"))
    models = reading.texts((*place, "models"))
    if not models:
        raise reading.error("names no model", (*place, "models"))
    top_ranks = _top_ranks(reading, place, raw) if serving else 1
    made = []
    for arguments in _combinations(reading, (*place, "script_args")):
        point = (_serving if serving else _throughput)(reading, (*place, "script_args"), arguments)
        if serving:
            point = replace(point, ranks=top_ranks)
        suite = _suite(reading, place, point, label=label, models=models)
        made.append(
            Imported(
                name=reading.source.stem,
                suite=suite,
                origin=reading.source.origin(reading.document, place),
                notes=(),
                with_tool=() if serving else (_with_bench(suite, point),),
            )
        )
    notes = reading.taken_notes()
    return [replace(one, notes=notes) for one in made]


def _suite(reading: Reading, place: Place, point: _Point, *, label: str, models: tuple[str, ...]) -> dict[str, Any]:
    matrix = {"model": list(models), "tensor_parallel": point.ranks, **point.matrix}
    return {
        "label": label,
        "hardware": "gpu",
        "engine": _engines(reading, place, point),
        "fresh_server": True,
        "matrix": matrix,
        "load": dict(point.load),
        **point.suite,
    }


def _engines(reading: Reading, place: Place, point: _Point) -> list[dict[str, Any]]:
    """An engine for each sparsity and length, with a label where there are several."""
    lengths = [
        reading.whole((*place, "max_model_lens", index)) for index in range(len(reading.items((*place, "max_model_lens"))))
    ]
    if not lengths:
        raise reading.error("is empty, so the driver would run nothing", (*place, "max_model_lens"))
    own_length = point.engine.get("max-model-len")
    if own_length is not None and str(own_length) not in {str(one) for one in lengths}:
        reading.refuse(
            f"is {lengths[0]} and script_args.max-model-len is {own_length}: the script would take the latter",
            (*place, "max_model_lens"),
        )
    if own_length is not None:
        lengths = [int(own_length)]
    sparsities = reading.texts((*place, "sparsity")) or (None,)
    several = len(lengths) * len(sparsities) > 1
    engines = []
    for sparsity, length in product(sparsities, dict.fromkeys(lengths)):
        args = {"max-model-len": length, **{name: value for name, value in point.engine.items() if name != "max-model-len"}}
        if sparsity is not None:
            args["sparsity"] = sparsity
        engine: dict[str, Any] = {"name": "vllm", "args": args}
        if several:
            parts = ("vllm", *((f"len{length}",) if len(lengths) > 1 else ()), *((sparsity,) if len(sparsities) > 1 else ()))
            engine["label"] = "-".join(str(part) for part in parts)
        engines.append(engine)
    reading.note("a length above what a model can have is cut to that by the driver; here the server says that it is too long")
    return engines


def _top_ranks(reading: Reading, place: Place, raw: Mapping[str, Any]) -> int:
    if _ALL in raw and "tensor_parallel_size" in raw:
        raise reading.error("cannot stand beside tensor_parallel_size; keep one", (*place, _ALL))
    if _ALL in raw:
        return _all_gpus(reading)
    return reading.whole((*place, "tensor_parallel_size"), 1)


def _all_gpus(reading: Reading) -> int:
    gpus = reading.source.gpus
    if gpus:
        reading.note(f"all GPUs of the machine: {gpus} here")
        return gpus
    reading.note("all GPUs of the machine: how many is not known here, and 1 is taken; say tensor_parallel=N as an override")
    return 1


# --- script arguments -------------------------------------------------------------------------------------------------------


def _combinations(reading: Reading, place: Place) -> Iterator[dict[str, Any]]:
    """Every combination of the values; an empty list is a flag without a value, which has None."""
    given = reading.at(place)
    if given is None:
        raise reading.error("is missing", place)
    if not isinstance(given, dict):
        raise reading.error("must hold fields", place)
    for name, values in given.items():
        if not isinstance(values, list):
            raise reading.error("must be a list, empty for a flag without a value; the driver would stop here", (*place, name))
        for index, value in enumerate(values):
            if isinstance(value, dict | list) or value is None:
                raise reading.error("must be text or a number", (*place, name, index))
    lists = [values or [None] for values in given.values()]
    for values in product(*lists):
        yield dict(zip(given, values, strict=True))


def _of_engine(reading: Reading, place: Place, arguments: Mapping[str, Any], script: str) -> dict[str, Any]:
    """The arguments that are the engine's; the rest must be known to the script."""
    engine: dict[str, Any] = {}
    for name, value in arguments.items():
        if script == THROUGHPUT and name in _OF_ENGINE:
            engine[name] = value
        elif name in _NOTED:
            reading.note(f"script_args.{name} is not carried over: it changes nothing that is measured here")
        elif name not in _OF_SCRIPT[script]:
            known = (*_OF_SCRIPT[script], *_NOTED, *(_OF_ENGINE if script == THROUGHPUT else ()))
            hint = did_you_mean(name, known) or f"; known: {', '.join(known)}"
            raise reading.error(f"{script} has no option --{name}{hint}", (*place, name))
    for name in ("best-of", "n"):
        if name in arguments and str(arguments[name]) != "1":
            reading.refuse(f"{arguments[name]}: several answers to one prompt are not measured here", (*place, name))
    if "use-beam-search" in arguments:
        reading.refuse("beam search is not measured here", (*place, "use-beam-search"))
    return engine


def _number(reading: Reading, place: Place, arguments: Mapping[str, Any], name: str) -> int:
    value = arguments.get(name)
    if isinstance(value, bool) or not str(value).isdecimal() or int(str(value)) < 1:
        raise reading.error(
            "is missing" if name not in arguments else f"must be a whole number from 1, not {value!r}", (*place, name)
        )
    return int(str(value))


def _rate(reading: Reading, place: Place, value: Any) -> float | str:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        raise reading.error(f"{value!r} is no rate; write a number, or inf", place) from None
    if not rate > 0:
        raise reading.error(f"{value!r} is no rate; write a number above 0, or inf", place)
    return "inf" if rate == inf else int(rate) if rate == int(rate) else rate


def _arrivals(reading: Reading, place: Place, arguments: Mapping[str, Any]) -> tuple[int, float | str]:
    """How many requests, and how many a second."""
    given = [name for name in _LOAD if name in arguments]
    if "nr-qps-pair_" not in given:
        for name in _LOAD[1:]:
            if name not in given:
                raise reading.error(f"needs nr-qps-pair_, or both of {' and '.join(_LOAD[1:])}", place)
        return _number(reading, place, arguments, _LOAD[1]), _rate(reading, (*place, _LOAD[2]), arguments[_LOAD[2]])
    if len(given) > 1:
        raise reading.error(f"cannot stand beside {given[1]}; keep one", (*place, given[0]))
    number, comma, rate = str(arguments["nr-qps-pair_"]).partition(",")
    if not comma or not number.strip().isdecimal() or not int(number):
        raise reading.error(
            f'{arguments["nr-qps-pair_"]!r} is no pair; write a number of requests and a rate, such as "300,1"',
            (*place, given[0]),
        )
    return int(number), _rate(reading, (*place, given[0]), rate.strip())


def _serving(reading: Reading, place: Place, arguments: Mapping[str, Any]) -> _Point:
    _of_engine(reading, place, arguments, SERVING)
    number, rate = _arrivals(reading, place, arguments)
    lengths = ("num-input-tokens", "num-output-tokens")
    reading.note(f"1000 prompts of 128 tokens in and 1 out that warm a server up are {WARMUP} requests of the load's own here")
    return _Point(
        load={"requests": number, "warmup": WARMUP},
        matrix={"rate": rate, **_traffic(reading, place, arguments, lengths)},
        suite={"api": "completions", **_data(reading, place, arguments, output=None)},
        engine={},
        ranks=1,
    )


def _throughput(reading: Reading, place: Place, arguments: Mapping[str, Any]) -> _Point:
    engine = _of_engine(reading, place, arguments, THROUGHPUT)
    everything, some = "use-all-available-gpus_" in arguments, "tensor-parallel-size_" in arguments
    if everything and some:
        raise reading.error("cannot stand beside tensor-parallel-size_; keep one", (*place, "use-all-available-gpus_"))
    if not everything and not some:
        raise reading.error("needs use-all-available-gpus_ or tensor-parallel-size_, without which the script stops", place)
    if "dataset" in arguments and "input-len" in arguments:
        raise reading.error("cannot stand beside dataset, whose prompts have lengths; the script stops", (*place, "input-len"))
    output = _number(reading, place, arguments, "output-len") if "output-len" in arguments else None
    reading.note("the script has no server; here everything is sent to one at once (tool=container runs vllm bench throughput)")
    return _Point(
        load={"requests": _number(reading, place, arguments, "num-prompts")},
        matrix={"rate": "inf", **_traffic(reading, place, arguments, ("input-len", "output-len"))},
        suite={"api": "completions", **_data(reading, place, arguments, output=output)},
        engine=engine,
        ranks=_all_gpus(reading) if everything else _number(reading, place, arguments, "tensor-parallel-size_"),
    )


def _traffic(reading: Reading, place: Place, arguments: Mapping[str, Any], lengths: tuple[str, str]) -> dict[str, str]:
    if "dataset" in arguments:
        if lengths[0] in arguments:
            raise reading.error("cannot stand beside dataset, whose prompts have lengths; the script stops", (*place, lengths[0]))
        return {}
    tokens = [_number(reading, place, arguments, name) for name in lengths]
    return {"traffic": f"D({tokens[0]},{tokens[1]})"}


def _data(reading: Reading, place: Place, arguments: Mapping[str, Any], *, output: int | None) -> dict[str, Any]:
    name = arguments.get("dataset")
    if name is None:
        return {}
    if name != "sharegpt":
        raise reading.error(f"the data set {name!r} is not read here; known: sharegpt", (*place, "dataset"))
    reading.note(f"the data set sharegpt is {SHAREGPT['path']} beside this file; another place is an override, dataset=PATH")
    return {"dataset": {**SHAREGPT, **({} if output is None else {"output_tokens": output})}}


# --- the engine's own benchmark ---------------------------------------------------------------------------------------------


def _with_bench(suite: Mapping[str, Any], point: _Point) -> dict[str, Any]:
    """The suite with ``vllm bench throughput`` in a container in place of a load."""
    words = ["bench", "throughput", "--model", "{model}", "--tensor-parallel-size", str(point.ranks)]
    words += ["--num-prompts", str(point.load["requests"]), "--output-json", "/results/throughput.json"]
    for name, value in suite["engine"][0]["args"].items():
        words += [f"--{name}"] if value is None else [f"--{name}", str(value)]
    traffic = re.fullmatch(r"D\((\d+),(\d+)\)", str(point.matrix.get("traffic", "")))
    volumes = []
    if traffic:
        words += ["--input-len", traffic[1], "--output-len", traffic[2]]
    else:
        data = suite["dataset"]
        words += ["--dataset-name", "sharegpt", "--dataset-path", "/data/sharegpt.json"]
        words += ["--output-len", str(data["output_tokens"])] if "output_tokens" in data else []
        volumes.append(f"./{data['path']}:/data/sharegpt.json:ro")
    tool = {"name": "vllm-throughput", "image": IMAGE, "args": words, "volumes": volumes, "results": "/results"}
    return {**suite, "tool": tool}


def _told_apart(found: list[Imported]) -> tuple[Imported, ...]:
    """The suites with a number behind the label of those whose ids would be the same."""
    seen: dict[str, int] = {}
    told = []
    for one in found:
        suite = one.suite
        matrix = {name: value for name, value in suite["matrix"].items() if name != "tensor_parallel"}
        key = repr(
            (suite["label"], matrix, [engine.get("label") for engine in suite["engine"]], suite["matrix"]["tensor_parallel"])
        )
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            label = f"{suite['label']} {seen[key]}"
            one = replace(  # noqa: PLW2901 - the same suite under another label
                one, suite={**suite, "label": label}, with_tool=tuple({**each, "label": label} for each in one.with_tool)
            )
        told.append(one)
    return tuple(told)
