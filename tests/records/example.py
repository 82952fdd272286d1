"""A record to write and read in tests."""

from __future__ import annotations

from dataclasses import replace

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.load.audit import Audit, Finding
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.objectives.judge import Sureness, judge
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.records.record import Planned, Record, Served
from tests.traces import lost, streamed, traces_of

RUN_ID = "20261122-074501-3f9c"
SECRET = "verySecret1234567"
BODY = f'{{"seed": 1, "auth": {{"api_key": "{SECRET}"}}}}'

CASE = Case(
    id="cpu-llamacpp-smollm2-135m-tp1-d128x64-c4",
    suite="cpu",
    hardware="cpu",
    engine=EngineSpec(name="llamacpp", args=(("ctx", 2048), ("flag", None)), env=(("OMP_NUM_THREADS", "2"),)),
    model="smollm2-135m",
    tensor_parallel=1,
    traffic=Traffic(
        text="D(128,64)",
        input_tokens=Lengths(kind="fixed", first=128),
        output_tokens=Lengths(kind="fixed", first=64),
    ),
    load=Load(concurrency=4, requests=3),
    slo=("ttft_p99 <= 500ms",),
)
AUDIT = Audit(
    send_lag_ms_p50=0.0,
    send_lag_ms_p99=0.0,
    read_lag_ms_p99=0.02,
    merged_reads_share=0.0,
    loop_busy_share=0.1,
    steal_share=None,
    clock="kernel",
    clock_drift_ms=0.0,
    rate_asked_per_s=None,
    rate_achieved_per_s=4.0,
    resends=0,
    workers=1,
    token_source="tokenizer",
    cached_share=None,
    output_short_share=0.0,
)
SERVED = Served(
    engine="llamacpp",
    engine_version="b7010",
    model="smollm2",
    url="http://127.0.0.1:8090",
    command=("llama-server", "--port", "8090"),
    log="engine.log",
    started_in_s=1.3,
)
PLANNED = Planned(seed=1, salt=2, sha256="ab" * 32, requests=3, tokenizer="gguf")


def example_traces() -> Traces:
    return traces_of([streamed(), streamed(120, sent_ns=10**9), lost(Outcome.TIMED_OUT, "no token, at all", sent_ns=5)])


def example_record(traces: Traces | None = None, *, case: Case = CASE) -> Record:
    """A record of requests that went well, all but one."""
    traces = example_traces() if traces is None else traces
    summary = summarise(traces)
    return Record(
        run_id=RUN_ID,
        node_id="suites/cpu.bench.yaml::" + case.id,
        case=case,
        simulated=False,
        verdict=judge(parse_objectives(case.slo), traces, summary=summary, sureness=Sureness(confidence=0.0)),
        summary=summary,
        audit=AUDIT,
        findings=(Finding(what="2 requests were sent again", advice="nothing to do", invalidates=False),),
        served=SERVED,
        planned=PLANNED,
        folder=case.id,
        started_at="2026-11-22T07:45:01+00:00",
        wall_s=2.5,
        error=None,
        again=f'pytest suites/ -k "{case.id}"',
    )


def broken_record() -> Record:
    """A record of a case whose server never came up."""
    return replace(
        example_record(), summary=None, audit=None, served=None, planned=None, findings=(), error="engine died: no memory"
    )


def secretive_record() -> Record:
    """A record with a secret in every place that a person or a server may have put one."""
    engine = EngineSpec(name="vllm", args=(("api-key", SECRET), ("port", 1)), env=(("HF_TOKEN", SECRET), ("A", "${HF_TOKEN}")))
    case = replace(CASE, engine=engine, model=f"https://me:{SECRET}@hub.example/model", extra_body=BODY)
    record = example_record(case=case)
    verdict = replace(record.verdict, reasons=(f"1 x HTTP 401: api_key={SECRET}",))
    served = replace(SERVED, url=f"http://u:{SECRET}@h:1", command=("vllm", "--api-key", SECRET, f"--hf-token={SECRET}"))
    finding = Finding(what=f"sent with Authorization: Bearer {SECRET}", advice="none", invalidates=False)
    return replace(
        record, verdict=verdict, served=served, findings=(finding,), error=f"token={SECRET}", again=f"x --password {SECRET}"
    )
