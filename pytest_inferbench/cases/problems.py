"""
What is wrong with a field, said to the person who wrote it: where it stands, what is wrong, what would be right.

Rule: the value of anything under ``env`` or ``headers`` never stands in a message, because it may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.catalogue import did_you_mean
from pytest_inferbench.cases.readers import Document, Place, dotted
from pytest_inferbench.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

# Where a field stands in a file; those of TOP_TOO may stand at the top as well as in the matrix.
MATRIX = ("hardware", "engine", "model", "tensor_parallel", "traffic", "cache", "concurrency", "rate", "sweep", "api")
ONE_LEVEL = "a load is a number of users, a rate, a sweep of rates, a search, or a trace; keep one"
OWN_LENGTHS = "a trace says how long requests are; keep one"
LEVELS = ("concurrency", "rate", "sweep", "search", "trace")
LOAD = (
    *("requests", "duration", "warmup", "stop", "least", "arrival", "burstiness", "ramp_from", "steps"),
    *("ramp_up", "max_in_flight", "trace", "time_scale", "search"),
)
CONTENT = ("prefix", "turns", "think_time", "dataset", "documents", "images")
SENDING = ("stream", "path", "body", "text", "headers", "ca_file")
TOP = (
    *(
        "suite",
        "base",
        "preset",
        "slo",
        "confidence",
        "fail_on",
        "limits",
        "include",
        "exclude",
        "presets",
        "expected_miss",
        "extra_body",
        "fresh_server",
    ),
    *("label", "tool", "cluster", "parts"),
    *CONTENT,
    *SENDING,
)
TOP_TOO = ("hardware", "engine", "api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One field as it was written: its checked value, where it stands, and its dotted name there."""

    value: Any
    origin: Origin
    field: str

    def error(self, problem: str) -> ConfigError:
        """A `ConfigError` that points to this field."""
        return ConfigError(problem, file=self.origin.file, line=self.origin.line, field=self.field)


def given_at(document: Document, place: Place, value: Any) -> Given:
    """The field at ``place`` of a document, with its checked value."""
    # A marker has no sections: what a file writes under them, it writes side by side.
    named = place[1:] if document.flat and place[:1] in (("matrix",), ("load",)) else place
    return Given(value=value, origin=Origin(file=document.file, line=document.line_of(place)), field=dotted(named))


def refuse_blanks(document: Document, value: Any, place: Place = ()) -> None:
    """
    Refuse a field that is there but has no value, which reads as if it had one.

    Raises:
        ConfigError: there is such a field; only what goes on as it is may be blank: an engine's argument (a flag without a
            value), and what stands inside ``extra_body``, ``body`` and ``cluster`` (JSON's null).
    """
    if value is None and not {"args", "extra_body", "body", "cluster"} & set(place[:-1]):
        raise given_at(document, place, None).error("is blank; give it a value, or leave it out")
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        refuse_blanks(document, child, (*place, key))


def first_error(document: Document, exc: ValidationError) -> ConfigError:
    """The topmost of the errors that pydantic found; on one line the unknown name, which is often why another is missing."""
    found = [(_place_in(document.data, error["loc"]), error) for error in exc.errors(include_url=False)]

    def order(pair: tuple[Place, ErrorDetails]) -> tuple[int, bool]:
        return document.line_of(pair[0]) or 0, pair[1]["type"] != "extra_forbidden"

    place, error = min(found, key=order)
    return given_at(document, place, None).error(_problem(place, error))


def suggestion(wrong: str, here: Iterable[str]) -> str:
    """What to say after ``unknown field``: the nearest name, else all of them."""
    here = tuple(here)
    return did_you_mean(wrong, here) or f"; known: {', '.join(here)}"


def _place_in(data: Any, loc: Place) -> Place:
    """Pydantic's place without the indexes it gives to a single value that was made a list."""
    place: list[str | int] = []
    for part in loc:
        if isinstance(data, list) and isinstance(part, int):
            data = data[part]
        elif isinstance(part, int):
            continue
        else:
            data = data.get(part) if isinstance(data, dict) else None
        place.append(part)
    return tuple(place)


_Context = dict[str, Any]
_PROBLEMS: dict[str, Callable[[_Context, str], str]] = {
    "value_error": lambda context, _: str(context["error"]),
    "missing": lambda _, __: "is missing",
    "bool_type": lambda _, shown: f"must be true or false, not {shown}",
    "int_type": lambda _, shown: f"must be a whole number, not {shown}",
    "string_type": lambda _, shown: f"must be text, not {shown}; put quotes round it if it is text",
    "literal_error": lambda context, shown: f"must be {context['expected']}, not {shown.removeprefix('the text ')}",
    "greater_than_equal": lambda context, shown: f"must be at least {context['ge']}, not {shown}",
    "less_than_equal": lambda context, shown: f"must be at most {context['le']}, not {shown}",
    "too_short": lambda _, __: "is an empty list, which makes an empty matrix; give at least one value",
    "model_type": lambda _, shown: f"must hold fields, not {shown}",
    "dict_type": lambda _, shown: f"must hold fields, not {shown}",
    "list_type": lambda _, shown: f"must be a list, not {shown}",
}


def _problem(place: Place, error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown field{_belongs(str(place[-1]), place[:-1])}"
    shown = "this" if {"env", "headers"} & set(place) else _shown(error["input"])
    text = _PROBLEMS.get(error["type"])
    return text(error.get("ctx", {}), shown) if text else f"{error['msg']}, not {shown}"


def _shown(value: object) -> str:
    # Of lists and mappings only the kind: there may be an environment inside.
    if isinstance(value, dict | list):
        return "fields" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f"the text {value[:60]!r}" if isinstance(value, str) else repr(value)[:60]


def _belongs(wrong: str, section: Place) -> str:
    if section[:1] == ("parts",):
        section = section[2:]
        if not section and wrong in ("base", "parts"):
            return " here; it belongs at the top of the file"
    here = _fields_at(section)
    if section not in ((), ("matrix",), ("load",)):
        return suggestion(wrong, here)
    for names, home in ((MATRIX, "under 'matrix'"), (LOAD, "under 'load'"), (TOP, "at the top")):
        if wrong in names and wrong not in here:
            return f" here; it belongs {home}"
    return suggestion(wrong, here)


def _fields_at(section: Place) -> tuple[str, ...]:
    match tuple(part for part in section if isinstance(part, str)):
        case ():
            return (*TOP, *TOP_TOO, "matrix", "load")
        case ("matrix",) | ("exclude",):
            return MATRIX
        case ("load",):
            return LOAD
        case (*_, "engine" | "tool" | "limits" | "prefix" | "dataset" | "images" | "search" as name):
            return _model_fields(name.capitalize())
        case _:
            return _model_fields("Combination")


@cache
def _model_fields(name: str) -> tuple[str, ...]:
    from pytest_inferbench.cases import engine_schema, schema  # noqa: PLC0415 - imports pydantic

    fields = getattr(engine_schema if name == "Engine" else schema, name).model_fields
    return tuple(field.alias or name for name, field in fields.items())
