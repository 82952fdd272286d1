"""
vLLM-Omni's performance tests: a server, runs of ``vllm bench serve --omni`` against it, and a ``baseline`` each must keep to.

Each run of ``benchmark_params`` is a suite for each of its levels, because the baseline may differ from level to level. What the
baseline says becomes objectives, and so does what the tests always assert: that every request completes.

Rule: a metric that is not measured here is noted, and never counts as met.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.formats.vllm_bench_options import Parameters, Served, content, levelled, parameters, rate, served
from pytest_inferbench.cases.readers import Place

_TEST = ("test_name", "server_params", "benchmark_params")
_OTHERWISE = "the test would not read it"
_LEVELS = ("num-prompts", "request-rate", "max-concurrency")
_NOT_OF_CLIENT = ("baseline", "task", "enabled", "eval-phase")
_ALL_COMPLETE = "error_rate <= 0"

_LATENCY = re.compile(r"(mean|median|p\d{1,2}(?:\.\d+)?)_(ttft|tpot|itl|e2el)_ms")
# vLLM's inter-token latency is the gap between chunks.
_METRICS = {"ttft": "ttft", "tpot": "tpot", "itl": "inter_chunk", "e2el": "e2e"}
_STATISTICS = {"mean": "mean", "median": "p50"}
_THROUGHPUTS = {
    "request_throughput": ("request_throughput", "req/s"),
    "output_throughput": ("output_throughput", "tok/s"),
    "total_token_throughput": ("total_throughput", "tok/s"),
}


class VllmOmni:
    """The format of vLLM-Omni's performance tests."""

    name = "vllm-omni"
    title = "vLLM-Omni JSON"

    def recognises(self, path: Path, text: str) -> bool:
        """A JSON file of tests with the parameters of a server and of benchmarks."""
        return path.suffix == ".json" and '"test_name"' in text and ('"server_params"' in text or '"benchmark_params"' in text)

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        The suites of each test, in the file's order.

        Raises:
            ConfigError: the file says something wrong, or (strict) something that is lost here.
        """
        reading = Reading(source=source, document=source.document(".json", top="tests", lenient=lenient), lenient=lenient)
        reading.fields((), ("tests",), otherwise=_OTHERWISE)
        tests = reading.items(("tests",))
        if not tests:
            raise reading.error("holds no test", ("tests",))
        return tuple(one for index in range(len(tests)) for one in _test(reading, ("tests", index)))


FORMAT = VllmOmni()


def _test(reading: Reading, place: Place) -> list[Imported]:
    reading.fields(place, _TEST, otherwise=_OTHERWISE)
    name = reading.text((*place, "test_name"))
    server = _server(reading, (*place, "server_params"))
    shared = reading.taken_notes()
    found = []
    runs = reading.items((*place, "benchmark_params"))
    if not runs:
        raise reading.error("holds no run", (*place, "benchmark_params"))
    for index in range(len(runs)):
        at = (*place, "benchmark_params", index)
        label = name if len(runs) == 1 else f"{name}-{index + 1}"
        suites = _run(reading, at, server)
        made = Imported(
            name=reading.source.stem,
            suite={},
            origin=reading.source.origin(reading.document, at),
            notes=(*shared, *reading.taken_notes()),
        )
        found += [replace(made, suite={"label": label, "hardware": "gpu", **suite}) for suite in suites]
    return found


def _server(reading: Reading, place: Place) -> Served:
    given = parameters(reading, place)
    values = dict(given.values)
    for name in ("update", "delete"):
        if name in values:
            reading.refuse(
                "changes the file of the stages, which is not made here: the server would be another one", given.at(name)
            )
            del values[name]
    stages = values.pop("stage-config-name", None)
    values.pop("use-omni", None)
    if stages is not None:
        values["stage-configs-path"] = stages
        reading.note(f"the stages are those of {stages}, which must be where the server starts")
    return served(reading, replace(given, values={**values, "omni": ""}), {})


def _run(reading: Reading, place: Place, server: Served) -> list[dict[str, Any]]:
    given = parameters(reading, place)
    client = replace(
        given, values={name: value for name, value in given.values.items() if name not in (*_LEVELS, *_NOT_OF_CLIENT)}
    )
    suite = content(reading, client, server.model)
    suite |= {"engine": dict(server.engine)}
    suite["matrix"] = {"model": server.model, "tensor_parallel": server.tensor_parallel, **suite["matrix"]}
    made = []
    levels = _levels(reading, given)
    for index, (prompts, asked, users) in enumerate(levels):
        load = {**suite["load"], "requests": prompts}
        slo = [_ALL_COMPLETE, *_objectives(reading, given, index, len(levels))]
        rates = ["inf" if asked is None else asked]
        made += levelled({**suite, "load": load, "slo": slo}, rates, [] if users is None else [users])
    return made


def _levels(reading: Reading, given: Parameters) -> list[tuple[int, Any, int | None]]:
    """Requests, rate and users of each level; one number of requests serves for all levels, one level for all numbers."""
    prompts, rates, users = (_listed(given.values.get(name)) for name in _LEVELS)
    count = max(len(prompts), len(rates), len(users), 1)
    for name, values in zip(_LEVELS, (prompts, rates, users), strict=True):
        if len(values) not in (0, 1, count):
            raise reading.error(f"has {len(values)} values where others have {count}; the test would stop", given.at(name))
    if not prompts:
        raise reading.error("says no num_prompts", given.place)
    levels = []
    for index in range(count):
        number, asked, most = (values[index if len(values) > 1 else 0] if values else None for values in (prompts, rates, users))
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise reading.error(f"must be a whole number from 1, not {number!r}", given.at("num-prompts"))
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise reading.error(f"must be a whole number from 1, not {most!r}", given.at("max-concurrency"))
        levels.append((number, None if asked is None else rate(reading, given.at("request-rate"), asked), most))
    return levels


def _objectives(reading: Reading, given: Parameters, index: int, count: int) -> list[str]:
    baseline = given.values.get("baseline") or {}
    if not isinstance(baseline, dict):
        raise reading.error("must hold metrics and their limits", given.at("baseline"))
    found = []
    for metric, limits in baseline.items():
        place = (*given.at("baseline"), metric)
        values = _listed(limits)
        if len(values) not in (1, count):
            raise reading.error(f"has {len(values)} limits for {count} levels", place)
        limit = values[index if len(values) > 1 else 0]
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            raise reading.error(f"must be a number, not {limit!r}", place)
        text = _objective(metric, limit)
        if text is None:
            reading.note(f"the baseline of {metric} is not judged: it is not measured here")
        else:
            found.append(text)
    return found


def _objective(metric: str, limit: float) -> str | None:
    latency = _LATENCY.fullmatch(metric)
    if latency:
        return f"{_METRICS[latency[2]]}_{_STATISTICS.get(latency[1], latency[1])} <= {limit}ms"
    if metric in _THROUGHPUTS:
        name, unit = _THROUGHPUTS[metric]
        return f"{name} >= {limit} {unit}"
    return None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
