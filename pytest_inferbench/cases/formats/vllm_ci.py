"""
vLLM's own performance tests: ``serving-tests.json``, ``latency-tests.json``, ``throughput-tests.json``.

A file is a list of tests, or an object of ``defaults`` and ``tests``. A test is a suite whose label is its name; the beginning of
the name says what it measures.

Rule: a test of latency sends batches, which here are users of a closed loop; one of throughput sends everything at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.formats.vllm_bench_options import (
    PROMPTS,
    Parameters,
    Served,
    content,
    levelled,
    merged,
    parameters,
    rate,
    served,
)
from pytest_inferbench.cases.readers import Place

_SERVING = (
    *("test_name", "qps_list", "max_concurrency_list"),
    *("server_environment_variables", "server_parameters", "client_parameters"),
)
_OFFLINE = ("test_name", "environment_variables", "parameters")
_SHARED = tuple(name for name in (*_SERVING, *_OFFLINE[1:]) if name != "test_name")
_KINDS = ("serving", "latency", "throughput")
_OTHERWISE = "the script would not read it"
# Of the benchmark rather than of the engine: (option, its default).
_LATENCY: Mapping[str, int] = {"batch-size": 8, "input-len": 32, "output-len": 128, "num-iters": 30, "num-iters-warmup": 10}
_THROUGHPUT = ("num-prompts", "dataset", "dataset-path", "dataset-name", "input-len", "output-len", "backend")


class VllmCi:
    """The format of vLLM's performance tests."""

    name = "vllm-ci"
    title = "vLLM CI JSON"

    def recognises(self, path: Path, text: str) -> bool:
        """A JSON file of tests with parameters."""
        signs = ('"server_parameters"', '"client_parameters"', '"parameters"')
        return path.suffix == ".json" and '"test_name"' in text and any(sign in text for sign in signs)

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        The suites of each test, in the file's order.

        Raises:
            ConfigError: the file says something wrong, or (strict) something that the script would not do.
        """
        reading = Reading(source=source, document=source.document(".json", top="tests", lenient=lenient), lenient=lenient)
        reading.fields((), ("defaults", "tests"), otherwise=_OTHERWISE)
        if reading.at(("defaults",)) is not None:
            reading.fields(("defaults",), _SHARED, otherwise=_OTHERWISE)
        tests = reading.items(("tests",))
        if not tests:
            raise reading.error("holds no test", ("tests",))
        found: list[Imported] = []
        names: set[str] = set()
        for index in range(len(tests)):
            place = ("tests", index)
            name = reading.text((*place, "test_name"))
            if name in names:
                raise reading.error(f"{name!r} is the name of two tests; names tell them apart", (*place, "test_name"))
            names.add(name)
            found += _test(reading, place, name)
        return tuple(found)


FORMAT = VllmCi()


def _test(reading: Reading, place: Place, name: str) -> list[Imported]:
    kind = name.partition("_")[0]
    if kind not in _KINDS or "_" not in name:
        expected = ", ".join(f"{one}_" for one in _KINDS)
        raise reading.error(f"must begin with one of {expected}; the script stops at {name!r}", (*place, "test_name"))
    reading.fields(place, _SERVING if kind == "serving" else _OFFLINE, otherwise=_OTHERWISE)
    suites = {"serving": _serving, "latency": _latency, "throughput": _throughput}[kind](reading, place)
    origin = reading.source.origin(reading.document, place)
    notes = reading.taken_notes()
    made = Imported(name=reading.source.stem, suite={}, origin=origin, notes=notes)
    return [replace(made, suite={"label": name, "hardware": "gpu", **suite}) for suite in suites]


def _with_defaults(reading: Reading, place: Place, field: str) -> Parameters:
    return merged(parameters(reading, ("defaults", field)), parameters(reading, (*place, field)))


def _environment(reading: Reading, place: Place, field: str) -> dict[str, Any]:
    # By their own names: a variable has no other spelling.
    return {**(reading.at(("defaults", field)) or {}), **(reading.at((*place, field)) or {})}


def _case(served_: Served, suite: Mapping[str, Any]) -> dict[str, Any]:
    """A suite of a server and of what is sent to it."""
    matrix = {"model": served_.model, "tensor_parallel": served_.tensor_parallel, **suite["matrix"]}
    return {"engine": dict(served_.engine), **suite, "matrix": matrix}


def _listed(reading: Reading, place: Place, field: str) -> tuple[Place, list[Any]]:
    """A list of levels: the test's, else that of the defaults."""
    own = (*place, field)
    return (own, reading.items(own)) if reading.at(own) is not None else (("defaults", field), reading.items(("defaults", field)))


