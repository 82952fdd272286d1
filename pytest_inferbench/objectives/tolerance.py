"""
How much worse a metric may get, as people write it: ``tpot_p50:5%,output_throughput:3%,ttft_p99:10%``.

Rule: which direction is worse stands in the metric's definition, and nobody has to write it; a tolerance that nothing could ever
exceed, or that nothing could ever keep, is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log, log1p

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Metric
from pytest_inferbench.metrics.registry import LATENCIES, METRICS, SCALARS, metric
from pytest_inferbench.units import format_quantity, parse_quantity, quantity_in

STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")
"""What is kept of a latency, and so can be compared."""
FIGURES = (
    *(f"{each.name}_{statistic}" for each in LATENCIES for statistic in STATISTICS),
    *(each.name for each in SCALARS if each.kind is not Kind.LENGTH),
)
"""Every figure that can be compared, by name."""
_EXAMPLE = "tpot_p50:5%,output_throughput:3%,ttft_p99:10%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """
    How much worse one figure may get.

    ``metric`` and ``statistic`` as in an objective. ``amount`` is a share of the old figure where ``relative``, else in the
    metric's own unit; for a metric that is a share itself (``error_rate``) always in its own: 0.01 is one percentage point.
    """

    metric: str
    statistic: str | None
    amount: float
    relative: bool

    @property
    def name(self) -> str:
        """The figure's name: ``tpot_p50``, ``output_throughput``."""
        return self.metric if self.statistic is None else f"{self.metric}_{self.statistic}"

    @property
    def definition(self) -> Metric:
        """What the metric is."""
        return METRICS[self.metric]

    @property
    def smaller_is_better(self) -> bool:
        """The metric's direction."""
        return self.definition.better is Better.SMALLER

    @property
    def of_share(self) -> bool:
        """Whether figures are compared by difference, and not by ratio: a share may be zero."""
        return self.definition.kind is Kind.RATIO

    @property
    def amount_text(self) -> str:
        """``5 %``, ``20 ms``."""
        return format_quantity(self.amount, "1" if self.relative else self.definition.unit)

    @property
    def text(self) -> str:
        """The one way it is printed; `parse_fail_on` reads it back."""
        return f"{self.name}:{self.amount_text.replace(' ', '')}"

    def limit(self, old: float) -> float:
        """
        The most worsening tolerated, of the figure's logarithm or of a share itself; infinite where it is all there is, or more.

        ln(1 + t) where smaller is better, -ln(1 - t) where bigger is, t as a share of ``old``.
        """
        if self.of_share:
            return self.amount
        share = self.amount if self.relative else self.amount / old
        if self.smaller_is_better:
            return log1p(share)
        return -log(1 - share) if share < 1 else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerated:
    """How much worse figures may get: as ``usual``, and where a case has tolerances of its ``own`` (by its id), by those."""

    usual: Sequence[Tolerance]
    own: Mapping[str, Sequence[Tolerance]] = field(default_factory=dict)

    def of(self, case_id: str) -> Sequence[Tolerance]:
        """Those of a case."""
        return self.own.get(case_id, self.usual)


def parse_fail_on(text: str) -> tuple[Tolerance, ...]:
    """
    Read tolerances, separated by commas: a figure, a colon, and a percentage or a quantity in the metric's unit.

    Raises:
        ConfigError: one cannot be read, names no figure that is kept, stands twice, or could never be exceeded or kept.
    """
    parts = [part.strip() for part in text.split(",")]
    if not any(parts):
        raise ConfigError(f"no figure is named; write some such as {_EXAMPLE}")
    found: dict[str, Tolerance] = {}
    for part in parts:
        each = _parsed(part)
        if each.name in found:
            raise ConfigError(f"{each.name} is given twice; keep one")
        found[each.name] = each
    return tuple(found.values())


def tolerances_of(fail_on: Sequence[str], *, file: str | None = None) -> tuple[Tolerance, ...]:
    """
    The tolerances that a case has of its own; empty where it has none.

    Raises:
        ConfigError: one of them is wrong; see `parse_fail_on`.
    """
    try:
        return parse_fail_on(",".join(fail_on)) if fail_on else ()
    except ConfigError as error:
        raise ConfigError(error.problem, file=file, field="fail_on") from error


def parse_noise(text: str) -> float:
    """
    The noise between runs that is assumed where it cannot be measured, as a share: 0.03 of ``3%``.

    Raises:
        ConfigError: it is no share above 0 and below 1.
    """
    noise = quantity_in(text, "1")
    if not 0 < noise < 1:
        raise ConfigError(f"{text.strip()!r} is no noise between runs; write a percentage above 0 and below 100, such as 3%")
    return noise


def figure_of(name: str) -> tuple[str, str | None]:
    """
    Metric and statistic of a figure's name: ``tpot_p50`` is ("tpot", "p50").

    Raises:
        ConfigError: no such figure is kept; names the nearest.
    """
    if name in METRICS and not isinstance(METRICS[name], Latency):
        if METRICS[name].kind is Kind.LENGTH:
            raise ConfigError(f"{name} says how long something was measured, and not how fast it is; leave it out")
        return name, None
    if name in METRICS:
        raise ConfigError(f"{name} has many values; say which statistic: {name}_p50 ({', '.join(STATISTICS)})")
    stem, _, statistic = name.rpartition("_")
    if isinstance(METRICS.get(stem), Latency):
        if statistic in STATISTICS:
            return stem, statistic
        raise ConfigError(f"{statistic!r} is not kept of {stem}; write one of {', '.join(STATISTICS)}")
    if stem in METRICS:
        raise ConfigError(f"{stem} is one number and has no {statistic}; write {stem}")
    # There is none of that name any more: this complains, about the part of it that is a metric's.
    return metric(stem if statistic in STATISTICS else name).name, None


def _parsed(part: str) -> Tolerance:
    name, colon, amount = part.rpartition(":")
    if not colon or not name.strip() or not amount.strip():
        raise ConfigError(f"{part!r} is no tolerance; write a figure and how much worse it may get, such as {_EXAMPLE}")
    try:
        return _tolerance(name.strip(), amount.strip())
    except ConfigError as error:
        raise ConfigError(f"{part!r}: {error.problem}") from None


def _tolerance(name: str, text: str) -> Tolerance:
    metric_name, statistic = figure_of(name)
    definition = METRICS[metric_name]
    quantity = parse_quantity(text)
    if quantity.unit is None:
        raise ConfigError(f"{text} of what? write {text}%" + ("" if definition.unit == "1" else f", or {text} {definition.unit}"))
    relative = quantity.unit == "%" and definition.kind is not Kind.RATIO
    amount = quantity_in(text, "1" if relative else definition.unit)
    if amount <= 0:
        raise ConfigError("no two runs are exactly alike; give a tolerance above 0")
    if amount >= 1 and (definition.kind is Kind.RATIO or (relative and definition.better is Better.BIGGER)):
        raise ConfigError(f"nothing can get worse by {format_quantity(amount, '1')}; give a tolerance below 100 %")
    return Tolerance(metric=metric_name, statistic=statistic, amount=amount, relative=relative)
