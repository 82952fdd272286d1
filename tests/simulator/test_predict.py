"""Predictions: figures of simulated times, objectives judged as measured ones are, and nothing made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Case, Load, Origin, Tool
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.metrics.books import contradictions
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.simulator.asked import Ask, measured_of
from pytest_inferbench.simulator.offline import Answer
from pytest_inferbench.simulator.predict import Prediction, deployment_of, gpu_hours, predict, servers_s, total_s, traces_of


def case_of(**fields: Any) -> Case:
    mapping: dict[str, Any] = {
        "hardware": "h100",
        "engine": "vllm",
        "model": "llama-3.1-8b",
        "traffic": "D(256,32)",
        "concurrency": 4,
        "requests": 40,
    }
    mapping |= fields
    if "rate" in fields:
        del mapping["concurrency"]
    return suite_from_mapping(mapping, "s", Origin(file="test")).cases()[0]


def figure(prediction: Prediction, metric: str, statistic: str = "p50") -> float:
    assert prediction.summary is not None, prediction.trouble
    return float(getattr(prediction.summary.distributions[metric], statistic))


def throughput(prediction: Prediction) -> float:
    assert prediction.summary is not None, prediction.trouble
    return prediction.summary.scalars["output_throughput"]


def test_a_prediction_has_all_that_was_asked_for() -> None:
    found = predict(case_of(slo=["ttft_p99 <= 10s", "tpot_p99 <= 1s"]))
    assert found.trouble is None
    assert found.fits is True
    assert found.summary is not None
    assert found.summary.counts.completed == 40
    assert found.summary.output_tokens == 40 * 32
    assert found.summary.prompt_tokens == 40 * 256
    assert found.verdict is not None
    assert found.verdict.outlook is Outlook.PASS
    assert found.kv_usage_max is not None
    assert 0 < found.kv_usage_max < 1
    assert found.kv_capacity_tokens is not None
    assert found.kv_capacity_tokens > 10_000
    assert found.case_s == pytest.approx(found.summary.window_s, rel=1e-6)


def test_an_objective_that_would_be_missed_is() -> None:
    found = predict(case_of(slo=["ttft_p99 <= 10s", "output_throughput >= 10000000 tok/s"]))
    assert found.verdict is not None
    assert [each.outlook for each in found.verdict.judgements] == [Outlook.PASS, Outlook.FAIL, Outlook.PASS]


def test_what_is_said_of_single_tokens_is_left_out_and_said() -> None:
    found = predict(case_of(slo=["itl_p99 <= 1ms", "ttft_p99 <= 10s"]))
    assert found.verdict is not None
    assert [each.objective.metric for each in found.verdict.judgements] == ["ttft", "error_rate"]
    assert found.notes == ("objectives on itl are not held: single tokens are not predicted",)


def test_the_same_seed_predicts_the_same() -> None:
    case = case_of(traffic="N(200,80)/(40,20)", rate=20.0)
    first, second = predict(case, seed=7), predict(case, seed=7)
    assert replace(first, took_s=0) == replace(second, took_s=0)
    assert predict(case, seed=8).summary != first.summary


@settings(max_examples=15, deadline=None)
@given(
    prompt=st.integers(16, 2000),
    output=st.integers(2, 200),
    users=st.integers(1, 64),
    tp=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 9),
)
def test_no_answer_begins_before_it_is_asked_for_nor_ends_before_it_begins(
    prompt: int, output: int, users: int, tp: int, seed: int
) -> None:
    case = case_of(traffic=f"D({prompt},{output})", concurrency=users, tensor_parallel=tp)
    found = predict(case, seed=seed)
    assert figure(found, "ttft") > 0
    assert figure(found, "e2e") >= figure(found, "ttft")
    assert found.summary is not None
    assert found.summary.output_tokens == 40 * output
    # A closed loop is never faster than its users: users / time of a request.
    assert found.summary.scalars["request_throughput"] <= users / (figure(found, "e2e", "mean") / 1e3) * 1.0001


def test_more_users_get_more_out_of_a_server_and_each_waits_longer() -> None:
    few, many = predict(case_of(concurrency=1)), predict(case_of(concurrency=32, requests=320))
    assert throughput(many) > throughput(few)
    assert figure(many, "tpot") > figure(few, "tpot")


def test_more_gpus_are_faster_and_dearer() -> None:
    one, two = predict(case_of()), predict(case_of(tensor_parallel=2))
    assert figure(two, "tpot") < figure(one, "tpot")
    assert two.case.gpus == 2


def test_weights_of_eight_bits_are_read_in_less_time() -> None:
    engine = {"name": "vllm", "args": {"quantization": "fp8"}}
    assert figure(predict(case_of(engine=engine)), "tpot") < figure(predict(case_of()), "tpot")


def test_a_model_that_does_not_fit_says_so_in_the_engines_words() -> None:
    found = predict(case_of(model="llama-3.1-70b"))
    assert found.fits is False
    assert found.summary is None
    assert found.trouble is not None
    assert "out of memory" in found.trouble


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({"model": "nobody/knows"}, "the shape of the model 'nobody/knows' is not known"),
        ({"engine": "no-such"}, "the engine 'no-such' cannot be simulated"),
        ({"traffic": "A(100)", "api": "speech"}, "traffic: how many tokens a model makes of a text to speak is its own affair"),
    ],
)
def test_what_is_not_known_is_said_and_nothing_is_made_up(fields: dict[str, Any], trouble: str) -> None:
    found = predict(case_of(**fields))
    assert found.summary is None
    assert found.verdict is None
    assert found.fits is None
    assert found.trouble is not None
    assert found.trouble.startswith(trouble)


def test_the_load_of_somebody_elses_tool_is_not_guessed() -> None:
    found = predict(replace(case_of(), tool=Tool(name="genai-bench", image="tool:1", results="/results")))
    assert found.summary is None
    assert found.trouble == "its load is that of genai-bench, a tool of its own, which is not known beforehand"


def test_a_request_that_is_too_long_fails_and_the_others_do_not() -> None:
    engine = {"name": "vllm", "args": {"max-model-len": 512}}
    found = predict(case_of(engine=engine, traffic="P(128,1024)/(16)", requests=60))
    assert found.summary is not None
    counts = found.summary.counts
    assert counts.failed + counts.completed == 60
    assert counts.failed > 5
    assert counts.completed > 5
    assert found.verdict is not None
    assert found.verdict.outlook is Outlook.FAIL
    assert "longer than the model's context" in " ".join(found.verdict.reasons)


def test_a_known_beginning_is_not_read_again() -> None:
    cold = case_of(traffic="D(2048,8)", concurrency=1)
    shared = case_of(traffic="D(2048,8)", concurrency=1, cache="shared", prefix={"tokens": 1920}, warmup=1)
    assert figure(predict(shared), "ttft") < figure(predict(cold), "ttft") / 2


def test_a_warm_cache_answers_at_once() -> None:
    cold, warm = case_of(traffic="D(2048,8)", concurrency=1), case_of(traffic="D(2048,8)", concurrency=1, cache="warm")
    assert figure(predict(warm), "ttft") < figure(predict(cold), "ttft") / 2
    found = predict(warm)
    assert found.summary is not None
    assert found.case_s > found.summary.window_s


def test_a_warm_cache_in_an_open_loop_is_filled_before_the_load() -> None:
    cold = case_of(traffic="D(2048,8)", rate=1.0)
    warm = case_of(traffic="D(2048,8)", rate=1.0, cache="warm")
    assert figure(predict(warm), "ttft") < figure(predict(cold), "ttft") / 2
    found = predict(warm)
    assert found.summary is not None
    assert found.summary.counts.completed == 40


def test_later_turns_know_what_the_earlier_ones_said() -> None:
    turns = case_of(traffic="D(1024,8)", concurrency=1, turns=4)
    found = predict(turns)
    assert found.summary is not None
    assert found.summary.counts.completed == 40
    # The fourth turn's prompt is four times as long, and only its own part is read.
    assert figure(found, "ttft", "max") < 3 * figure(found, "ttft", "p50")


def test_an_open_loop_waits_for_its_own_instants() -> None:
    case = case_of(rate=4.0)
    last_s = max(each.due_s for each in measured_of(case))
    found = predict(case)
    assert last_s < found.case_s < last_s + 10


def test_a_load_that_lasts_for_a_time_ends_with_it() -> None:
    case = replace(case_of(), load=Load(concurrency=4, requests=None, duration_s=5.0))
    found = predict(case)
    assert 5.0 <= found.case_s < 6.0


def test_users_that_start_one_after_the_other_wait_less() -> None:
    together = case_of(traffic="D(2048,32)", concurrency=16, requests=16)
    apart = replace(together, load=replace(together.load, ramp_up_s=16.0))
    assert figure(predict(apart), "ttft", "max") < figure(predict(together), "ttft", "max") / 2


def test_the_embedded_model_of_llamacpp_has_weights_of_eight_bits() -> None:
    case = case_of(hardware="cpu", engine="llamacpp", model="smollm2-135m")
    assert deployment_of(case).model.weight_dtype == "q8_0"
    assert deployment_of(case_of(model="smollm2-135m")).model.weight_dtype == "bf16"


def test_a_server_starts_once_whatever_it_answers() -> None:
    cases = [case_of(concurrency=1), case_of(concurrency=2), case_of(tensor_parallel=2)]
    found = [predict(each) for each in cases]
    assert servers_s(found) == found[0].startup_s + found[2].startup_s
    assert total_s(found) == pytest.approx(servers_s(found) + sum(each.case_s for each in found))
    one, two = found[0].startup_s + found[0].case_s + found[1].case_s, found[2].startup_s + found[2].case_s
    assert gpu_hours(found) == pytest.approx((one + 2 * two) / 3600)


def test_what_cannot_be_predicted_costs_nothing() -> None:
    assert gpu_hours([predict(case_of(model="nobody/knows"))]) == 0


def test_simulated_times_are_traces_whose_books_are_in_order() -> None:
    asks = [Ask(0.0, 10, 3), Ask(0.0, 20, 1), Ask(0.0, 30, 0), Ask(0.0, 40, 5)]
    answers = [
        Answer(arrival_s=0.0, first_token_s=0.1, last_token_s=0.3, output_tokens=3),
        Answer(arrival_s=0.0, first_token_s=0.2, last_token_s=0.2, output_tokens=1),
        Answer(arrival_s=0.0, last_token_s=0.4),
        Answer(arrival_s=0.5, refused=True),
    ]
    traces = traces_of(asks, answers, open_loop=False)
    assert contradictions(traces) == ()
    assert traces.outcome.tolist() == [0, 0, 0, 1]
    assert traces.errors == {3: "longer than the model's context, or than the whole cache"}
    summary = summarise(traces)
    assert summary.output_tokens == 4
    assert summary.distributions["ttft"].count == 2
    assert summary.distributions["tpot"].mean == pytest.approx(100)
    assert np.array_equal(traces.event_offset, [0, 2, 3, 3, 3])
