"""
A matrix and its combinations: what is spanned, left out, and added.

Rule: the product first, then ``exclude`` takes away, then ``include`` changes what is there or adds what is not. The order of an
axis' values decides the order of cases, never which cases there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any, NamedTuple

from pytest_inferbench.cases.case import (
    Api,
    Arrival,
    Cache,
    Dataset,
    EngineSpec,
    ImagePrompts,
    Limits,
    Origin,
    Prefix,
    SearchSpec,
    Traffic,
)
from pytest_inferbench.cases.confidence import CONFIDENCE
from pytest_inferbench.errors import ConfigError

CASES_MAX = 200_000


class Level(NamedTuple):
    """
    A load level: so many users at once (``concurrency``), so many requests a second (``rate``), a trace, one of a sweep, or the
    one that a ``search`` finds.

    The value of ``trace`` is what the times of the file are multiplied by; that of ``sweep`` is a place in a sweep ``of`` so many
    rates, as `Load` counts them.
    """

    kind: str
    value: float
    trace: str | None = None
    of: int | None = None
    search: SearchSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """An engine of a matrix; ``label`` tells two of one name apart in ids."""

    spec: EngineSpec
    label: str | None = None

    @property
    def called(self) -> str:
        """What ids say and what ``include`` and ``exclude`` match: the label, else the name."""
        return self.label or self.spec.name


class Combination(NamedTuple):
    """One point of a matrix: a value of every axis, in the order in which the product runs (the last axis fastest)."""

    hardware: str
    engine: EngineChoice
    model: str
    tensor_parallel: int
    api: Api
    traffic: Traffic
    cache: Cache
    level: Level


AXES = Combination._fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a case has besides its place in the matrix; seconds, and None where nothing was said."""

    requests: int | None = None
    duration: float | None = None
    warmup: int = 0
    stop: str | None = None
    least: int | None = None
    arrival: Arrival | None = None
    burstiness: float | None = None
    ramp_from: float | None = None
    steps: int | None = None
    ramp_up: float | None = None
    max_in_flight: int | None = None
    slo: tuple[str, ...] = ()
    confidence: float = CONFIDENCE
    fail_on: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    expected_miss: str | None = None
    extra_body: str = ""
    prefix: Prefix | None = None
    turns: int = 1
    think_time: float = 0.0
    dataset: Dataset | None = None
    documents: int = 1
    images: ImagePrompts = field(default_factory=ImagePrompts)
    stream: bool = True
    path: str | None = None
    body: str = ""
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    fresh_server: bool = False

    def changed(self, values: Mapping[str, Any]) -> Options:
        """The same with the options among ``values`` in place of its own; limits one by one."""
        own = {name: value for name, value in values.items() if name in OPTIONS}
        if "limits" in own:
            own["limits"] = replace(self.limits, **own["limits"])
        return replace(self, **own) if own else self


OPTIONS = tuple(Options.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A combination with its options, and where a person wrote it."""

    combination: Combination
    options: Options
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One item of ``include`` or ``exclude``: axes with their values, options, and where it stands."""

    values: Mapping[str, Any]
    origin: Origin
    field: str

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The axes that it names."""
        return {axis: self.values[axis] for axis in AXES if axis in self.values}

    def error(self, problem: str) -> ConfigError:
        """A `ConfigError` that points to this entry."""
        return ConfigError(problem, file=self.origin.file, line=self.origin.line, field=self.field)


def spanned(axes: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """
    Every combination of the axes' values.

    Raises:
        ConfigError: there are more than ``CASES_MAX``.
    """
    count = prod(len(axes[axis]) for axis in AXES)
    if count > CASES_MAX:
        raise ConfigError(f"spans {count} cases, more than {CASES_MAX}; split the suite")
    return [Combination._make(values) for values in product(*(axes[axis] for axis in AXES))]


def excluded(rows: Sequence[Row], entries: Iterable[Entry]) -> list[Row]:
    """
    The rows that no entry matches; an entry matches a row that has one of its values on every axis it names.

    Raises:
        ConfigError: an entry names no axis, or matches nothing, which is a slip of the pen.
    """
    gone: set[int] = set()
    for entry in entries:
        _refuse_without_axes(entry)
        hit = {index for index, row in enumerate(rows) if _matches(entry.axes, row.combination)}
        if not hit:
            raise entry.error("matches no case of the matrix; correct it or leave it out")
        gone |= hit
    return [row for index, row in enumerate(rows) if index not in gone] if gone else list(rows)


def included(rows: Sequence[Row], entries: Iterable[Entry], axes: Mapping[str, Sequence[Any]], options: Options) -> list[Row]:
    """
    The rows with every entry applied; an entry with lists stands for every combination of them.

    An entry whose axes match rows changes the options of those rows. One that matches none adds combinations: its own values,
    and on axes that it doesn't name those of ``axes``, with ``options`` unless it says otherwise.

    Raises:
        ConfigError: an entry names no axis, changes nothing, or leaves out an axis that has no values of its own.
    """
    changed = list(rows)
    for entry in entries:
        _refuse_without_axes(entry)
        for values in product(*entry.axes.values()):
            single = dict(zip(entry.axes, ((value,) for value in values), strict=True))
            changed = _applied(entry, single, changed) or changed + _added(entry, {**axes, **single}, options)
    return changed


def _refuse_without_axes(entry: Entry) -> None:
    if not entry.axes:
        raise entry.error(f"names no axis; give at least one of {', '.join(AXES[:-1])}, concurrency, rate, sweep or trace")


def _applied(entry: Entry, single: Mapping[str, tuple[Any, ...]], rows: list[Row]) -> list[Row] | None:
    hits = {index for index, row in enumerate(rows) if _matches(single, row.combination)}
    if not hits:
        return None
    if not any(name in OPTIONS for name in entry.values):
        raise entry.error("adds nothing: the matrix has these cases already, and the entry changes none of their options")
    return [
        replace(row, options=row.options.changed(entry.values), origin=entry.origin) if index in hits else row
        for index, row in enumerate(rows)
    ]


def _added(entry: Entry, axes: Mapping[str, Sequence[Any]], options: Options) -> list[Row]:
    missing = [axis for axis in AXES if axis not in axes]
    if missing:
        names = ", ".join("concurrency, rate, sweep or trace" if axis == "level" else axis for axis in missing)
        raise entry.error(f"adds a case but names no {names}, which the matrix doesn't either")
    own = options.changed(entry.values)
    return [Row(combination=combination, options=own, origin=entry.origin) for combination in spanned(axes)]


def _matches(axes: Mapping[str, tuple[Any, ...]], combination: Combination) -> bool:
    return all(any(_equal(wanted, getattr(combination, axis)) for wanted in values) for axis, values in axes.items())


def _equal(wanted: Any, actual: Any) -> bool:
    if isinstance(wanted, EngineChoice) and _is_bare(wanted):
        return bool(wanted.called in (actual.called, actual.spec.name))
    return bool(wanted == actual)


def _is_bare(engine: EngineChoice) -> bool:
    return engine.label is None and engine.spec == EngineSpec(name=engine.spec.name)
