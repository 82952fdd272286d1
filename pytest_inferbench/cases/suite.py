"""
A suite: the cases that one file or one marker describes.

    read_suite("llama.bench.yaml").cases()

Rule: everything that can be wrong with what a person wrote is found here, before anything starts, and is a `ConfigError` with
file, line and field.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_inferbench.cases import matrix
from pytest_inferbench.cases.case import Api, ApiOptions, Case, Container, Load, Origin, Traffic
from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.content import NEEDS, check_traffic, completed
from pytest_inferbench.cases.fields import Fields, document_of_marker, fields_of, values_of, with_level
from pytest_inferbench.cases.identity import case_id, model_slugs, server_part, slug
from pytest_inferbench.cases.loads import SHAPES, load_of
from pytest_inferbench.cases.matrix import AXES, Combination, EngineChoice, Entry, Level, Options, Row
from pytest_inferbench.cases.presets import SHIPPED
from pytest_inferbench.cases.problems import LEVELS, ONE_LEVEL, OWN_LENGTHS, Given
from pytest_inferbench.cases.readers import Document, read_document
from pytest_inferbench.cases.sending import OF_TEMPLATES, api_options
from pytest_inferbench.cases.traffic import parse_traffic, traffic_slug
from pytest_inferbench.errors import ConfigError

SUFFIXES = (".bench.yaml", ".bench.yml", ".bench.toml", ".bench.json")
BASES_MAX = 20

_HINTS = {
    "hardware": "one or more, such as cpu or h100",
    "engine": "one or more, such as llamacpp or vllm",
    "model": "a catalogue name such as smollm2-135m, a hub name, or a path",
    "traffic": 'one or more, such as "D(512,128)"',
    "level": "numbers of users such as [1, 16], or rates, a sweep or a trace instead",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """
    A named set of cases, complete and checked; ``fields`` is what was written, for messages that point there.

    A suite of several ``parts`` has their cases, and no rows of its own.
    """

    name: str
    rows: tuple[Row, ...]
    fields: Fields
    parts: tuple[Suite, ...] = ()

    def cases(self) -> tuple[Case, ...]:
        """
        Every case, in the order of the matrix.

        Raises:
            ConfigError: two cases have one id, or a load contradicts itself.
        """
        seen: dict[str, Row] = {}
        cases = []
        for part in self.parts or (self,):
            build = _Builder(part)
            for row in part.rows:
                case = build.case(row)
                if case.id in seen:
                    raise _duplicate(case.id, seen[case.id], row)
                seen[case.id] = row
                cases.append(case)
            build.refuse_unused()
        return tuple(cases)


def read_suite(path: str | Path) -> Suite:
    """
    Read a suite file, and the files it inherits from.

    Raises:
        ConfigError: anything in them is wrong.
    """
    path = Path(path)
    return suite_of_document(read_document(path), name=_file_name(path))


def suite_of_document(document: Document, name: str) -> Suite:
    """
    The suite that a file's data describe; ``name`` is for one that does not say its own.

    Raises:
        ConfigError: anything in them is wrong.
    """
    path = Path(document.file)
    fields = _inherited(fields_of(document), path, (path,))
    parts = fields.pop("parts", None)
    if parts is None:
        return _suite(fields, name=name, origin=_matrix_origin(document), section="matrix.")
    name = fields["suite"].value if "suite" in fields else name
    made = []
    for index, part in enumerate(parts.value):
        origin = Origin(file=document.file, line=document.line_of(("parts", index, "matrix")))
        made.append(_suite(_over(fields, part), name=name, origin=origin, section=f"parts[{index}].matrix."))
    return Suite(name=name, rows=(), fields=fields, parts=tuple(made))


def suite_from_mapping(mapping: Mapping[str, Any], name: str, origin: Origin) -> Suite:
    """
    A suite from the keyword arguments of a marker; ``suite_file`` (or ``base``) names a file to take everything else from.

    Raises:
        ConfigError: anything in them is wrong.
    """
    values, written = dict(mapping), "base"
    if "suite_file" in values:
        if "base" in values:
            raise ConfigError("means the same as 'base'; keep one", file=origin.file, line=origin.line, field="suite_file")
        values["base"], written = values.pop("suite_file"), "suite_file"
    fields = fields_of(document_of_marker(values, origin))
    if "parts" in fields:
        raise fields["parts"].error("is for files; a function takes several markers")
    if "base" in fields:
        fields["base"] = replace(fields["base"], field=written)
    return _suite(_inherited(fields, Path(origin.file), ()), name=name, origin=origin, section="")


def suite_json_schema() -> dict[str, Any]:
    """The JSON Schema of a suite file, for editors that complete and check while a person types."""
    from pytest_inferbench.cases.schema import Suite as Schema  # noqa: PLC0415 - imports pydantic

    schema = Schema.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "pytest-inferbench suite"}


# --- inheritance ------------------------------------------------------------------------------------------------------------


def _inherited(own: Fields, file: Path, chain: tuple[Path, ...]) -> Fields:
    """The fields of a file or marker on top of those of its base, whose own base comes first."""
    base = own.pop("base", None)
    if base is None:
        return own
    path = Path(os.path.normpath(file.parent / base.value))
    if path.resolve() in {one.resolve() for one in chain}:
        circle = " -> ".join(str(one) for one in (*chain, path))
        raise base.error(f"goes round in a circle: {circle}")
    if len(chain) >= BASES_MAX:
        raise base.error(f"is the last of more than {BASES_MAX} files that inherit from each other")
    if not path.is_file():
        raise base.error(f"{base.value!r} is not there (looked for {path})")
    return _over(_inherited(fields_of(read_document(path)), path, (*chain, path)), own)


def _over(base: Fields, own: Fields) -> Fields:
    """The base's fields with the heir's own in their place; presets and limits one by one, load levels of one kind only."""
    dropped = {"suite"}
    kinds = set(LEVELS)
    if own.keys() & kinds:
        # Another kind of level takes the base's arrival with it: users who wait have none of a Poisson process.
        dropped |= kinds if own.keys() & kinds & base.keys() else {*kinds, "time_scale", *SHAPES}
    if "trace" in own:
        dropped.add("traffic")
    merged = {name: given for name, given in base.items() if name not in dropped} | own
    for name in ("presets", "limits"):
        if name in base and name in own:
            values = {**base[name].value, **own[name].value}
            merged[name] = Given(value=values, origin=own[name].origin, field=own[name].field)
    return merged


def _file_name(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.stem


def _matrix_origin(document: Document) -> Origin:
    return Origin(file=document.file, line=document.line_of(("matrix",)))


# --- fields -> rows ---------------------------------------------------------------------------------------------------------


def _suite(fields: Fields, *, name: str, origin: Origin, section: str) -> Suite:
    _refuse_two_levels(fields)
    own = with_level({key: given.value for key, given in fields.items()})
    rows: list[Row] = []
    for preset in _presets(fields):
        rows += _product({**preset, **own}, origin, section)
    options = Options().changed(own)
    axes = _axes(own)
    rows = matrix.excluded(rows, _entries(fields, "exclude"))
    rows = matrix.included(rows, _entries(fields, "include"), axes, options)
    if not rows:
        raise fields["exclude"].error("leaves no case of the matrix")
    written = fields.get("suite")
    return Suite(name=written.value if written else name, rows=tuple(rows), fields=fields)


def _refuse_two_levels(fields: Fields) -> None:
    given = [name for name in LEVELS if name in fields]
    if len(given) > 1:
        raise fields[given[1]].error(f"cannot stand beside {given[0]!r}: {ONE_LEVEL}")
    trace = fields.get("trace")
    if trace is None:
        return
    if "traffic" in fields:
        raise fields["traffic"].error(f"cannot stand beside 'trace': {OWN_LENGTHS}")
    if not Path(trace.value).is_file():
        raise trace.error(f"there is no file {trace.value}")


def _product(values: Mapping[str, Any], origin: Origin, section: str) -> Iterable[Row]:
    axes = _axes(values)
    for axis in AXES:
        if axis not in axes:
            name = "concurrency" if axis == "level" else axis
            field = name if axis in ("hardware", "engine") else f"{section}{name}"
            raise ConfigError(f"is missing; give {_HINTS[axis]}", file=origin.file, line=origin.line, field=field)
    options = Options().changed(values)
    try:
        combinations = matrix.spanned(axes)
    except ConfigError as exc:
        raise ConfigError(exc.problem, file=origin.file, line=origin.line, field="matrix") from exc
    return [Row(combination=combination, options=options, origin=origin) for combination in combinations]


def _axes(values: Mapping[str, Any]) -> dict[str, Any]:
    """The axes that are given, and those that go without saying."""
    assumed: dict[str, Any] = {"tensor_parallel": (1,), "api": ("chat",), "cache": ("shared" if "prefix" in values else "cold",)}
    if "dataset" in values:
        assumed["traffic"] = (parse_traffic("dataset"),)
    return {**assumed, **{axis: values[axis] for axis in AXES if axis in values}}


def _presets(fields: Fields) -> list[Mapping[str, Any]]:
    """The values of every preset asked for; one empty mapping where none is."""
    asked = fields.get("preset")
    if asked is None:
        return [{}]
    own = fields["presets"].value if "presets" in fields else {}
    found = []
    for name in asked.value:
        if name not in own and name not in SHIPPED:
            known = (*own, *SHIPPED)
            raise asked.error(f"{name!r} is not a preset{did_you_mean(name, known)}; known: {', '.join(known)}")
        found.append(own[name] if name in own else _shipped(name))
    return found


def _shipped(name: str) -> Mapping[str, Any]:
    from pytest_inferbench.cases.schema import Combination as Schema  # noqa: PLC0415 - imports pydantic

    return values_of(Schema.model_validate(SHIPPED[name]), folder="")


def _entries(fields: Fields, name: str) -> list[Entry]:
    return list(fields[name].value) if name in fields else []


# --- rows -> cases ----------------------------------------------------------------------------------------------------------


class _Builder:
    """Makes cases from rows; what many rows share is made once."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        label = suite.fields.get("label")
        self._label = None if label is None else slug(label.value)
        self._models = model_slugs({row.combination.model for row in suite.rows})
        self._several_apis = len({row.combination.api for row in suite.rows}) > 1
        self._servers: dict[tuple[str, int, str, int], str] = {}
        self._traffics: dict[tuple[str, str, int], tuple[Traffic, str]] = {}
        self._loads: dict[tuple[Level, int], tuple[Load, str]] = {}
        self._options: dict[tuple[Api, int], ApiOptions] = {}

    def case(self, row: Row) -> Case:
        """The case of one row."""
        at, options = row.combination, row.options
        load, label = self._load(row)
        traffic, traffic_label = self._traffic(row)
        try:
            check_traffic(traffic, api=at.api, load=load)
        except ConfigError as error:
            raise self._at(error.field or "traffic", row, error.problem) from error
        return Case(
            id=case_id(self._server(at), traffic_label, label, api=self._api(at), label=self._label),
            suite=self._suite.name,
            hardware=at.hardware,
            engine=at.engine.spec,
            model=at.model,
            tensor_parallel=at.tensor_parallel,
            traffic=traffic,
            load=load,
            api=at.api,
            slo=options.slo,
            confidence=options.confidence,
            fail_on=options.fail_on,
            limits=options.limits,
            origin=row.origin,
            expected_miss=options.expected_miss,
            extra_body=options.extra_body,
            api_options=self._api_options(row),
            fresh_server=options.fresh_server,
            tool=self._whole("tool"),
            cluster=self._whole("cluster"),
        )

    def _whole(self, name: str) -> Any:
        """What the whole suite says under a name; None where it says nothing."""
        given = self._suite.fields.get(name)
        return None if given is None else given.value

    def _api(self, at: Combination) -> Api | None:
        return at.api if self._several_apis and at.api != "chat" else None

    def _api_options(self, row: Row) -> ApiOptions:
        api = row.combination.api
        key = (api, id(row.options))
        if key not in self._options:
            try:
                self._options[key] = api_options(api, row.options)
            except ConfigError as error:
                raise self._at(error.field or "api", row, error.problem) from error
        return self._options[key]

    def _server(self, at: Combination) -> str:
        # By identity: hashing an engine with all its arguments for every case would be most of the work.
        key = (at.hardware, id(at.engine), at.model, at.tensor_parallel)
        if key not in self._servers:
            engine, model = slug(at.engine.called), self._models[at.model]
            self._servers[key] = server_part(at.hardware, engine, model=model, tensor_parallel=at.tensor_parallel)
        return self._servers[key]

    def refuse_unused(self) -> None:
        """
        Refuse what was written at the top and is in no case.

        Raises:
            ConfigError: there is such a field.
        """
        traffics = [traffic for traffic, _ in self._traffics.values()]
        for name, (needs, used) in NEEDS.items():
            given = self._suite.fields.get(name)
            if given is not None and not any(used(traffic) for traffic in traffics):
                raise given.error(f"is in no case: it needs {needs}")
        for name in OF_TEMPLATES:
            given = self._suite.fields.get(name)
            if given is not None and not any(getattr(options, name) for options in self._options.values()):
                raise given.error("is in no case: it needs api: template")

    def _traffic(self, row: Row) -> tuple[Traffic, str]:
        at = row.combination
        key = (at.traffic.text, at.cache, id(row.options))
        if key not in self._traffics:
            traffic = completed(at.traffic, at.cache, row.options)
            self._traffics[key] = (traffic, traffic_slug(traffic))
        return self._traffics[key]

    def _at(self, name: str, row: Row, problem: str) -> ConfigError:
        given = self._suite.fields.get(name)
        if given is not None and given.value == getattr(row.options, name, given.value):
            return given.error(problem)
        return ConfigError(problem, file=row.origin.file, line=row.origin.line, field=name)

    def _load(self, row: Row) -> tuple[Load, str]:
        key = (row.combination.level, id(row.options))
        if key not in self._loads:
            load = load_of(row, self._suite.fields)
            self._loads[key] = (load, slug(load.label.replace("+", "")))
        return self._loads[key]


