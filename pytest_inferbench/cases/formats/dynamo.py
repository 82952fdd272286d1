"""
Dynamo's benchmarks: the YAML of its harness, and the same as a Kubernetes object of the kind ``DynamoBenchmark``.

Both measure an endpoint that is there, at a list of concurrencies. How many requests each gets is the rule of Dynamo's own
utilities, which the harness runs: three for every user, and ten at least. Every answer has exactly as many tokens as asked for:
they send ``min_tokens`` and ``ignore_eos``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.formats.at_endpoint import address_note, at_endpoint, path_of
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.readers import Place
from pytest_inferbench.errors import ConfigError

REQUESTS_A_USER, REQUESTS_MIN = 3, 10

KIND = "DynamoBenchmark"
_CONFIG = ("name", "model", "path", "concurrency", "endpoint", "endpoint_type", "benchmark")
_APIS = {"chat": "chat", "completions": "completions", "embeddings": "embeddings", "rankings": "rerank"}
_NO_COLON = re.compile(r"^(?P<indent>[ \t]*)isl_osl[ \t]*(#.*)?$", re.MULTILINE)
_IGNORED = "the proposal has no such field, and nothing would read it"


class DynamoFormat:
    """The harness's YAML, as it stands in its proposal and as a Kubernetes object."""

    name = "dynamo"
    title = "Dynamo harness YAML"

    def recognises(self, path: Path, text: str) -> bool:
        """Whether it is of that kind, or speaks of pairs of lengths as the harness does."""
        return path.suffix.lower() in (".yaml", ".yml") and bool(
            re.search(rf"(?m)^kind:\s*['\"]?{KIND}\b|^\s*isl_osl\s*(:|#|$)", text)
        )

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        """
        One suite: every concurrency with every pair of lengths.

        Raises:
            ConfigError: something in it is wrong or unknown, or (strict) ``isl_osl`` has no colon.
        """
        notes = []
        missing = _NO_COLON.search(source.text)
        if missing:
            line = source.text.count("\n", 0, missing.start()) + 1
            problem = "has no colon after it, so that YAML takes it and the list below for one text; write isl_osl:"
            if not lenient:
                raise ConfigError(problem, file=source.path, line=line, field="isl_osl")
            notes.append(f"isl_osl on line {line} {problem}")
            source = Source(path=source.path, text=_NO_COLON.sub(r"\g<indent>isl_osl:", source.text))
        reading = Reading(source=source, document=source.document(), lenient=lenient, notes=notes)
        return (_harness(reading),)


FORMAT = DynamoFormat()


def _harness(reading: Reading) -> Imported:
    place: Place = ()
    default_name = None
    if "kind" in reading.document.data:
        default_name = _object_name(reading)
        place = ("spec", "config")
    reading.fields(place, _CONFIG, otherwise=_IGNORED)
    name = reading.text((*place, "name"), default_name)
    model = _model(reading, place)
    api = _api(reading, place)
    pairs = _pairs(reading, (*place, "benchmark"))
    levels = [_whole(reading, (*place, "concurrency"), at) for at, _ in enumerate(reading.items((*place, "concurrency")))]
    if not levels:
        raise reading.error("is missing; write a list of numbers of users, such as [1, 4, 16]", (*place, "concurrency"))
    endpoint = reading.text((*place, "endpoint"), "")
    (load, by_level), (shared, by_traffic) = requests_of(levels), _whole_answers(pairs)
    suite = at_endpoint(
        name,
        api=api,
        path=path_of(f"http://host{endpoint}" if endpoint.startswith("/") else endpoint, api),
        matrix={"model": model, "traffic": [_fixed(pair) for pair in pairs], "concurrency": levels},
        load=load,
        include=[*by_level, *by_traffic],
        label=name,
        **shared,
    )
    notes = (*reading.notes, *address_note(None if endpoint.startswith("/") else endpoint))
    return Imported(name=name, suite=suite, origin=reading.source.origin(reading.document, place), notes=notes)


def _object_name(reading: Reading) -> str:
    """The name of the Kubernetes object, whose own fields are checked."""
    reading.fields((), ("apiVersion", "kind", "metadata", "spec"), otherwise=_IGNORED)
    if reading.text(("kind",)) != KIND:
        raise reading.error(f"must be {KIND}", ("kind",))
    reading.fields(("metadata",), ("name", "namespace", "labels", "annotations"), otherwise=_IGNORED)
    spec = reading.fields(("spec",), ("model", "config"), otherwise=_IGNORED)
    if "model" in spec:
        reading.fields(("spec", "model"), ("modelRef",), otherwise=_IGNORED)
        reference = reading.text(("spec", "model", "modelRef"))
        reading.note(f"spec.model.modelRef {reference!r} names an object of the cluster, and is not looked up")
    return reading.text(("metadata", "name"))


def _model(reading: Reading, place: Place) -> str:
    """The model's name; its path is where the original looks for its tokenizer."""
    config: Any = reading.document.data
    for part in place:
        config = config[part]
    if isinstance(config.get("model"), Mapping):
        reading.fields((*place, "model"), ("name", "path"), otherwise=_IGNORED)
        name, path = reading.text((*place, "model", "name")), config["model"].get("path")
    else:
        name, path = reading.text((*place, "model")), config.get("path")
    if path:
        reading.note(f"the model's path {str(path)!r} is no part of a suite: count tokens with it by --inferbench-tokenizer")
    return name


def _api(reading: Reading, place: Place) -> str:
    kind = reading.text((*place, "endpoint_type"), "chat")
    if kind not in _APIS:
        raise reading.error(f"{kind!r} is not known here; known: {', '.join(_APIS)}", (*place, "endpoint_type"))
    return _APIS[kind]


def _pairs(reading: Reading, place: Place) -> list[tuple[int, int]]:
    reading.fields(place, ("isl_osl",), otherwise=_IGNORED)
    place = (*place, "isl_osl")
    pairs = []
    for index, pair in enumerate(reading.items(place)):
        if not isinstance(pair, list) or len(pair) != 2:
            raise reading.error("must be two numbers: tokens in and tokens out, such as [1024, 128]", (*place, index))
        pairs.append((_whole(reading, (*place, index), 0), _whole(reading, (*place, index), 1)))
    if not pairs:
        raise reading.error("is missing; write a list of pairs, such as [[1024, 128]]", place)
    return pairs


def _whole(reading: Reading, place: Place, index: int) -> int:
    return reading.whole((*place, index))


def requests_of(levels: Sequence[int], count: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """
    How many requests each level gets, ``count`` or with 0 Dynamo's own rule: of all levels, and of those that differ.

    Both are fields of a suite: ``load``, and entries of ``include``.
    """
    counts = [count or max(REQUESTS_A_USER * level, REQUESTS_MIN) for level in levels]
    others = [{"concurrency": level, "requests": one} for level, one in zip(levels, counts, strict=True) if one != counts[0]]
    return {"requests": counts[0]}, others


def _whole_answers(pairs: Sequence[tuple[int, int]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What keeps a server from ending answers early: fields of every request, and of those of some traffics."""
    bodies = {_fixed(pair): {"min_tokens": pair[1], "ignore_eos": True} for pair in pairs}
    if len({pair[1] for pair in pairs}) == 1:
        return {"extra_body": bodies[_fixed(pairs[0])]}, []
    return {}, [{"traffic": text, "extra_body": body} for text, body in bodies.items()]


def _fixed(pair: tuple[int, int]) -> str:
    return f"D({pair[0]},{pair[1]})"
