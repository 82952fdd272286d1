"""Loads without a server: closed forms, closed and open loops, turns, and what more load cannot make quicker."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.offline import Answer, Arrival, Outcome, answered, simulate
from pytest_inferbench.simulator.roofline import Chunk, max_tokens_per_s, min_prefill_s, min_tpot_s, step_time_s, step_work
from tests.simulator.deployments import DENSE, MIXTURE, WINDOWED, deployment

EXACTLY = 1e-12
# That drawing takes long says only that the machine is busy.
patient = settings(suppress_health_check=[HealthCheck.too_slow])

subjects = st.builds(
    lambda model, engine: deployment(model, max_batched_tokens=64, max_running=4, **engine),
    st.sampled_from([DENSE, WINDOWED, MIXTURE]),
    st.sampled_from([{}, {"cache_tokens": 16 * 30}, {"mixed_steps": False}, {"mixed_steps": False, "chunked_prefill": False}]),
)
loads = st.lists(
    st.builds(
        Arrival,
        prompt_tokens=st.integers(1, 200),
        output_tokens=st.integers(1, 60),
        at_s=st.floats(0, 0.5),
        follows=st.booleans(),
    ),
    min_size=1,
    max_size=15,
)


def in_order(load: list[Arrival]) -> list[Arrival]:
    """Lone requests in the order of their instants, as an open loop's plan has them."""
    return sorted((replace(each, follows=False) for each in load), key=lambda each: each.at_s)


def ends(outcome: Outcome) -> list[float]:
    return [each.last_token_s for each in outcome.answers if each.last_token_s is not None]


# --- closed forms -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.integers(2, 300))
@patient
def test_a_lone_request_has_its_closed_form(prompt: int, output: int) -> None:
    subject = deployment()
    outcome = simulate(subject, [Arrival(prompt_tokens=prompt, output_tokens=output, at_s=1.5)])
    pieces = [Chunk(min(2048, prompt - before), before) for before in range(0, prompt, 2048)]
    ttft_s = sum(step_time_s(subject, step_work(DENSE, prompts=[piece])) for piece in pieces)
    decode_s = sum(step_time_s(subject, step_work(DENSE, contexts=[prompt + each])) for each in range(1, output))
    (answer,) = outcome.answers
    assert (answer.arrival_s, answer.output_tokens, answer.refused) == (1.5, output, False)
    assert answer.ttft_s == pytest.approx(ttft_s, rel=1e-9)
    assert answer.tpot_s == pytest.approx(decode_s / (output - 1), rel=1e-9)
    assert outcome.duration_s == answer.last_token_s == pytest.approx(1.5 + ttft_s + decode_s, rel=EXACTLY)
    assert (outcome.steps, outcome.generation_tokens, outcome.prompt_tokens) == (len(pieces) + output - 1, output, prompt)


@given(st.integers(1, 30), st.integers(1, 60), st.integers(2, 100), st.integers(1, 3))
@patient
def test_equal_users_of_a_closed_loop_go_in_lock_step(users: int, prompt: int, output: int, laps: int) -> None:
    subject = deployment(prefix_caching=False)
    outcome = simulate(subject, repeat(Arrival(prompt_tokens=prompt, output_tokens=output), users * laps), users=users)
    lap_s = step_time_s(subject, step_work(DENSE, prompts=[Chunk(prompt)] * users)) + sum(
        step_time_s(subject, step_work(DENSE, contexts=[prompt + each] * users)) for each in range(1, output)
    )
    assert ends(outcome) == pytest.approx([lap_s * (lap + 1) for lap in range(laps) for _ in range(users)], rel=1e-9)
    assert [each.arrival_s for each in outcome.answers[:users]] == [0.0] * users
    assert (outcome.running_max, outcome.waiting_max) == (users, 0)


# --- loops ------------------------------------------------------------------------------------------------------------------


