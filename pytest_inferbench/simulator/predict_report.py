"""
Predictions as people and programs read them: a table, JSON, CSV.

Rule: every line and every column's name says PREDICTED, so that no part of it, copied elsewhere, passes for a measurement.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any

from pytest_inferbench.metrics.registry import METRICS
from pytest_inferbench.objectives.verdict import Judgement, Outlook, Verdict
from pytest_inferbench.reporting.figures import NOTHING, count, difference, length_of_time, limit, number, quantity
from pytest_inferbench.simulator.predict import Prediction, gpu_hours, servers_s, total_s

WORD = "PREDICTED"
_STATISTICS = (("ttft", "p50"), ("ttft", "p99"), ("tpot", "p50"), ("tpot", "p99"), ("e2e", "p50"), ("e2e", "p99"))
_SCALARS = ("output_throughput", "request_throughput")
_HEADS = (
    *("", "TTFT ms", "TTFT ms", "TPOT ms", "TPOT ms", "E2E ms", "output", "", "KV", "", "takes"),
    *("case", "p50", "p99", "p50", "p99", "p50", "tok/s", "req/s", "use", "SLOs", "about"),
)
_MET = {Outlook.PASS: "met", Outlook.FAIL: "missed", Outlook.INCONCLUSIVE: "unsure", Outlook.INVALID: "unsure"}


def table_lines(predictions: Sequence[Prediction]) -> list[str]:
    """The table, what would be missed or could not be predicted, and what all of it would cost; each line says what it is."""
    half = len(_HEADS) // 2
    rows = [_HEADS[:half], _HEADS[half:], *(_row(each) for each in predictions)]
    widths = [max(len(row[column]) for row in rows) for column in range(half)]
    lines = [_aligned(row, widths) for row in rows]
    lines += _remarks(predictions)
    return [f"{WORD} {line}".rstrip() for line in (*lines, *_costs(predictions))]


def as_json(predictions: Sequence[Prediction]) -> str:
    """One JSON document; figures without a value are null."""
    document = {
        "predicted": True,
        "note": "computed by a model of the server, not measured",
        "cases": [_fields(each) for each in predictions],
        "predicted_total_s": total_s(predictions),
        "predicted_gpu_hours": gpu_hours(predictions),
    }
    return json.dumps(document, indent=2, allow_nan=False)


def as_csv(predictions: Sequence[Prediction]) -> str:
    """One row a case, all figures' names beginning with ``predicted_``."""
    rows = [{name: _cell(value) for name, value in _fields(each).items()} for each in predictions]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


# --- rows -------------------------------------------------------------------------------------------------------------------


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        f"{text:<{width}}" if place == 0 else f"{text:>{width}}"
        for place, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((first, *others))


def _row(each: Prediction) -> tuple[str, ...]:
    if each.summary is None:
        why = "does not fit" if each.fits is False else "unknown"
        return (each.case.id, *[NOTHING] * 8, why, NOTHING)
    figures = (_statistic(each, metric, name) for metric, name in (*_STATISTICS[:5],))
    scalars = (each.summary.scalars[name] for name in _SCALARS)
    use = quantity(each.kv_usage_max, "1")
    return (each.case.id, *(number(value) for value in (*figures, *scalars)), use, _slos(each), length_of_time(each.case_s))


def _statistic(each: Prediction, metric: str, name: str) -> float | None:
    if each.summary is None:
        return None
    value = float(getattr(each.summary.distributions[metric], name))
    return None if isnan(value) else value


def _slos(each: Prediction) -> str:
    if each.verdict is None or not each.case.slo:
        return NOTHING
    return _MET[each.verdict.outlook]


def _remarks(predictions: Sequence[Prediction]) -> list[str]:
    """What a reader of the table must know; what several cases have in common stands there once."""
    said: dict[str, list[str]] = {}
    for each in predictions:
        own = [f"would miss {_in_words(judgement)}" for judgement in _missed(each.verdict)]
        own += [" ".join(each.trouble.split())] if each.trouble is not None else []
        for text in (*own, *each.notes):
            said.setdefault(text, []).append(each.case.id)
    return [f"{cases[0]}{f' and {len(cases) - 1} more' if len(cases) > 1 else ''}: {text}" for text, cases in said.items()]


def _missed(verdict: Verdict | None) -> list[Judgement]:
    return [] if verdict is None else [each for each in verdict.judgements if each.outlook is Outlook.FAIL]


def _in_words(judgement: Judgement) -> str:
    objective, unit = judgement.objective, judgement.unit
    name = objective.metric if objective.statistic is None else f"{objective.metric}_{objective.statistic}"
    bound = limit(objective.operator, objective.limit, unit)
    return f"{name} {bound}: {quantity(judgement.actual, unit)} ({difference(judgement.actual, objective.limit)})"


def _costs(predictions: Sequence[Prediction]) -> Iterable[str]:
    known = [each for each in predictions if each.summary is not None]
    servers = len({each.case.server_key for each in known})
    one, many = len(predictions) == 1, "case" if len(predictions) == 1 else "cases"
    yield (
        f"in all: {count(len(predictions))} {many}, {count(servers)} {'server' if servers == 1 else 'servers'}: "
        f"about {length_of_time(total_s(predictions))} one after the other "
        f"({length_of_time(servers_s(predictions))} of it starting servers), {gpu_hours(predictions):.2g} GPU-hours"
    )
    left_out = len(predictions) - len(known)
    if left_out:
        yield f"not in that: {left_out} {'case' if left_out == 1 or one else 'cases'} of which nothing can be predicted"
    took_s, load_s = sum(each.took_s for each in known), sum(each.case_s for each in known)
    if took_s > 0:
        faster = f"{load_s / took_s:,.0f} times faster than measuring"
        yield f"computed in {length_of_time(took_s)}, {faster}; nothing was started"


# --- fields -----------------------------------------------------------------------------------------------------------------


def _fields(each: Prediction) -> dict[str, Any]:
    """A case as plain values, all that is no name of it marked as predicted."""
    case, summary = each.case, each.summary
    fields: dict[str, Any] = {
        "case": case.id,
        "hardware": case.hardware,
        "engine": case.engine.name,
        "model": case.model,
        "tensor_parallel": case.tensor_parallel,
        "traffic": case.traffic.text,
        "load": case.load.label,
        "predicted_fits": each.fits,
    }
    for metric, name in _STATISTICS:
        fields[f"predicted_{METRICS[metric].column}_{name}"] = _statistic(each, metric, name)
    for metric in (*_SCALARS, "total_throughput"):
        value = None if summary is None else summary.scalars[metric]
        fields[f"predicted_{METRICS[metric].column}"] = None if value is None or isnan(value) else value
    return fields | {
        "predicted_kv_capacity_tokens": each.kv_capacity_tokens,
        "predicted_kv_usage_max": each.kv_usage_max,
        "predicted_preemptions": each.preemptions,
        "predicted_slo": None if each.verdict is None or not case.slo else _MET[each.verdict.outlook],
        "predicted_missed": [_in_words(judgement) for judgement in _missed(each.verdict)],
        "predicted_case_s": each.case_s if summary is not None else None,
        "predicted_startup_s": each.startup_s if summary is not None else None,
        "gpus": case.gpus,
        "trouble": each.trouble,
        "notes": list(each.notes),
    }


def _cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value
