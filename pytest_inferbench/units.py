"""
Quantities as people write them: ``500ms``, ``1m30s``, ``1000 tok/s``, ``1%``.

Rule: arithmetic is exact (fractions) until the one rounding to float at the end, so that ``500ms`` is exactly 500.0 ms.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

from pytest_inferbench.errors import ConfigError

# Each unit: its kind, and how many of the kind's base unit it is.
_UNITS: dict[str, tuple[str, Fraction]] = {
    "ns": ("time", Fraction(1, 10**9)),
    "us": ("time", Fraction(1, 10**6)),
    "ms": ("time", Fraction(1, 10**3)),
    "s": ("time", Fraction(1)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "tok/s": ("token rate", Fraction(1)),
    "req/s": ("request rate", Fraction(1)),
    "users": ("number of users", Fraction(1)),
    "1": ("ratio", Fraction(1)),
    "%": ("ratio", Fraction(1, 100)),
}
# Other spellings people use; the right-hand side is the one that is printed.
_SPELLINGS = {
    "µs": "us",
    "μs": "us",
    "sec": "s",
    "tokens/s": "tok/s",
    "token/s": "tok/s",
    "tps": "tok/s",
    "requests/s": "req/s",
    "request/s": "req/s",
    "rps": "req/s",
    "qps": "req/s",
    "user": "users",
}
# Bounded digits: an exponent of a billion would otherwise be computed exactly.
_NUMBER = r"[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,2})?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([^\d\s.+-][^\s]*(?:\s*/\s*[a-z]+)?)?\s*")
_DURATION_PART = re.compile(r"(\d{1,18}(?:\.\d{0,18})?)\s*(h|min|m|s|ms)(?![a-z])\s*")
_DURATION_UNITS = {"h": 3_600_000, "min": 60_000, "m": 60_000, "s": 1000, "ms": 1}


class Quantity(NamedTuple):
    """A number as written and its unit in the spelling that is printed; None where no unit was written."""

    value: float
    unit: str | None


def parse_quantity(text: str) -> Quantity:
    """
    Read a number with an optional unit, such as ``500ms`` or ``1000 tok/s``.

    Raises:
        ConfigError: it is no number, or the unit is not known.
    """
    number, unit = _split(text)
    return Quantity(float(number), unit)


def quantity_in(text: str, unit: str) -> float:
    """
    The quantity ``text`` expressed in ``unit`` (``ms``, ``s``, ``tok/s``, ``req/s``, ``1`` for a ratio ...).

    A bare number is taken to be in ``unit`` already.

    Raises:
        ConfigError: it is no number, or its unit does not measure the same kind of thing; names the units that fit.
    """
    kind, factor = _UNITS[unit]
    number, written = _split(text)
    if written is None:
        return float(number)
    written_kind, written_factor = _UNITS[written]
    if written_kind != kind:
        raise ConfigError(f"{text.strip()!r} is a {written_kind}, but a {kind} belongs here; units that fit: {_fitting(kind)}")
    return float(number * written_factor / factor)


def duration_s(value: str | float) -> float:
    """
    A length of time in seconds: ``60``, ``"90s"``, ``"1m30s"``, ``"500ms"``, ``"2h"``; a bare number is seconds.

    Raises:
        ConfigError: it is not a finite length of time of at least 0.
    """
    seconds = _duration_of_text(value) if isinstance(value, str) else _duration_of_number(value)
    if seconds is None:
        raise ConfigError(f"{value!r} is not a length of time; write one such as 60, 90s, 1m30s or 500ms")
    return seconds


def format_quantity(value: float, unit: str) -> str:
    """``412.6 ms``, ``1000 tok/s``, ``1 %``: at most six significant digits, ratios as percent."""
    if unit == "1":
        return f"{value * 100:.6g} %"
    return f"{value:.6g} {unit}"


def format_duration(seconds: float) -> str:
    """``1m30s``, ``2h``, ``0.5s``: the shortest form that `duration_s` reads back."""
    if seconds < 60 or seconds % 1:
        return f"{Decimal(repr(seconds)).normalize():f}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count)


def _split(text: str) -> tuple[Fraction, str | None]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text.strip()!r} is not a quantity; write a number and a unit, such as 500ms, 1000 tok/s or 1%")
    number, written = Fraction(match[1]), match[2]
    if written is None:
        return number, None
    bare = re.sub(r"\s+", "", written)
    unit = _SPELLINGS.get(bare, bare)
    if unit not in _UNITS or unit == "1":
        known = ", ".join(name for name in _UNITS if name != "1")
        raise ConfigError(f"{written!r} in {text.strip()!r} is not a unit; known units: {known}")
    return number, unit


def _fitting(kind: str) -> str:
    fitting = [name for name, (its_kind, _) in _UNITS.items() if its_kind == kind]
    return ", ".join("a bare number" if name == "1" else name for name in fitting)


def _duration_of_number(value: float) -> float | None:
    if isinstance(value, bool) or not isfinite(value) or value < 0:
        return None
    return float(value)


def _duration_of_text(text: str) -> float | None:
    bare = text.strip()
    if re.fullmatch(_NUMBER, bare):
        return _duration_of_number(float(bare))
    total_ms, position, last_ms = Fraction(0), 0, 0
    while position < len(bare):
        part = _DURATION_PART.match(bare, position)
        unit_ms = _DURATION_UNITS[part[2]] if part else 0
        # Each unit once, largest first: "30s1m" is a slip of the pen more often than a wish.
        if part is None or (last_ms and unit_ms >= last_ms):
            return None
        total_ms, position, last_ms = total_ms + Fraction(part[1]) * unit_ms, part.end(), unit_ms
    return float(total_ms / 1000) if last_ms else None
