"""
What one file or marker says, checked field by field: a flat mapping from field name to value and where it was written.

Rule: the nested form of a file and the flat form of a marker become the same thing here, so that inheritance is one dictionary
update and everything after it knows one form only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_inferbench.cases.case import (
    Container,
    Dataset,
    DatasetFormat,
    EngineSpec,
    HostShare,
    ImagePrompts,
    Origin,
    Prefix,
    SearchSpec,
    Tool,
    Volume,
)
from pytest_inferbench.cases.matrix import EngineChoice, Entry, Level
from pytest_inferbench.cases.problems import (
    LEVELS,
    LOAD,
    MATRIX,
    TOP,
    TOP_TOO,
    Given,
    first_error,
    given_at,
    refuse_blanks,
    suggestion,
)
from pytest_inferbench.cases.readers import Document, Place
from pytest_inferbench.cases.traffic import replayed_traffic
from pytest_inferbench.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_inferbench.cases import schema

_PLAIN = tuple(name for name in TOP if name not in ("include", "exclude", "parts"))
_FORMAT_OF_ENDING: Mapping[str, DatasetFormat] = {".json": "sharegpt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}
_LIMITS = {"within", "most", "budget"}
_PATH_STARTS = ("./", "../", "/", "~")


Fields = dict[str, Given]


def document_of_marker(mapping: Mapping[str, Any], origin: Origin) -> Document:
    """
    The keyword arguments of a marker in the form of a file.

    Raises:
        ConfigError: an argument is not a field.
    """
    data: dict[str, Any] = {}
    for name, value in mapping.items():
        if value is None:
            continue
        if name in MATRIX:
            data.setdefault("matrix", {})[name] = _plain(value)
        elif name in LOAD:
            data.setdefault("load", {})[name] = _plain(value)
        elif name in TOP:
            data[name] = _plain(value)
        else:
            raise ConfigError(
                f"unknown field{suggestion(name, (*MATRIX, *LOAD, *TOP))}", file=origin.file, line=origin.line, field=name
            )
    return Document(file=origin.file, data=data, lines={} if origin.line is None else {(): origin.line}, flat=True)


def fields_of(document: Document) -> Fields:
    """
    Check a document and spread it into fields.

    Raises:
        ConfigError: the first thing that is wrong in it, with file, line and field.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - only where there is something to check

    from pytest_inferbench.cases import schema  # noqa: PLC0415 - imports pydantic

    refuse_blanks(document, document.data)
    try:
        suite = schema.Suite.model_validate(document.data)
    except ValidationError as exc:
        raise first_error(document, exc) from exc
    fields = _fields_at(document, suite, ())
    if suite.parts is not None:
        parts = tuple(_fields_at(document, part, ("parts", index)) for index, part in enumerate(suite.parts))
        fields["parts"] = given_at(document, ("parts",), parts)
    return fields


def _fields_at(document: Document, suite: schema.Part, place: Place) -> Fields:
    """The fields of a whole file, or of one of its parts."""
    fields: Fields = {}
    _spread(document, suite, section=place, names=(*_PLAIN, *TOP_TOO), into=fields)
    for part, section, names in ((suite.matrix, "matrix", MATRIX), (suite.load, "load", LOAD)):
        if part is not None:
            _spread(document, part, section=(*place, section), names=names, into=fields)
    for name, entries in (("include", suite.include), ("exclude", suite.exclude)):
        if entries is not None:
            fields[name] = _entries(document, (*place, name), entries)
    return fields


def values_of(part: BaseModel, folder: str) -> dict[str, Any]:
    """
    What an axis block, preset or include entry says, in this project's own types.

    ``concurrency``, ``rate``, ``sweep``, ``search`` and ``trace`` are one axis, ``level``.
    """
    return with_level({name: _own_type(name, getattr(part, name), folder) for name in part.model_fields_set})


