"""
Configurations of inference-perf as far as they describe load: stages, synthetic lengths, files of conversations, shared prefixes.

Rule: each stage is a level of its own, with its own length. What the tool does beside sending load (metrics, reports, storage) is
not carried over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, key_note, normal
from pytest_inferbench.cases.formats.format import SHAREGPT, Imported, Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.readers import Place

_TOP = ("api", "data", "load", "server", "tokenizer", "metrics", "report", "storage", "circuit_breakers", "credentials")
_ASIDE = ("metrics", "report", "storage", "circuit_breakers", "credentials")
_LOAD_ASIDE = ("interval", "num_workers", "worker_max_concurrency", "worker_max_tcp_connections", "base_seed")
_APIS = {"completion": "completions", "chat": "chat", "anthropic_messages": "anthropic"}
_ARRIVALS = {"constant": "constant", "poisson": "poisson"}
_OTHERWISE = "inference-perf has no such field and refuses the file"


class InferencePerfFormat:
    """inference-perf's configuration."""

    name = "inference-perf"
    title = "inference-perf YAML"

    def recognises(self, path: Path, text: str) -> bool:
        """Whether it has a load and a server at the top, and the load has stages or a sweep."""
        parts = (r"^load\s*:", r"^(server|data)\s*:", r"^\s+(stages|sweep)\s*:")
        return path.suffix.lower() in (".yaml", ".yml") and all(re.search(part, text, re.MULTILINE) for part in parts)

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        One suite: the stages are its levels.

        Raises:
            ConfigError: something in it is wrong, unknown, or (strict) cannot be carried over.
        """
        return (_imported(Reading(source=source, document=source.document(), lenient=lenient)),)


FORMAT = InferencePerfFormat()


def _imported(reading: Reading) -> Imported:
    top = reading.fields((), _TOP, otherwise=_OTHERWISE)
    asides = [name for name in _ASIDE if name in top]
    if asides:
        reading.note(f"not carried over, being about the tool's own measuring and output: {', '.join(asides)}")
    api, stream = _api(reading, top)
    model, url, body = _server(reading, top)
    level, load, stages = _load(reading)
    traffic, content = _data(reading)
    name = reading.source.stem
    suite = at_endpoint(
        name,
        api=api,
        matrix={"model": model, "traffic": traffic, **level},
        load=load,
        stream=None if stream else False,
        extra_body=body or None,
        include=stages,
        **content,
    )
    notes = (*reading.taken_notes(), *address_note(url))
    return Imported(name=name, suite=suite, origin=reading.source.origin(reading.document), notes=notes)


def _api(reading: Reading, top: Mapping[str, Any]) -> tuple[str, bool]:
    """The API, and whether answers are streamed: unless it is said, they are not."""
    if isinstance(top.get("api"), str):
        kind, stream = top["api"], False
    else:
        if "api" in top:
            reading.fields(
                ("api",), ("type", "streaming", "headers", "slo_unit", "slo_tpot_header", "slo_ttft_header"), otherwise=_OTHERWISE
            )
        kind = reading.text(("api", "type"), "completion")
        stream = _flag(reading, ("api", "streaming"))
        if reading.at(("api", "headers")):
            reading.refuse("may hold secrets: write them in the suite, as ${NAME}", ("api", "headers"))
    if kind not in _APIS:
        raise reading.error(f"{kind!r} cannot be sent here; {', '.join(_APIS)} can", ("api",))
    return _APIS[kind], stream


def _flag(reading: Reading, place: Place) -> bool:
    value = reading.at(place)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise reading.error("must be true or false", place)


def _server(reading: Reading, top: Mapping[str, Any]) -> tuple[str, str | None, dict[str, Any]]:
    known = ("type", "model_name", "base_url", "ignore_eos", "api_key", "cert_path", "key_path")
    reading.fields(("server",), known, otherwise=_OTHERWISE)
    if reading.at(("server", "api_key")):
        reading.note(key_note("server.api_key"))
    for name in ("cert_path", "key_path"):
        if reading.at(("server", name)):
            reading.refuse("a client has no certificate of its own here", ("server", name))
    tokenizer = None
    if "tokenizer" in top:
        reading.fields(("tokenizer",), ("pretrained_model_name_or_path", "trust_remote_code", "token"), otherwise=_OTHERWISE)
        tokenizer = reading.text(("tokenizer", "pretrained_model_name_or_path"))
    model = reading.text(("server", "model_name"), tokenizer)
    # The tool's own default: answers go on to the length that was asked for.
    ignore = reading.at(("server", "ignore_eos"))
    body = {} if ignore is not None and not _flag(reading, ("server", "ignore_eos")) else {"ignore_eos": True}
    return model, reading.text(("server", "base_url"), "") or None, body


def _load(reading: Reading) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The level or levels, what all of them share, and what each stage has for itself."""
    known = ("type", "stages", "sweep", *_LOAD_ASIDE, "request_timeout", "request_retries", "request_retry_backoff_sec")
    load = reading.fields(("load",), (*known, "lora_traffic_split"), otherwise=_OTHERWISE)
    for name in ("request_retries", "lora_traffic_split"):
        if load.get(name):
            reading.refuse("is not done here: a failed request counts as failed, and requests go to one model", ("load", name))
    kind = reading.text(("load", "type"), "constant")
    if kind not in (*_ARRIVALS, "concurrent"):
        raise reading.error(f"{kind!r} cannot be sent here; constant, poisson and concurrent can", ("load", "type"))
    if "sweep" in load:
        problem = (
            "ends by time alone, and one end of a sweep here sends everything at once; write a suite with sweep and requests"
        )
        raise reading.error(problem, ("load", "sweep"))
    if not reading.items(("load", "stages")):
        raise reading.error("is missing; write a list such as [{rate: 1, duration: 30}]", ("load", "stages"))
    return _users(reading) if kind == "concurrent" else _rates(reading, kind)