def _duplicate(case_id: str, first: Row, second: Row) -> ConfigError:
    texts = [_described(row) for row in (first, second)]
    if first.combination == second.combination:
        lines = " and ".join(dict.fromkeys(str(row.origin.line) for row in (first, second)))
        problem = f"two cases have the id {case_id!r}: {texts[0]} is given twice (line {lines})"
        return ConfigError(problem, file=second.origin.file, line=second.origin.line)
    remedy = "; give each engine a label" if first.combination.engine != second.combination.engine else ""
    problem = f"two cases have the id {case_id!r}: {texts[0]} and {texts[1]}{remedy}"
    return ConfigError(problem, file=second.origin.file, line=second.origin.line)


def _described(row: Row) -> str:
    at = row.combination
    parts = (at.hardware, _engine_described(at.engine), at.model, f"tp {at.tensor_parallel}", at.api, at.traffic.text)
    return f"({', '.join(parts)}, {at.level.kind} {at.level.value:g})"


def _engine_described(engine: EngineChoice) -> str:
    """The engine with what tells it apart; of arguments and environment only the names, because values may be secrets."""
    spec, share = engine.spec, engine.spec.share
    given = {
        "extra_args": spec.extra_args,
        f"launcher {spec.launcher}": spec.launcher,
        "container": spec.container != Container(),
        f"cpus {share.cpus}": share.cpus,
        f"numa {share.numa}": share.numa is not None,
        f"memory {share.memory_bytes}": share.memory_bytes,
        f"revision {spec.revision}": spec.revision,
        "offline": spec.offline,
    }
    parts = [spec.image or "", *(name for name, _ in spec.args), *(name for name, _ in spec.env)]
    return " ".join(part for part in (spec.name, *parts, *(text for text, there in given.items() if there)) if part)