def test_an_open_loop_sends_at_its_own_instants_whatever_is_going_on() -> None:
    load = [Arrival(prompt_tokens=100, output_tokens=500, at_s=at_s) for at_s in (0.0, 0.25, 0.25, 60.0)]
    outcome = simulate(deployment(), load)
    assert [each.arrival_s for each in outcome.answers] == [0.0, 0.25, 0.25, 60.0]
    # Between the third one's end and the fourth one nothing runs.
    assert ends(outcome)[2] < 60.0 < ends(outcome)[3] == outcome.duration_s


def test_a_request_that_comes_during_a_step_is_in_the_next_one() -> None:
    outcome = simulate(deployment(), [Arrival(prompt_tokens=2000, output_tokens=2, at_s=at_s) for at_s in (0.0, 0.001)])
    first, second = outcome.answers
    assert first.first_token_s is not None
    assert second.first_token_s is not None
    assert first.first_token_s > second.arrival_s
    assert second.first_token_s == first.last_token_s


def test_a_user_of_a_closed_loop_waits_before_the_next_request_as_long_as_that_says() -> None:
    load = [Arrival(prompt_tokens=10, output_tokens=5, at_s=wait_s) for wait_s in (0.0, 2.0)]
    first, second = simulate(deployment(), load, users=1).answers
    assert first.last_token_s is not None
    assert second.arrival_s == first.last_token_s + 2.0


@pytest.mark.parametrize("users", [None, 1])
def test_the_next_turn_comes_after_the_end_of_the_one_before(users: int | None) -> None:
    load = [
        Arrival(prompt_tokens=10, output_tokens=5),
        Arrival(prompt_tokens=20, output_tokens=5, at_s=1.0, follows=True),
        Arrival(prompt_tokens=30, output_tokens=5, at_s=0.5),
    ]
    first, second, other = simulate(deployment(), load, users=users).answers
    assert first.last_token_s is not None
    assert second.last_token_s is not None
    assert second.arrival_s == first.last_token_s + 1.0
    assert other.arrival_s == (0.5 if users is None else second.last_token_s + 0.5)


def test_turns_that_begin_alike_find_what_is_cached() -> None:
    load = [
        Arrival(prompt_tokens=160, output_tokens=5, prefix=tuple(range(10))),
        Arrival(prompt_tokens=320, output_tokens=5, prefix=tuple(range(20)), follows=True),
    ]
    outcome = simulate(deployment(), load)
    assert (outcome.prefix_queries, outcome.prefix_hits) == (480, 160)


def test_a_closed_loop_without_end_ends_at_its_time() -> None:
    outcome = simulate(deployment(), repeat(Arrival(prompt_tokens=100, output_tokens=50)), users=4, until_s=10.0)
    assert all(each.arrival_s < 10.0 for each in outcome.answers)
    assert len(answered(outcome.answers)) == len(outcome.answers) > 40
    assert 10.0 <= outcome.duration_s < 11.0


def test_a_request_that_is_too_long_is_refused_and_the_rest_goes_on() -> None:
    load = [Arrival(prompt_tokens=prompt, output_tokens=5) for prompt in (40_000, 10)]
    refused, fine = simulate(deployment(), load, users=1).answers
    assert (refused.refused, refused.last_token_s, refused.ttft_s, refused.tpot_s) == (True, None, None, None)
    assert (fine.refused, fine.output_tokens) == (False, 5)
    assert answered([refused, fine]) == [fine]


def test_an_embedding_has_an_end_and_no_first_token() -> None:
    (answer,) = simulate(deployment(), [Arrival(prompt_tokens=100, output_tokens=0)]).answers
    assert (answer.first_token_s, answer.ttft_s, answer.tpot_s, answer.output_tokens) == (None, None, None, 0)
    assert answer.last_token_s is not None


def test_no_requests_are_no_time() -> None:
    outcome = simulate(deployment(), [])
    assert (outcome.answers, outcome.duration_s, outcome.steps) == ((), 0.0, 0)


def test_a_single_token_has_no_time_per_token() -> None:
    assert Answer(arrival_s=0.0, first_token_s=1.0, last_token_s=1.0, output_tokens=1).tpot_s is None