def _serving(reading: Reading, place: Place) -> list[dict[str, Any]]:
    env = _environment(reading, place, "server_environment_variables")
    server = served(reading, _with_defaults(reading, place, "server_parameters"), env)
    client = _with_defaults(reading, place, "client_parameters")
    at, rates = _listed(reading, place, "qps_list")
    if not rates:
        raise reading.error("has no qps_list, so the script would send nothing", place)
    at_users, given = _listed(reading, place, "max_concurrency_list")
    users = [reading.whole((*at_users, index)) for index in range(len(given))]
    suite = content(reading, client, server.model)
    spelled = [rate(reading, (*at, index), one) for index, one in enumerate(rates)]
    return [_case(server, one) for one in levelled(suite, spelled, users)]


def _split(given: Parameters, own: Mapping[str, Any] | tuple[str, ...]) -> tuple[Parameters, Parameters]:
    """The options of a benchmark, and those of its engine."""
    both = []
    for inside in (True, False):
        values = {name: value for name, value in given.values.items() if (name in own) == inside}
        both.append(replace(given, values=values))
    return both[0], both[1]


def _latency(reading: Reading, place: Place) -> list[dict[str, Any]]:
    bench, engine = _split(_with_defaults(reading, place, "parameters"), _LATENCY)
    server = served(reading, engine, _environment(reading, place, "environment_variables"))
    asked = {name: _count(reading, bench, name, default) for name, default in _LATENCY.items()}
    batch = asked["batch-size"]
    reading.note(f"a batch of {batch} prompts is {batch} users of a closed loop, who do not wait for each other")
    load = {"requests": batch * asked["num-iters"]}
    if asked["num-iters-warmup"]:
        load["warmup"] = batch * asked["num-iters-warmup"]
    matrix = {"traffic": f"D({asked['input-len']},{asked['output-len']})", "concurrency": batch}
    return [_case(server, {"api": "completions", "matrix": matrix, "load": load})]


def _count(reading: Reading, given: Parameters, name: str, default: int) -> int:
    value = given.values.get(name, default)
    least = 0 if name == "num-iters-warmup" else 1
    if isinstance(value, bool) or not str(value).isdecimal() or int(str(value)) < least:
        raise reading.error(f"must be a whole number from {least}, not {value!r}", given.at(name))
    return int(str(value))


def _throughput(reading: Reading, place: Place) -> list[dict[str, Any]]:
    bench, engine = _split(_with_defaults(reading, place, "parameters"), _THROUGHPUT)
    server = served(reading, engine, _environment(reading, place, "environment_variables"))
    values = dict(bench.values)
    backend = values.pop("backend", "vllm")
    if backend != "vllm":
        raise reading.error(f"{backend!r} is no server; only vllm is measured here", bench.at("backend"))
    path = values.pop("dataset", None)
    if path is not None:
        values |= {"dataset-name": "sharegpt", "dataset-path": path}
    values.setdefault("num-prompts", PROMPTS)
    suite = content(reading, replace(bench, values=values), server.model)
    reading.note("a test of throughput has no server; here everything is sent to one at once")
    return [_case(server, one) for one in levelled(suite, ["inf"], [])]
