"""
Objectives as people write them: ``ttft_p99 <= 500ms``.

Rule: an objective that could never be missed, or never be met, is refused when it is read; it would be a test that cannot fail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Metric
from pytest_inferbench.metrics.registry import METRICS, metric
from pytest_inferbench.objectives.verdict import Objective
from pytest_inferbench.units import format_quantity, quantity_in

_EXPRESSION = re.compile(
    r"\s*(?P<name>[A-Za-z][\w.]*)\s*(?P<operator><=|>=|==|!=|=<|=>|<|>|=|≤|≥)\s*(?P<limit>[^\s<>=!≤≥].*?)\s*"
)
_OPERATORS = {"<=": "<=", ">=": ">=", "<": "<", ">": ">", "≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,6})?)")
_STATISTICS = "mean, max, or a percentile such as p50, p99 or p99.9"
_SYNONYMS = {"avg": "mean", "average": "mean", "median": "p50", "p100": "max"}


def parse_objective(text: str, *, file: str | None = None, line: int | None = None, field: str | None = None) -> Objective:
    """
    Read one objective: metric, statistic (latencies only), operator, limit with its unit or in the metric's own.

    Raises:
        ConfigError: it cannot be read, names no metric or statistic, has a wrong unit, or could never be missed or met;
            says what would be right and, where given, ``file``, ``line`` and ``field``.
    """
    try:
        return _parse(text)
    except ConfigError as error:
        raise ConfigError(f"{text.strip()!r}: {error.problem}", file=file, line=line, field=field) from None


def parse_objectives(
    texts: Sequence[str], *, file: str | None = None, line: int | None = None, field: str = "slo"
) -> tuple[Objective, ...]:
    """Read a case's objectives; a problem names the one it is in, such as ``slo[2]``, counted from 0."""
    return tuple(parse_objective(text, file=file, line=line, field=f"{field}[{i}]") for i, text in enumerate(texts))


def percentile_of(statistic: str) -> float | None:
    """99.9 for ``p99.9``; None for a statistic that is no percentile."""
    found = _PERCENTILE.fullmatch(statistic)
    return float(found[1]) if found else None


def _parse(text: str) -> Objective:
    found = _EXPRESSION.fullmatch(text)
    if found is None:
        raise ConfigError("not an objective; write one such as ttft_p99 <= 500ms, output_throughput >= 1000 tok/s")
    operator = _OPERATORS.get(found["operator"])
    if operator is None:
        raise ConfigError(f"{found['operator']} is not an operator of objectives; write <=, <, >= or >")
    name, statistic = _split_name(found["name"])
    definition = metric(name)
    _check_direction(definition, operator, text=found)
    limit = _limit(found["limit"], definition, operator=operator)
    return Objective(
        metric=name, statistic=statistic, operator=operator, limit=limit, text=canonical(name, statistic, operator, limit)
    )


def canonical(name: str, statistic: str | None, operator: str, limit: float) -> str:
    """The one way an objective is printed; `parse_objective` reads it back exactly."""
    left = name if statistic is None else f"{name}_{statistic}"
    unit = metric(name).unit
    number = f"{Decimal(repr(limit)).normalize():f}"
    return f"{left} {operator} {number}" + {"ms": "ms", "1": ""}.get(unit, f" {unit}")


def _split_name(name: str) -> tuple[str, str | None]:
    """``ttft_p99`` is ("ttft", "p99"); a throughput or a ratio has no statistic."""
    if name in METRICS:
        if isinstance(METRICS[name], Latency):
            raise ConfigError(f"{name} has many values; say which statistic: {name}_p99 ({_STATISTICS})")
        return name, None
    stem, _, last = name.rpartition("_")
    if stem not in METRICS:
        _reject_unknown(name, stem, last)
    if not isinstance(METRICS[stem], Latency):
        raise ConfigError(f"{stem} is one number and has no {last}; write {stem}")
    return stem, _statistic(last)


def _reject_unknown(name: str, stem: str, last: str) -> None:
    """Complain about the part of the name that is a metric's: not about ``tftt_p99`` but about ``tftt``."""
    is_statistic = last in {"mean", "max", *_SYNONYMS} or _PERCENTILE.fullmatch(last)
    metric(stem if is_statistic else name)


def _statistic(text: str) -> str:
    if text in {"mean", "max"}:
        return text
    if text in _SYNONYMS:
        raise ConfigError(f"{text!r} is not a statistic; write {_SYNONYMS[text]}")
    found = _PERCENTILE.fullmatch(text)
    if found is None or not float(found[1]):
        raise ConfigError(f"{text!r} is not a statistic; write {_STATISTICS}")
    return f"p{Decimal(found[1]).normalize():f}"


def _check_direction(definition: Metric, operator: str, *, text: re.Match[str]) -> None:
    smaller = definition.better is Better.SMALLER
    if smaller == operator.startswith("<"):
        return
    bad = "slow server" if definition.kind is not Kind.RATIO else "server that answers nothing but errors"
    if not smaller:
        bad = "slow server and fail a fast one"
    right = "<=" if smaller else ">="
    raise ConfigError(f"this would pass a {bad}; write {text['name']} {right} {text['limit']}")


def _limit(text: str, definition: Metric, *, operator: str) -> float:
    limit = quantity_in(text, definition.unit)
    shown = format_quantity(limit, definition.unit)
    if limit < 0:
        raise ConfigError(f"{shown} is negative; {definition.title} never is")
    if limit == 0 and (operator == "<" or isinstance(definition, Latency)):
        raise ConfigError(f"{definition.title} is never {operator} {shown}; give a limit that can be met")
    if limit == 0 and operator == ">=":
        raise ConfigError(f"{definition.title} is always at least {shown}; give a limit that can be missed")
    if definition.kind is Kind.RATIO and limit >= 1:
        raise ConfigError(f"a limit of {shown} can never be missed; 1 means 100 %, so write 1% or 0.01 for one in a hundred")
    return limit