def with_level(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with whatever says the level of the load as one axis; a trace is the traffic as well."""
    levels = (*values.get("concurrency", ()), *values.get("rate", ()), *_sweep(values.get("sweep", 0)))
    if "search" in values:
        levels = (*levels, Level("search", 0.0, search=values["search"]))
    others = {name: value for name, value in values.items() if name not in (*LEVELS, "time_scale")}
    trace = values.get("trace")
    if trace is None:
        return {**others, "level": levels} if levels else others
    levels = tuple(Level("trace", scale, trace) for scale in values.get("time_scale", (1.0,)))
    return {**others, "level": levels, "traffic": (replayed_traffic(trace),)}


def _sweep(rates: int) -> tuple[Level, ...]:
    """The levels of a sweep of so many rates: its two ends first, because the others come from them."""
    places = (0, rates + 1, *range(1, rates + 1)) if rates else ()
    return tuple(Level("sweep", place, of=rates) for place in places)


def _spread(document: Document, part: BaseModel, *, section: Place, names: Iterable[str], into: Fields) -> None:
    folder = _folder(document)
    for name in names:
        if name not in part.model_fields_set:
            continue
        place, value = (*section, name), getattr(part, name)
        given = given_at(document, place, _own_type(name, value, folder))
        if name in into:
            raise given.error(f"is given here and as {into[name].field!r} on line {into[name].origin.line}; keep one")
        into[name] = given


def _entries(document: Document, place: Place, parts: Iterable[BaseModel]) -> Given:
    folder = _folder(document)
    entries = []
    for index, part in enumerate(parts):
        given = given_at(document, (*place, index), values_of(part, folder))
        entries.append(Entry(values=given.value, origin=given.origin, field=given.field))
    return given_at(document, place, tuple(entries))


def _folder(document: Document) -> str:
    return os.path.dirname(os.path.abspath(document.file))  # noqa: PTH100, PTH120 - lexical, as a person reads it


def _own_type(name: str, value: Any, folder: str) -> Any:
    reader = _READERS.get(name)
    if reader is not None:
        return reader(value, folder)
    return tuple(value) if isinstance(value, list) else value


def _engine(engine: Any, folder: str) -> EngineChoice:
    words = engine.args if isinstance(engine.args, list) else engine.extra_args
    spec = EngineSpec(
        name=engine.name,
        image=engine.image,
        args=() if isinstance(engine.args, list) else tuple(engine.args.items()),
        extra_args=tuple(words),
        env=tuple(engine.env.items()),
        launcher=engine.launcher,
        container=_container(engine, folder),
        share=HostShare(cpus=engine.cpus, numa=engine.numa, memory_bytes=engine.memory),
        revision=engine.revision,
        offline=engine.offline,
    )
    return EngineChoice(spec=spec, label=engine.label)


def _container(engine: Any, folder: str) -> Container:
    return Container(
        volumes=tuple(_volume(volume, folder) for volume in engine.volumes or ()),
        shm_size_bytes=engine.shm_size,
        ulimits=engine.ulimits or (),
        ports=engine.ports or "published",
        start_mode=engine.start_mode,
        options=engine.container_options or "",
    )


def _volume(volume: Volume, folder: str) -> Volume:
    """A path is taken from the folder of the file it is written in; ``~`` stays until the container is made."""
    return volume if volume.source.startswith("~") else replace(volume, source=_path(volume.source, folder))


def _model(text: str, folder: str) -> str:
    """A path is taken from the folder of the file it is written in; anything else stays as it is."""
    if text.startswith(_PATH_STARTS) or text.lower().endswith(".gguf"):
        return _path(text, folder)
    return text


def _path(text: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(text)))  # noqa: PTH111, PTH118 - links are kept


def _dataset(written: Any, folder: str) -> Dataset:
    """A path is taken from the folder of the file it is written in; where no format is given, the path's ending says it."""
    path = _path(written.path, folder)
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 - text only
    fixed = isinstance(written.output_tokens, int)
    return Dataset(
        path=path,
        format=written.format or _FORMAT_OF_ENDING.get(ending, "hf"),
        prompt=written.prompt,
        output_tokens=written.output_tokens if fixed else None,
        output_field=None if fixed else written.output_tokens,
    )


def _tool(written: Any, folder: str) -> Tool:
    return Tool(
        name=written.name,
        image=written.image,
        results=written.results,
        args=tuple(written.args),
        env=tuple(written.env.items()),
        volumes=tuple(_volume(volume, folder) for volume in written.volumes),
        shm_size_bytes=written.shm_size,
    )


def _plain(value: Any) -> Any:
    """What Python code may hand over (tuples, ranges, paths ...) as the lists and text a file would hold."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    return [_plain(one) for one in value] if isinstance(value, Iterable) else value


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "ca_file": _path,
    "engine": lambda value, folder: tuple(_engine(one, folder) for one in value),
    "model": lambda value, folder: tuple(_model(one, folder) for one in value),
    "trace": _path,
    "concurrency": lambda value, _: tuple(Level("concurrency", one) for one in value),
    "rate": lambda value, _: tuple(Level("rate", one) for one in value),
    "limits": lambda value, _: {f"{limit}_s": getattr(value, limit) for limit in value.model_fields_set},
    "prefix": lambda value, _: Prefix(**value.model_dump()),
    "search": lambda value, _: SearchSpec(metric=value.for_, low=value.from_, high=value.to, **value.model_dump(include=_LIMITS)),
    "images": lambda value, _: ImagePrompts(**value.model_dump()),
    "dataset": _dataset,
    "tool": _tool,
    "presets": lambda value, folder: {preset: values_of(entry, folder) for preset, entry in value.items()},
}
"""By field: the value that pydantic checked in this project's own types; the second argument is the file's folder."""