def test_a_closed_loop_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a closed loop needs at least 1 user, not 0$"):
        simulate(deployment(), [], users=0)


# --- whatever comes ---------------------------------------------------------------------------------------------------------


def test_a_prompt_that_was_sent_back_while_it_was_read_counts_once() -> None:
    subject = deployment(WINDOWED, max_batched_tokens=64, max_running=4, cache_tokens=480)
    load = [Arrival(prompt_tokens=tokens, output_tokens=answer) for tokens, answer in ((1, 48), (110, 4), (145, 1))]
    outcome = simulate(subject, load)
    assert outcome.preemptions
    assert outcome.prompt_tokens == 1 + 110 + 145


@given(subjects, loads, st.sampled_from([None, 1, 3]))
@patient
def test_everything_is_answered_once_and_the_same_load_gives_the_same_times(
    subject: Deployment, load: list[Arrival], users: int | None
) -> None:
    outcome = simulate(subject, load, users=users)
    assert outcome == simulate(subject, iter(load), users=users)
    assert [each.output_tokens for each in outcome.answers] == [each.output_tokens for each in load]
    assert outcome.generation_tokens == sum(each.output_tokens for each in load)
    assert outcome.prompt_tokens == sum(each.prompt_tokens for each in load)
    assert 0 < outcome.kv_usage_max <= 1
    assert outcome.running_max <= subject.engine.max_running
    assert outcome.duration_s == max(ends(outcome))


@given(subjects, loads)
@patient
def test_no_answer_beats_the_roofline(subject: Deployment, load: list[Arrival]) -> None:
    outcome = simulate(subject, in_order(load))
    for request, answer in zip(in_order(load), outcome.answers, strict=True):
        assert answer.ttft_s is not None
        assert answer.ttft_s > min_prefill_s(subject, request.prompt_tokens)
        assert answer.tpot_s is None or answer.tpot_s > min_tpot_s(subject, request.prompt_tokens)
    assert outcome.generation_tokens + outcome.prompt_tokens < max_tokens_per_s(subject) * outcome.duration_s


@given(subjects, loads, st.integers(1, 200), st.integers(1, 60), st.floats(0, 0.5))
@patient
def test_one_more_request_that_comes_last_makes_no_other_answer_quicker(
    subject: Deployment, load: list[Arrival], prompt: int, output: int, after_s: float
) -> None:
    before = in_order(load)
    last = Arrival(prompt_tokens=prompt, output_tokens=output, at_s=before[-1].at_s + after_s)
    alone, beside = simulate(subject, before), simulate(subject, [*before, last])
    for quick, slow in zip(alone.answers, beside.answers[:-1], strict=True):
        assert quick.first_token_s is not None
        assert quick.last_token_s is not None
        assert slow.first_token_s is not None
        assert slow.last_token_s is not None
        assert slow.first_token_s >= quick.first_token_s
        assert slow.last_token_s >= quick.last_token_s


@given(st.integers(1, 60), st.integers(2, 50), st.integers(1, 20))
@patient
def test_latency_and_throughput_do_not_fall_with_users_in_lock_step(prompt: int, output: int, users: int) -> None:
    fewer, more = (
        simulate(
            deployment(prefix_caching=False), repeat(Arrival(prompt_tokens=prompt, output_tokens=output), 2 * count), users=count
        )
        for count in (users, users + 1)
    )
    for less, as_much in zip(fewer.answers, more.answers, strict=False):
        assert less.ttft_s is not None
        assert as_much.ttft_s is not None
        assert less.tpot_s is not None
        assert as_much.tpot_s is not None
        assert as_much.ttft_s >= less.ttft_s * (1 - 1e-9)
        assert as_much.tpot_s >= less.tpot_s * (1 - 1e-9)
    assert more.generation_tokens / more.duration_s >= fewer.generation_tokens / fewer.duration_s * (1 - 1e-9)