def _rates(reading: Reading, kind: str) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    rates, durations = [], []
    for index in range(len(reading.items(("load", "stages")))):
        place: Place = ("load", "stages", index)
        reading.fields(place, ("rate", "duration"), otherwise=f"a load of type {kind} does not read it")
        rates.append(_number(reading, (*place, "rate")))
        durations.append(_number(reading, (*place, "duration")))
        if rates[-1] in rates[:-1]:
            raise reading.error("is the rate of an earlier stage: a suite measures each level once", (*place, "rate"))
    stages = [{"rate": rate, "duration": long} for rate, long in zip(rates, durations, strict=True) if long != durations[0]]
    return {"rate": rates}, {"duration": durations[0], "arrival": _ARRIVALS[kind]}, stages


def _users(reading: Reading) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    levels, counts = [], []
    for index in range(len(reading.items(("load", "stages")))):
        place: Place = ("load", "stages", index)
        reading.fields(place, ("concurrency_level", "num_requests"), otherwise="a load of type concurrent does not read it")
        levels.append(reading.whole((*place, "concurrency_level")))
        counts.append(reading.whole((*place, "num_requests")))
        if levels[-1] in levels[:-1]:
            raise reading.error("is that of an earlier stage: a suite measures each level once", (*place, "concurrency_level"))
    stages = [
        {"concurrency": level, "requests": count} for level, count in zip(levels, counts, strict=True) if count != counts[0]
    ]
    return {"concurrency": levels}, {"requests": counts[0]}, stages


def _data(reading: Reading) -> tuple[str | None, dict[str, Any]]:
    known = ("type", "path", "input_distribution", "output_distribution", "shared_prefix")
    data = reading.fields(("data",), known, otherwise="it cannot be carried over")
    kind = reading.text(("data", "type"))
    if kind in ("synthetic", "random"):
        sides = [_distribution(reading, ("data", f"{side}_distribution")) for side in ("input", "output")]
        return normal(*sides[0], *sides[1]), {}
    if kind == "shareGPT":
        path = reading.text(("data", "path"), SHAREGPT["path"])
        return None, {"dataset": {"path": path, "format": "sharegpt"}}
    if kind == "shared_prefix" and "shared_prefix" in data:
        return _shared_prefix(reading)
    raise reading.error(f"{kind!r} cannot be read here; synthetic, random, shareGPT and shared_prefix can", ("data", "type"))


def _distribution(reading: Reading, place: Place) -> tuple[float, float]:
    """Mean and standard deviation; the tool also cuts at a least and a most."""
    reading.fields(place, ("min", "max", "mean", "std", "std_dev", "total_count", "type"), otherwise=_OTHERWISE)
    if reading.text((*place, "type"), "normal") not in ("normal", "fixed"):
        reading.refuse("lengths are normally distributed or fixed here", (*place, "type"))
    if reading.at((*place, "min")) is not None or reading.at((*place, "max")) is not None:
        reading.note("lengths are not cut at min and max here, but at 1 token in and 2 out")
    deviation = "std_dev" if reading.at((*place, "std_dev")) is not None else "std"
    mean = _number(reading, (*place, "mean"))
    return mean, _number(reading, (*place, deviation), 0.0)


def _shared_prefix(reading: Reading) -> tuple[str, dict[str, Any]]:
    place: Place = ("data", "shared_prefix")
    known = ("num_groups", "num_prompts_per_group", "system_prompt_len", "question_len", "output_len", "max_model_len")
    reading.fields(place, known, otherwise="it cannot be carried over")
    groups, prefix = reading.whole((*place, "num_groups")), reading.whole((*place, "system_prompt_len"))
    question, output = reading.whole((*place, "question_len")), reading.whole((*place, "output_len"))
    return f"D({prefix + question},{output})", {"prefix": {"tokens": prefix, "count": groups}}


def _number(reading: Reading, place: Place, default: float | None = None) -> float | int:
    value = reading.at(place)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9 or (value == 0 and default is None):
        raise reading.error("is missing" if value is None else "must be a number above 0", place)
    return value
