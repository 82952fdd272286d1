"""
What a case measured before, small enough to be reviewed: figures, counts, and what they depend on.

Rule: repeats are runs side by side, and nothing is averaged that is not alike. What differs between two sides is named, old and
new; what a figure depends on (machine, model, load) must be alike to be compared, and what is under test (versions) may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite, nan
from typing import Any

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.summary import Counts
from pytest_inferbench.objectives.gates import Figure, Pair
from pytest_inferbench.objectives.tolerance import FIGURES, Tolerance, Tolerated, figure_of
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.block_errors import block_errors, share_error
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.redact import redact_case
from pytest_inferbench.units import format_duration

NOTHING = Figure(runs=())
ERROR_RATE = "error_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """
    What figures depend on, in words; None where nobody knows.

    ``machine`` is the processor and its cores, ``client`` who measured, ``clock`` whose (kernel or userspace).
    """

    hardware: str | None = None
    machine: str | None = None
    model: str | None = None
    tensor_parallel: str | None = None
    traffic: str | None = None
    load: str | None = None
    api: str | None = None
    client: str | None = None
    clock: str | None = None
    simulated: str | None = None
    driver: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    image: str | None = None
    image_digest: str | None = None
    revision: str | None = None


VERSIONS = ("driver", "engine", "engine_version", "image", "image_digest", "revision")
"""What a new run is held against a baseline for: it may differ, and is named where it does."""
CONDITIONS = tuple(each.name for each in fields(Fingerprint) if each.name not in VERSIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A record with what its folder holds beside it; ``environment`` is that of its manifest, empty where there is none."""

    record: Record
    traces: Traces | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineCase:
    """
    One case: figures by name (``tpot_p50``), counts of each run, and why it cannot be compared (empty where it can).

    Figures and counts have one value a run, in the same order.
    """

    id: str
    fingerprint: Fingerprint
    counts: tuple[Counts, ...]
    figures: Mapping[str, Figure]
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Cases to compare with; ``name`` is what it is called, ``runs`` the ids of the runs it was made of."""

    name: str
    runs: tuple[str, ...]
    cases: tuple[BaselineCase, ...]

    @property
    def by_id(self) -> dict[str, BaselineCase]:
        """Its cases by their ids."""
        return {case.id: case for case in self.cases}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Figures to compare, and what to know of cases that differ or have no partner, in sentences."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


def baseline_of(measured: Sequence[Measured], *, name: str) -> Baseline:
    """The cases of one or several runs; records of one case (`Case.base_id`) are its repeats."""
    by_id: dict[str, list[Measured]] = {}
    for each in measured:
        by_id.setdefault(each.record.case.base_id, []).append(each)
    return Baseline(
        name=name,
        runs=tuple(dict.fromkeys(each.record.run_id for each in measured)),
        cases=tuple(_case(case_id, repeats) for case_id, repeats in sorted(by_id.items())),
    )


def match(old: Baseline, new: Baseline, tolerated: Tolerated) -> Matched:
    """
    Pair the figures of cases with one id, those in ``new`` first to last.

    A case that was not measured under the same conditions is paired with a doubt that says what differs. A case that is only in
    ``new`` is a note; one that is only in the baseline is not: any choice of cases may be run.
    """
    pairs: list[Pair] = []
    notes: list[str] = []
    before = old.by_id
    for case in new.cases:
        allowed = tolerated.of(case.id)
        losses = next((each.amount for each in allowed if each.metric == ERROR_RATE), 0.0)
        if case.id not in before:
            notes.append(f"{case.id} is not in {old.name}; save it there to compare it next time")
            continue
        doubt = _doubt(before[case.id], case)
        lossy = doubt or _lost_more(before[case.id], case, tolerated=losses)
        changed = differences(before[case.id].fingerprint, case.fingerprint, VERSIONS)
        notes += [f"{case.id}: {', '.join(changed)}"] if changed else []
        pairs += [_pair(before[case.id], case, each, doubt=doubt if each.metric == ERROR_RATE else lossy) for each in allowed]
    if not pairs:
        notes.append(f"no case of {new.name} is in {old.name}, so nothing was compared")
    return Matched(pairs=tuple(pairs), notes=tuple(notes))


def differences(old: Fingerprint, new: Fingerprint, names: Sequence[str]) -> list[str]:
    """What is not alike: ``driver 550.1 -> 560.2``; what one side does not know is a difference, too."""
    values = ((name, getattr(old, name), getattr(new, name)) for name in names)
    return [
        f"{name.replace('_', ' ')} {before or 'unknown'} -> {after or 'unknown'}"
        for name, before, after in values
        if before != after
    ]


def fingerprint(measured: Measured) -> Fingerprint:
    """What the figures of a record depend on."""
    record, environment = measured.record, measured.environment
    case, served = redact_case(record.case), record.served
    processor, cores = environment.get("cpu_model"), environment.get("cores_usable") or environment.get("cores")
    client = record.imported
    told = f"{client.tool} {client.version or ''}".strip() if client else "pytest-inferbench"
    return Fingerprint(
        hardware=case.hardware,
        machine=f"{processor or 'unknown processor'}, {cores} cores" if cores else None,
        model=case.model,
        tensor_parallel=str(case.tensor_parallel),
        traffic=f"{case.traffic.text}, cache {case.traffic.cache}",
        load=_load(record),
        api=case.api if case.api_options.stream else f"{case.api}, not streamed",
        client=told,
        clock=record.audit.clock if record.audit else None,
        simulated="yes" if record.simulated else "no",
        driver=environment.get("driver"),
        engine=case.engine.name,
        engine_version=served.engine_version if served else None,
        image=case.engine.image,
        image_digest=served.image_digest if served else None,
        revision=case.engine.revision,
    )


def _load(record: Record) -> str:
    load = record.case.load
    length = f"{load.requests} requests" if load.requests else ""
    lasting = format_duration(load.duration_s) if load.duration_s else ""
    return ", ".join(part for part in (load.label, length, lasting, f"{load.warmup} warm-up") if part)


def _case(case_id: str, repeats: Sequence[Measured]) -> BaselineCase:
    usable = [each for each in repeats if not broken(each.record)]
    prints = [fingerprint(each) for each in usable or repeats]
    names = [each.name for each in fields(Fingerprint)]
    unlike = next((found for each in prints[1:] if (found := differences(prints[0], each, names))), [])
    doubt = f"its runs are not alike ({', '.join(unlike)}), so they are no repeats of each other" if unlike else ""
    if not usable:
        doubt = broken(repeats[0].record)
    return BaselineCase(
        id=case_id,
        fingerprint=prints[0],
        counts=tuple(each.record.summary.counts for each in usable if each.record.summary),
        figures={} if doubt else _figures(usable),
        doubt=doubt or _partly(repeats),
    )


def _partly(repeats: Sequence[Measured]) -> str:
    """A repeat that broke is a result as well: leaving it out would choose the good ones."""
    wrong = [words for each in repeats if (words := broken(each.record))]
    return f"{len(wrong)} of {len(repeats)} runs cannot be used: {wrong[0]}" if wrong else ""


def broken(record: Record) -> str:
    """Why a record has no figures to compare; empty where it has."""
    if record.error or record.summary is None:
        reason = (record.error or "").strip().partition("\n")[0]
        return f"it broke before it was measured: {reason}" if reason else "it was not measured"
    if not record.summary.counts.completed:
        return f"none of its {record.summary.counts.attempted} requests completed"
    if record.verdict.outlook is Outlook.INVALID:
        return f"it is invalid: {'; '.join(record.verdict.reasons) or 'its figures must not be believed'}"
    return ""


def _figures(repeats: Sequence[Measured]) -> dict[str, Figure]:
    values = [_values(each.record) for each in repeats]
    errors = [block_errors(each.traces) if each.traces is not None else {} for each in repeats]
    found = {}
    for name in values[0]:
        runs = tuple(each[name] for each in values)
        if not any(map(isfinite, runs)):
            continue
        within = tuple(_within(each.record, known, name) for each, known in zip(repeats, errors, strict=True))
        found[name] = Figure(runs=runs, within=within)
    return found


def _within(record: Record, known: Mapping[str, float], name: str) -> float | None:
    if name == ERROR_RATE and record.summary:
        return share_error(record.summary.counts)
    return known.get(name)


def _values(record: Record) -> dict[str, float]:
    """Every figure of a record that has summaries; those that it lacks are NaN."""
    summary = record.summary
    if summary is None:
        return dict.fromkeys(FIGURES, nan)
    found = {}
    for name in FIGURES:
        metric, statistic = figure_of(name)
        distribution = summary.distributions.get(metric)
        found[name] = summary.scalars.get(name, nan) if statistic is None else float(getattr(distribution, statistic, nan))
    return found


def _doubt(old: BaselineCase, new: BaselineCase) -> str:
    for case, side in ((old, "in the baseline"), (new, "in the new run")):
        if case.doubt:
            return f"{side}: {case.doubt}"
    unlike = differences(old.fingerprint, new.fingerprint, CONDITIONS)
    return f"not measured alike: {', '.join(unlike)}; save a baseline under these conditions" if unlike else ""


def _pair(old: BaselineCase, new: BaselineCase, tolerance: Tolerance, *, doubt: str) -> Pair:
    before, after = old.figures.get(tolerance.name, NOTHING), new.figures.get(tolerance.name, NOTHING)
    return Pair(case_id=new.id, tolerance=tolerance, old=before, new=after, doubt=doubt)


def _lost_more(old: BaselineCase, new: BaselineCase, *, tolerated: float) -> str:
    """Figures are of requests that completed: where more are lost than before, those that are left may only look fast."""
    before, after = (max((1 - each.completed / each.attempted for each in case.counts), default=0.0) for case in (old, new))
    if after <= before + tolerated:
        return ""
    return (
        f"up to {after:.2%} of its requests did not complete ({before:.2%} before), and figures are of the others only;"
        f" add {ERROR_RATE}:1% to say how many more may be lost"
    )
