"""Loads that end because their verdict is sure: at a server of known manners, and at a real one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case, EngineSpec
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.process import start
from pytest_inferbench.load.drive import Driven, Driver
from pytest_inferbench.load.loopback.process import Loopback
from pytest_inferbench.load.loopback.schedule import Schedule
from pytest_inferbench.load.plan import Recipe, make_plan
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import counter_for
from pytest_inferbench.metrics.books import contradictions
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.objectives.judge import Sureness, judge
from pytest_inferbench.objectives.limits import goodput_limits
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.stopping import stopper_for
from pytest_inferbench.objectives.verdict import Outlook
from tests.load.cases import case_of
from tests.load.driving import endpoint_of
from tests.scripted import Answer, Scripted

MOST = 6000
BUSY = Answer(head=b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")


def case(traffic: str = "D(8,2)", **load: Any) -> Case:
    """A case that ends when its verdict is sure."""
    made = case_of(**{"requests": MOST, "stop_when_sure": True, **load})
    return replace(made, traffic=parse_traffic(traffic))


def driven(made: Case, at: Endpoint, slo: Sequence[str], *, workers: int | None = None) -> tuple[Driven, Outlook]:
    """What came of its load, and the verdict on all of it."""
    objectives = parse_objectives(slo)
    recipe = Recipe(
        case=made, model=at.model, seeds=Seeds(seed=1, salt=2), counter=counter_for(at.tokenizer), extra_body=at.extra_body
    )
    plan = make_plan(recipe)
    try:
        found = Driver(made, at, plan, id_prefix="run", on_progress=lambda _: None).run(
            workers=workers, stopper=stopper_for(made, objectives)
        )
    finally:
        plan.close()
    assert contradictions(found.measured) == ()
    summary = summarise(found.measured, goodput_limits=goodput_limits(objectives))
    return found, judge(objectives, found.measured, summary=summary, sureness=Sureness(looks=found.looks)).outlook


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "load", [{}, {"requests": None, "duration_s": 60.0}, {"warmup": 5, "max_in_flight": 200}], ids=["requests", "time", "warm-up"]
)
def test_a_verdict_that_is_sure_ends_the_load_with_that_verdict(load: dict[str, Any], workers: int) -> None:
    """Whether requests complete does not depend on how busy this machine is, and one or none in flight is steady."""
    slo = ["error_rate <= 50%"]
    with Loopback.start(Schedule(ttft_ms=5, itl_ms=2, tokens=2)) as server:
        made = case(rate_per_s=100.0, arrival="constant", **load)
        found, outlook = driven(made, endpoint_of(server.url), slo, workers=workers)
    assert outlook is Outlook.PASS
    assert found.measured.completed.all(), "what was on the wire has ended"
    assert found.sure is not None
    assert 200 <= len(found.measured) == found.sure.at < MOST
    assert found.sure.why == "sure at 95 % that error_rate <= 0.5 is met"
    assert found.sure.looks == found.looks > 1
    assert len(found.warmup) == load.get("warmup", 0)


def test_a_server_that_refuses_is_found_out_at_the_first_look() -> None:
    with Scripted([BUSY], repeat=True) as server:
        found, outlook = driven(case(rate_per_s=200.0, arrival="constant"), endpoint_of(server.url), ["ttft_p99 <= 10s"])
    assert outlook is Outlook.FAIL
    assert found.sure is not None
    assert found.sure.at < MOST
    assert found.sure.why == "sure at 95 % that ttft_p99 <= 10000ms is missed"


@pytest.fixture(scope="module")
def one_core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """llama.cpp with SmolLM2-135M on one core, so that it does not wait for a second one that others use."""
    engine = EngineSpec(name="llamacpp", args=(("parallel", 2), ("ctx", 1024), ("threads", 1)))
    try:
        spec = LlamaCppEngine().server(replace(case_of(), engine=engine, model="smollm2-135m"))
    except EngineError as error:
        pytest.skip(str(error))
    server = start(spec, log_path=tmp_path_factory.mktemp("llamacpp") / "server.log")
    yield server.endpoint
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slo", "outlook"),
    [
        (["ttft_p90 <= 60s", "e2e_p50 <= 60s"], Outlook.PASS),
        (["ttft_p50 <= 1ms"], Outlook.FAIL),
    ],
    ids=["far below the limit", "far above it"],
)
def test_a_real_server_far_from_the_limit_is_judged_with_a_part_of_the_requests(
    one_core: Endpoint, slo: list[str], outlook: Outlook
) -> None:
    """How alike its requests are, and so how busy this machine is, matters where a limit is nearer."""
    # Without the template of a chat, which is longer than the prompt.
    made = replace(case("D(4,2)", concurrency=2, warmup=4, requests=2268, duration_s=400.0), api="completions")
    # Of two tokens that are no whole character the server sends nothing, which counts as an error.
    found, judged = driven(made, one_core, [*slo, "error_rate <= 5%"])
    assert judged is outlook
    assert found.sure is not None
    assert 299 <= found.sure.at < 400, "the first look, and who had ended by then"
