from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pytest_inferbench.cases.case import Lengths, Load, Traffic
from pytest_inferbench.records.export.llm_d import files, report
from tests.records.example import CASE, SECRET, secretive_record
from tests.records.export.measured import exportable, uneven_traces
from tests.traces import Row, streamed, traces_of

TIME, TOKEN_TIME, TOKENS, REQUESTS = "s", "s/token", "tokens/s", "queries/s"


class Strict(BaseModel):
    """Nothing that the schema does not know."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Statistics(Strict):
    units: Literal["s", "ms", "s/token", "ms/token", "tokens/s", "queries/s", "count"]
    mean: float
    stddev: float | None = Field(None, ge=0)
    min: float | None = None
    p0p1: float | None = None
    p1: float | None = None
    p5: float | None = None
    p10: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p99p9: float | None = None
    max: float | None = None


class Latency(Strict):
    time_to_first_token: Statistics | None = None
    normalized_time_per_output_token: Statistics | None = None
    time_per_output_token: Statistics | None = None
    inter_token_latency: Statistics | None = None
    request_latency: Statistics | None = None


class Throughput(Strict):
    input_token_rate: Statistics | None = None
    output_token_rate: Statistics | None = None
    total_token_rate: Statistics | None = None
    request_rate: Statistics | None = None


class Requests(Strict):
    total: int = Field(ge=0)
    failures: int | None = Field(None, ge=0)
    incomplete: int | None = Field(None, ge=0)
    input_length: Statistics | None = None
    output_length: Statistics | None = None


class Aggregate(Strict):
    requests: Requests
    latency: Latency
    throughput: Throughput


class Performance(Strict):
    aggregate: Aggregate


class Results(Strict):
    request_performance: Performance


class Time(Strict):
    start: str
    end: str
    duration: str


class Run(Strict):
    uid: str
    eid: str | None = None
    time: Time
    description: str | None = None
    keywords: list[str] | None = None


class Parallelism(Strict):
    tp: int = Field(ge=0)
    dp: int = Field(ge=0)
    dp_local: int = Field(ge=0)
    workers: int = Field(ge=0)
    ep: int = Field(ge=1)
    pp: int = Field(ge=1)


class Accelerator(Strict):
    model: str
    count: int = Field(ge=0)
    parallelism: Parallelism


class Model(Strict):
    name: str


class Engine(Strict):
    kind: Literal["inference_engine"]
    tool: str
    tool_version: str
    role: Literal["replica", "prefill", "decode"]
    replicas: int = Field(ge=1)
    model: Model
    accelerator: Accelerator


class Native(Strict):
    args: dict[str, Any] | None = None
    envars: dict[str, Any] | None = None
    config: Any | None = None


class Metadata(Strict):
    label: str
    cfg_id: str


class Component(Strict):
    metadata: Metadata
    standardized: Engine
    native: Native


class SequenceLength(Strict):
    distribution: Literal["fixed", "gaussian", "uniform", "other"]
    value: float = Field(ge=0)
    std_dev: float | None = Field(None, ge=0)
    min: int | None = Field(None, ge=0)
    max: int | None = Field(None, ge=1)


class Turns(Strict):
    enabled: bool
    max_turns: SequenceLength


class LoadStandardized(Strict):
    tool: str
    tool_version: str
    source: Literal["random", "sampled", "unknown"]
    input_seq_len: SequenceLength
    output_seq_len: SequenceLength | None = None
    multi_turn: Turns | None = None
    rate_qps: float | None = Field(None, gt=0)
    concurrency: int | None = Field(None, ge=1)


class LoadMetadata(Strict):
    cfg_id: str | None = None
    description: str | None = None


class LoadModel(Strict):
    metadata: LoadMetadata
    standardized: LoadStandardized
    native: Native


class Scenario(Strict):
    stack: list[Component]
    load: LoadModel


class Report(Strict):
    """Benchmark Report 0.2, as far as it is written here; the units a metric may have are checked beside it."""

    version: Literal["0.2"]
    run: Run
    scenario: Scenario
    results: Results


def read(text: str) -> Report:
    found = Report.model_validate_json(text)
    aggregate = found.results.request_performance.aggregate
    units = {name: each["units"] for name, each in aggregate.latency.model_dump().items() if each}
    allowed = {"time_to_first_token": TIME, "request_latency": TIME}
    assert all(unit == allowed.get(name, TOKEN_TIME) for name, unit in units.items())
    rates = {name: each["units"] for name, each in aggregate.throughput.model_dump().items() if each}
    assert all(unit == (REQUESTS if name == "request_rate" else TOKENS) for name, unit in rates.items())
    return found


UNIFORM = Traffic(
    text="U(10,20)/(5,9)",
    input_tokens=Lengths(kind="uniform", first=10, second=20),
    output_tokens=Lengths(kind="uniform", first=5, second=9),
    turns=3,
)
NORMAL = Traffic(
    text="N(480,240)/(300,150)",
    input_tokens=Lengths(kind="normal", first=480, second=240),
    output_tokens=Lengths(kind="normal", first=300, second=150),
)
DRAWN = Traffic(text="dataset", input_tokens=Lengths(kind="trace"), output_tokens=Lengths(kind="trace"))


@pytest.mark.parametrize("traffic", [CASE.traffic, UNIFORM, NORMAL, DRAWN])
@pytest.mark.parametrize("load", [CASE.load, Load(rate_per_s=2.5, arrival="poisson")])
def test_a_report_is_valid(traffic: Traffic, load: Load) -> None:
    (file,) = files([exportable(uneven_traces(), case=replace(CASE, traffic=traffic, load=load))]).files
    found = read(file.content)
    assert found.scenario.load.standardized.concurrency == load.concurrency
    assert found.scenario.load.standardized.rate_qps == load.rate_per_s


def test_a_report_of_a_request_without_tokens_is_valid() -> None:
    (file,) = files([exportable(traces_of([Row(end_ns=10**6, output_tokens=0)]))]).files
    assert read(file.content).results.request_performance.aggregate.latency.time_to_first_token is None


def test_figures_are_inference_perfs() -> None:
    aggregate = report(exportable(uneven_traces()))["results"]["request_performance"]["aggregate"]
    assert aggregate["latency"]["normalized_time_per_output_token"]["mean"] == pytest.approx((0.21 / 4 + 0.03) / 2)
    assert aggregate["latency"]["inter_token_latency"]["min"] == 0.0
    assert aggregate["throughput"]["output_token_rate"] == {"units": TOKENS, "mean": pytest.approx(5 / 1.08)}
    assert (aggregate["requests"]["total"], aggregate["requests"]["failures"]) == (3, 1)


def test_a_simulated_case_is_marked_where_the_schema_lets_one() -> None:
    found = read(files([exportable(traces_of([streamed()]), simulated=True)]).files[0].content)
    assert found.run.description is not None
    assert found.run.description.startswith("Simulated: nothing in this report was measured on real hardware.")
    assert found.run.keywords is not None
    assert "simulated" in found.run.keywords
    assert found.scenario.stack[0].standardized.accelerator.model == "simulated-cpu"
    assert found.scenario.load.standardized.tool.startswith("simulated-")


def test_the_file_is_json_and_so_yaml() -> None:
    (file,) = files([exportable()]).files
    assert file.path == f"benchmark_report_v0.2_{CASE.id}.yaml"
    assert json.loads(file.content)["version"] == "0.2"


def test_no_secret_of_the_engine_is_in_it() -> None:
    case = replace(exportable(), record=secretive_record())
    assert SECRET not in json.dumps(report(case)["scenario"])
