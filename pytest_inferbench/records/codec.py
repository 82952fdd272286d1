"""
Records as JSON, and back.

Rule: this is the only place where a dataclass becomes a dict. JSON has no NaN and no infinities: they are the strings ``NaN``,
``Infinity`` and ``-Infinity``, wherever a number is due. The shape follows the dataclasses field by field; `SCHEMA_VERSION` goes
up whenever a field changes its meaning, its name or its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from math import inf, isfinite, isnan, nan
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pytest_inferbench.errors import RecordError
from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.records.record import SCHEMA_VERSION, Record
from pytest_inferbench.records.redact import redact_record

_NUMBERS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}


def to_json(record: Record) -> dict[str, Any]:
    """
    A record as plain JSON types, secrets taken out.

    ``units`` maps each metric in it to its unit; it is for readers and ignored by `from_json`.
    """
    units = {name: metric.unit for name, metric in METRICS.items()}
    return {"schema_version": SCHEMA_VERSION, "units": units, **encode(redact_record(record))}


def from_json(value: Any) -> Record:
    """
    The record that `to_json` wrote.

    Raises:
        RecordError: it is of another schema version, or a field is missing or has a wrong type; names the field.
    """
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"this record has schema version {version}, but this version of pytest-inferbench reads {SCHEMA_VERSION};"
            " read it with the version that wrote it, or a newer one"
        )
    return cast("Record", _decode(value, Record, "record"))


def encode(value: Any) -> Any:
    """Frozen dataclasses, tuples, mappings, enums and numbers as plain JSON types."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [encode(each) for each in value]
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _decode(value: Any, kind: Any, where: str) -> Any:
    """``value`` as the type ``kind``; ``where`` names it in an error."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _decode_union(value, get_args(kind), where)
    if is_dataclass(kind):
        return _decode_dataclass(value, kind, where)
    if origin is tuple:
        return _decode_tuple(value, get_args(kind), where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _wrong(value, "an object", where)
        return {key: _decode(each, get_args(kind)[1], f"{where}.{key}") for key, each in value.items()}
    if origin is Literal:
        if value not in get_args(kind):
            raise _wrong(value, f"one of {', '.join(map(str, get_args(kind)))}", where)
        return value
    return _decode_plain(value, kind, where)


def _decode_plain(value: Any, kind: type[Any], where: str) -> Any:
    if issubclass(kind, Enum):
        if value not in [member.value for member in kind]:
            raise _wrong(value, f"one of {', '.join(str(member.value) for member in kind)}", where)
        return kind(value)
    if kind is float and isinstance(value, str) and value in _NUMBERS:
        return _NUMBERS[value]
    if kind is float and type(value) is int:
        return float(value)
    # type() and not isinstance: True is an int, and not a number of requests.
    if type(value) is not kind:
        raise _wrong(value, kind.__name__, where)
    return value


def _decode_union(value: Any, kinds: tuple[Any, ...], where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    # An exact type first, so that 1 stays an int and 1.0 a float in a union of both.
    if type(value) in kinds:
        return value
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) > 1:
        raise _wrong(value, " or ".join(kind.__name__ for kind in others), where)
    return _decode(value, others[0], where)


def _decode_tuple(value: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(value, "a list", where)
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise _wrong(value, f"a list of {len(kinds)}", where)
    each_kind = [kinds[0]] * len(value) if kinds[-1] is Ellipsis else kinds
    return tuple(_decode(value[i], kind, f"{where}[{i}]") for i, kind in enumerate(each_kind))


def _decode_dataclass(value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(value, "an object", where)
    hints = _hints(kind)
    found = {}
    for field in fields(kind):
        if field.name in value:
            found[field.name] = _decode(value[field.name], hints[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RecordError(f"{where}.{field.name} is missing; the record is not whole")
    return kind(**found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _wrong(value: Any, expected: str, where: str) -> RecordError:
    return RecordError(f"{where} is {value!r}, where {expected} belongs")
