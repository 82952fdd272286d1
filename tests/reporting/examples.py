"""Fabricated cases for tests of the report: figures follow from made-up traces by the real metrics, so that they agree."""

from __future__ import annotations

from dataclasses import replace
from math import cos, exp, isnan, nan, sin

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.load.audit import Audit, Finding
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.metrics.registry import metric
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.objectives.gates import Comparison, Figure, Pair, compare
from pytest_inferbench.objectives.tolerance import parse_fail_on
from pytest_inferbench.objectives.verdict import Judgement, Objective, Outlook, Verdict
from pytest_inferbench.records.record import Planned, Record, Served
from tests.traces import MS, Row, lost, streamed, traces_of

HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>\x1b[31m'

Example = tuple[Record, Traces | None]


def steady_traces() -> Traces:
    """Ten requests, one after the other: TTFT 100 ms, TPOT 20 ms, E2E 1,100 ms, 510 tokens in 11 s."""
    return traces_of([streamed(100, 20, tokens=51, sent_ns=position * 1100 * MS) for position in range(10)])


def busy_traces(*, concurrency: int = 4, requests: int = 60, tokens: int = 64, lost_requests: int = 0, seed: int = 1) -> Traces:
    """A closed loop on a server that slows down as more users share it; never the same twice, and always the same."""
    free_ns = [0] * concurrency
    rows: list[Row] = []
    for position in range(requests):
        user = free_ns.index(min(free_ns))
        wobble = sin(position * 12.9898 + seed)
        # Short answers make for more prompts at once, and so for longer waits.
        ttft_ms = 30 + (14 if tokens > 16 else 18) * concurrency * exp(0.5 * wobble)
        itl_ms = 9 + 2.6 * concurrency * (1 + 0.12 * cos(position * 7.23 + seed))
        row = streamed(ttft_ms, itl_ms, tokens=tokens, sent_ns=free_ns[user])
        free_ns[user] = row.ended_ns + MS
        rows.append(row)
    broken = [lost(sent_ns=position * 500 * MS) for position in range(lost_requests)]
    return traces_of([*rows, *broken])


def case(case_id: str = "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4", *, concurrency: int = 4, model: str = "smollm2-135m") -> Case:
    return Case(
        id=case_id,
        suite="cpu",
        hardware="cpu",
        engine=EngineSpec(name="llamacpp"),
        model=model,
        tensor_parallel=1,
        traffic=Traffic(
            text="D(128,64)", input_tokens=Lengths(kind="fixed", first=128), output_tokens=Lengths(kind="fixed", first=64)
        ),
        load=Load(concurrency=concurrency, requests=60, warmup=4),
        slo=("ttft_p99 <= 250ms",),
    )


def judged(summary: Summary | None, name: str, statistic: str | None, limit: float) -> Judgement:
    """An objective ``<=`` (``>=`` for throughput), judged without any doubt."""
    unit, operator = metric(name).unit, ">=" if "throughput" in name else "<="
    actual = nan
    if summary is not None:
        actual = summary.scalars[name] if statistic is None else float(getattr(summary.distributions[name], statistic))
    met = actual >= limit if operator == ">=" else actual <= limit
    label = name if statistic is None else f"{name}_{statistic}"
    return Judgement(
        objective=Objective(
            metric=name,
            statistic=statistic,
            operator=operator,
            limit=limit,
            text=f"{label} {operator} {limit:g} {unit}".removesuffix(" 1"),
        ),
        outlook=Outlook.INVALID if isnan(actual) else Outlook.PASS if met else Outlook.FAIL,
        actual=actual,
        unit=unit,
        reason="" if met else f"{label} is {actual:.4g} {unit}",
    )


def verdict(*judgements: Judgement, reasons: tuple[str, ...] = ()) -> Verdict:
    worst = (Outlook.INVALID, Outlook.FAIL, Outlook.INCONCLUSIVE)
    outlooks = {each.outlook for each in judgements}
    return Verdict(
        outlook=next((each for each in worst if each in outlooks), Outlook.PASS), judgements=judgements, reasons=reasons
    )


def audit() -> Audit:
    return Audit(
        send_lag_ms_p50=0.0,
        send_lag_ms_p99=0.0,
        read_lag_ms_p99=0.041,
        merged_reads_share=0.0,
        loop_busy_share=0.12,
        steal_share=None,
        clock="kernel",
        clock_drift_ms=0.002,
        rate_asked_per_s=None,
        rate_achieved_per_s=3.1,
        resends=1,
        workers=1,
        token_source="tokenizer",
        cached_share=0.0,
        output_short_share=0.0,
    )


def record(traces: Traces | None = None, of_case: Case | None = None, *, ttft_limit_ms: float = 250) -> Record:
    """The record of a case, judged by ``ttft_p99`` and ``output_throughput``; passes as it stands."""
    of_case = of_case or case()
    summary = summarise(steady_traces() if traces is None else traces)
    return Record(
        run_id="2025-01-31-120000",
        node_id=f"suites/cpu.bench.yaml::{of_case.id}",
        case=of_case,
        simulated=False,
        verdict=verdict(judged(summary, "ttft", "p99", ttft_limit_ms), judged(summary, "output_throughput", None, 20)),
        summary=summary,
        audit=audit(),
        findings=(),
        served=Served(
            engine="llamacpp",
            engine_version="b5432",
            model=of_case.model,
            url="http://127.0.0.1:8090",
            command=("llama-server", "--model", "/models/a model.gguf", "--parallel", "4"),
            log=f"{of_case.id}/server.log",
            started_in_s=1.3,
        ),
        planned=Planned(seed=1, salt=7, sha256="0" * 64, requests=60, tokenizer="gguf"),
        folder=of_case.id,
        started_at="2025-01-31T12:00:00+00:00",
        wall_s=14.2,
        error=None,
        again=f'pytest suites/ -k "{of_case.id}"',
    )


def broken_record() -> Record:
    """A case whose server never came up."""
    base = record(of_case=case("cpu-llamacpp-missing-tp1-d128x64-c1", concurrency=1, model="missing"))
    error = "EngineNotReady: the server did not answer within 60 s\nllama_model_load: error loading model\nexit code 1"
    return replace(base, verdict=verdict(judged(None, "ttft", "p99", 250)), summary=None, audit=None, planned=None, error=error)


def hostile_record(traces: Traces) -> Record:
    """A case all of whose words try to break out of wherever they are put."""
    base = record(traces, case(f"cpu-{HOSTILE}-c2", concurrency=2, model=HOSTILE))
    missed = replace(judged(base.summary, "ttft", "p99", 1), reason=HOSTILE)
    missed = replace(missed, objective=replace(missed.objective, text=HOSTILE))
    assert base.served is not None
    return replace(
        base,
        verdict=Verdict(outlook=Outlook.FAIL, judgements=(missed,), reasons=(HOSTILE,)),
        findings=(Finding(what=HOSTILE, advice=HOSTILE, invalidates=True),),
        served=replace(
            base.served, model=HOSTILE, url=HOSTILE, log="hostile/server.log", command=(HOSTILE,), engine_version=HOSTILE
        ),
        error=HOSTILE,
        again=HOSTILE,
        folder="hostile",
    )


def hostile_traces() -> Traces:
    """Twenty requests, and one whose answer, quoted in the reason why it failed, tries to break out."""
    traces = busy_traces(concurrency=2, requests=20, lost_requests=1, seed=5)
    (row,) = traces.errors
    return replace(
        traces,
        errors={row: f"the answer was no JSON: {HOSTILE}"},
        request_id=tuple(f"{HOSTILE}{each}" for each in traces.request_id),
    )


def sweep(name: str = "d128x64", *, levels: tuple[int, ...] = (1, 2, 4, 8), tokens: int = 64, seed: int = 1) -> list[Example]:
    """Cases that differ only in load; the busiest misses its objective."""
    found: list[Example] = []
    for concurrency in levels:
        traces = busy_traces(concurrency=concurrency, tokens=tokens, seed=seed + concurrency)
        traffic = Traffic(
            text=f"D(128,{tokens})",
            input_tokens=Lengths(kind="fixed", first=128),
            output_tokens=Lengths(kind="fixed", first=tokens),
        )
        its_case = replace(case(f"cpu-llamacpp-smollm2-135m-tp1-{name}-c{concurrency}", concurrency=concurrency), traffic=traffic)
        found.append((record(traces, its_case), traces))
    return found


def whole_run() -> list[Example]:
    """A run with everything in it: two sweeps, failed requests, too few requests, a broken server, hostile words."""
    examples = [*sweep(), *sweep("d128x16", tokens=16, seed=40)]
    faulty = busy_traces(concurrency=2, requests=40, lost_requests=6, seed=9)
    base = record(faulty, replace(case("cpu-llamacpp-smollm2-135m-tp1-faulty-c2", concurrency=2), suite="faulty"))
    errors = judged(base.summary, "error_rate", None, 0)
    examples.append((replace(base, verdict=verdict(errors)), faulty))
    few = busy_traces(concurrency=1, requests=5, seed=3)
    base = record(few, replace(case("cpu-llamacpp-smollm2-135m-tp1-few-c1", concurrency=1), suite="few"))
    unsure = replace(
        judged(base.summary, "ttft", "p99", 250),
        outlook=Outlook.INCONCLUSIVE,
        reason="5 requests are too few for a p99; 459 more would tell",
    )
    examples.append((replace(base, verdict=verdict(unsure)), few))
    examples.append((broken_record(), None))
    hostile = hostile_traces()
    examples.append((hostile_record(hostile), hostile))
    return examples


def no_request() -> Traces:
    return traces_of([])


def all_failed(requests: int = 3) -> Traces:
    return traces_of([lost(Outcome.FAILED, sent_ns=position * MS) for position in range(requests)])


def comparisons(case_id: str = "cpu-llamacpp-smollm2-135m-tp1-d128x64-c4") -> tuple[Comparison, ...]:
    """A regression, an improvement, no change, and one that cannot be told, of one case."""
    after = (130.0, 131.0, 129.5), (70.0, 70.4, 70.1), (100.2, 100.0, 99.9), (100.0, 160.0, 130.0)
    before = Figure(runs=(100.0, 100.4, 99.8))
    tolerances = parse_fail_on("ttft_p50:5%,ttft_p90:5%,ttft_p99:5%,tpot_p50:5%")
    pairs = [
        Pair(case_id=case_id, tolerance=tolerance, old=before, new=Figure(runs=runs))
        for tolerance, runs in zip(tolerances, after, strict=True)
    ]
    return compare(pairs, noise=0.03)
