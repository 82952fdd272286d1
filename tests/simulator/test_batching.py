"""Continuous batching: who is in a step, what it costs, and that no token is lost or given twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.batching import Batcher, ContextTooLong, Job, Step
from pytest_inferbench.simulator.deployment import Deployment
from pytest_inferbench.simulator.kv_cache import DoesNotFit
from pytest_inferbench.simulator.roofline import Chunk, step_time_s, step_work
from tests.simulator.deployments import DENSE, GPU, MIXTURE, WINDOWED, deployment

EXACTLY = 1e-12
# That drawing takes long says only that the machine is busy.
patient = settings(suppress_health_check=[HealthCheck.too_slow])

# A cache of few blocks, so that jobs get in each other's way, under engines of all kinds.
crowded = st.builds(
    lambda model, blocks, batched, engine: deployment(
        model, max_batched_tokens=batched, max_running=8, cache_tokens=16 * blocks, **engine
    ),
    st.sampled_from([DENSE, WINDOWED, MIXTURE]),
    st.integers(20, 40),
    st.sampled_from([8, 64, 2048]),
    st.sampled_from(
        [
            {},
            {"prefix_caching": False},
            {"mixed_steps": False},
            {"mixed_steps": False, "chunked_prefill": False},
            {"chunked_prefill": False, "reserves_answers": True},
            {"reserves_answers": True},
        ]
    ),
)


def blocks_of(family: int, tokens: int) -> tuple[int, ...]:
    return tuple(family * 1000 + position for position in range(tokens // 16))


@st.composite
def jobs(draw: st.DrawFn) -> list[Job]:
    """Up to a dozen, some with a beginning in common."""
    made = []
    for number in range(draw(st.integers(1, 12))):
        prompt, output, family = draw(st.integers(1, 120)), draw(st.integers(0, 60)), draw(st.integers(0, 2))
        prefix = blocks_of(family, prompt + (output if family == 2 else 0)) if family else ()
        made.append(Job(id=f"job-{number}", prompt_tokens=prompt, output_tokens=output, prefix=prefix))
    return made


def job(name: str = "a", prompt: int = 100, output: int = 10, prefix: tuple[int, ...] = ()) -> Job:
    return Job(id=name, prompt_tokens=prompt, output_tokens=output, prefix=prefix)


def step(batcher: Batcher) -> Step:
    found = batcher.begin_step()
    assert found is not None
    return found


def drained(batcher: Batcher) -> list[Step]:
    """All steps until there is nothing to do; many more than any of these tests needs is an endless loop."""
    steps = []
    while (each := batcher.begin_step()) is not None:
        steps.append(each)
        assert len(steps) < 20_000
    return steps


# --- closed forms -----------------------------------------------------------------------------------------------------------


def test_nothing_to_do_is_no_step() -> None:
    batcher = Batcher(deployment())
    assert batcher.begin_step() is None
    assert (batcher.steps, batcher.running, batcher.waiting, batcher.kv_usage) == (0, 0, 0, 0.0)


@given(st.sampled_from([DENSE, WINDOWED, MIXTURE]), st.integers(1, 5000), st.integers(1, 40), st.sampled_from([1, 4]))
@patient
def test_a_lone_request_takes_its_pieces_and_then_a_step_a_token(
    model: object, prompt: int, output: int, tensor_parallel: int
) -> None:
    assert isinstance(model, type(DENSE))
    subject = deployment(model, tensor_parallel=tensor_parallel)
    batcher = Batcher(subject)
    batcher.add(job(prompt=prompt, output=output))
    durations = [each.duration_s for each in drained(batcher)]
    pieces = [Chunk(min(2048, prompt - before), before) for before in range(0, prompt, 2048)]
    expected = [step_time_s(subject, step_work(model, prompts=[piece])) for piece in pieces]
    expected += [step_time_s(subject, step_work(model, contexts=[prompt + each])) for each in range(1, output)]
    assert durations == pytest.approx(expected, rel=EXACTLY)


@given(st.sampled_from([DENSE, WINDOWED, MIXTURE]), st.integers(1, 16), st.integers(1, 120), st.integers(2, 40))
@patient
def test_equal_requests_go_in_lock_step(model: object, count: int, prompt: int, output: int) -> None:
    assert isinstance(model, type(DENSE))
    subject = deployment(model, prefix_caching=False)
    batcher = Batcher(subject)
    names = tuple(str(number) for number in range(count))
    for name in names:
        batcher.add(job(name, prompt, output))
    steps = drained(batcher)
    assert [each.emitted for each in steps] == [names] * output
    assert [each.finished for each in steps] == [()] * (output - 1) + [names]
    expected = [step_time_s(subject, step_work(model, prompts=[Chunk(prompt)] * count))]
    expected += [step_time_s(subject, step_work(model, contexts=[prompt + each] * count)) for each in range(1, output)]
    assert [each.duration_s for each in steps] == pytest.approx(expected, rel=EXACTLY)


@given(st.integers(1, 120), st.integers(2, 30), st.integers(1, 15))
@patient
def test_in_lock_step_one_more_request_makes_no_step_shorter(prompt: int, output: int, count: int) -> None:
    durations = []
    for concurrency in (count, count + 1):
        batcher = Batcher(deployment(prefix_caching=False))
        for number in range(concurrency):
            batcher.add(job(str(number), prompt, output))
        durations.append([each.duration_s for each in drained(batcher)])
    assert all(more >= less for less, more in zip(*durations, strict=True))


# --- who is in a step -------------------------------------------------------------------------------------------------------


def test_answers_come_first_and_a_prompt_gets_what_is_left_of_the_budget() -> None:
    batcher = Batcher(deployment(max_batched_tokens=64, max_running=8))
    batcher.add(job("a", 10, 20))
    step(batcher)
    batcher.add(job("b", 150, 5))
    assert [(each.decode_tokens, each.prompt_tokens, each.emitted) for each in (step(batcher), step(batcher), step(batcher))] == [
        (1, 63, ("a",)),
        (1, 63, ("a",)),
        (1, 24, ("a", "b")),
    ]


def test_prompts_share_a_step_in_the_order_in_which_they_came() -> None:
    batcher = Batcher(deployment(max_batched_tokens=64, max_running=8))
    for name in "abc":
        batcher.add(job(name, 30, 3))
    first, second = step(batcher), step(batcher)
    assert (first.emitted, first.prompt_tokens) == (("a", "b"), 64)
    assert (second.emitted, second.prompt_tokens, second.decode_tokens) == (("a", "b", "c"), 26, 2)


def test_no_more_than_max_running_are_in_a_step() -> None:
    batcher = Batcher(deployment(max_running=2))
    for name in "abc":
        batcher.add(job(name, 10, 2))
    assert step(batcher).emitted == ("a", "b")
    assert (batcher.running, batcher.waiting) == (2, 1)
    # Both end with this step, but hold their slots in it.
    assert step(batcher).finished == ("a", "b")
    assert step(batcher).emitted == ("c",)


def test_an_engine_without_mixed_steps_lets_answers_wait_for_prompts() -> None:
    batcher = Batcher(deployment(mixed_steps=False, max_batched_tokens=64, max_running=8))
    batcher.add(job("a", 10, 5))
    step(batcher)
    batcher.add(job("b", 100, 5))
    assert [step(batcher).emitted for _ in range(3)] == [(), ("b",), ("a", "b")]


def test_an_engine_without_chunks_reads_a_prompt_at_once_however_long() -> None:
    batcher = Batcher(deployment(mixed_steps=False, chunked_prefill=False, max_batched_tokens=64, max_running=8))
    for name, prompt in (("a", 40), ("b", 30), ("c", 500)):
        batcher.add(job(name, prompt, 2))
    assert [step(batcher).prompt_tokens for _ in range(3)] == [40, 30, 500]


def test_an_embedding_ends_with_its_prompt_and_emits_nothing() -> None:
    batcher = Batcher(deployment())
    batcher.add(job(output=0))
    only = step(batcher)
    assert (only.emitted, only.finished, only.prompt_tokens) == ((), ("a",), 100)
    assert (batcher.begin_step(), batcher.generation_tokens, batcher.prompt_tokens) == (None, 0, 100)


def test_a_budget_below_the_number_of_sequences_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^max_num_batched_tokens \(8\) must be greater than or equal to max_num_seqs \(9\)"):
        Batcher(deployment(max_batched_tokens=8, max_running=9))


def test_a_model_that_does_not_fit_is_no_batcher() -> None:
    with pytest.raises(DoesNotFit):
        Batcher(deployment(accelerator=replace(GPU, memory_bytes=2**30)))


def test_a_request_that_is_too_long_is_refused_with_its_numbers() -> None:
    batcher = Batcher(replace(deployment(), context_tokens=100))
    batcher.add(job("fits", 90, 10))
    with pytest.raises(
        ContextTooLong,
        match=r"^This model's maximum context length is 100 tokens\. However, you requested 101 tokens "
        r"\(91 in the prompt, 10 in the completion\)\. Please reduce the length",
    ) as caught:
        batcher.add(job("long", 91, 10))
    assert (caught.value.prompt_tokens, caught.value.output_tokens, caught.value.context_tokens) == (91, 10, 100)
    with pytest.raises(ContextTooLong, match="maximum context length is 320 tokens"):
        Batcher(deployment(cache_tokens=320)).add(job("over the cache", 300, 30))


@pytest.mark.parametrize("wrong", [job("there"), job("b", prompt=0), job("b", output=-1)])
def test_a_job_that_makes_no_sense_is_refused(wrong: Job) -> None:
    batcher = Batcher(deployment())
    batcher.add(job("there"))
    with pytest.raises(ValueError, match=r"^a job needs an id of its own, a prompt, and no less than no answer: Job\("):
        batcher.add(wrong)


# --- the cache --------------------------------------------------------------------------------------------------------------


def test_what_two_prompts_have_in_common_is_read_once() -> None:
    batcher = Batcher(deployment())
    batcher.add(job("a", 100, 1, blocks_of(1, 100)))
    assert step(batcher).prompt_tokens == 100
    batcher.add(job("b", 100, 1, blocks_of(1, 100)))
    # Six full blocks are known; the last four tokens are computed, and the first of the answer comes from them.
    assert step(batcher).prompt_tokens == 4
    assert (batcher.prefix_queries, batcher.prefix_hits) == (200, 96)


def test_of_a_prompt_that_is_known_to_its_end_the_last_block_is_computed() -> None:
    batcher = Batcher(deployment())
    for name in "ab":
        batcher.add(job(name, 96, 1, blocks_of(1, 96)))
        taken = step(batcher).prompt_tokens
    assert taken == 16


def test_an_answer_whose_blocks_are_known_is_found_by_the_next_turn() -> None:
    batcher = Batcher(deployment())
    batcher.add(job("turn 1", 50, 50, blocks_of(1, 100)))
    drained(batcher)
    batcher.add(job("turn 2", 120, 1, blocks_of(1, 120)))
    # 99 tokens are in the cache: the last of the answer was never put in.
    assert step(batcher).prompt_tokens == 120 - 96


def test_a_cache_that_was_reset_knows_nothing_and_is_not_reset_while_it_is_used() -> None:
    batcher = Batcher(deployment())
    batcher.add(job("a", 100, 2, blocks_of(1, 100)))
    step(batcher)
    assert not batcher.reset_prefix_cache()
    step(batcher)
    assert batcher.reset_prefix_cache()
    batcher.add(job("b", 100, 1, blocks_of(1, 100)))
    assert step(batcher).prompt_tokens == 100


def test_without_prefix_caching_nothing_is_looked_up() -> None:
    batcher = Batcher(deployment(prefix_caching=False))
    for name in "ab":
        batcher.add(job(name, 100, 1, blocks_of(1, 100)))
        assert step(batcher).prompt_tokens == 100
    assert (batcher.prefix_queries, batcher.prefix_hits) == (0, 0)


def test_where_the_cache_is_full_the_last_one_let_in_is_sent_back_and_computed_again() -> None:
    batcher = Batcher(deployment(cache_tokens=16 * 6, max_batched_tokens=64, max_running=8, prefix_caching=False))
    batcher.add(job("a", 32, 40))
    batcher.add(job("b", 32, 40))
    # Two blocks each; each needs a third one for its second token, and a fourth one 16 tokens later, of which there are none.
    steps = [step(batcher) for _ in range(18)]
    assert [each.preempted for each in steps] == [()] * 17 + [("b",)]
    assert steps[17].emitted == ("a",)
    assert (batcher.running, batcher.waiting, batcher.preemptions) == (1, 1, 1)
    rest = drained(batcher)
    # b had 17 tokens of its answer: those and its prompt are read again.
    assert sum(each.prompt_tokens for each in rest) == 32 + 17
    assert Counter(name for each in (*steps, *rest) for name in each.emitted) == {"a": 40, "b": 40}
    assert (batcher.prompt_tokens, batcher.generation_tokens) == (64, 80)


def test_an_engine_that_reserves_answers_lets_nobody_in_who_might_be_sent_back() -> None:
    batcher = Batcher(deployment(cache_tokens=16 * 6, max_batched_tokens=64, max_running=8, reserves_answers=True))
    batcher.add(job("a", 32, 40))
    batcher.add(job("b", 32, 40))
    assert step(batcher).emitted == ("a",)
    assert (batcher.running, batcher.waiting, batcher.pool.held) == (1, 1, 5)
    assert not any(each.preempted for each in drained(batcher))
    assert batcher.preemptions == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_an_aborted_job_leaves_its_slot_and_its_blocks_at_once(steps: int) -> None:
    batcher = Batcher(deployment(max_batched_tokens=64, max_running=8))
    batcher.add(job("a", 100, 10))
    for _ in range(steps):
        step(batcher)
    batcher.abort("a")
    batcher.abort("a")
    assert (batcher.running, batcher.waiting, batcher.kv_usage, batcher.begin_step()) == (0, 0, 0.0, None)
    batcher.add(job("a", 10, 1))
    assert step(batcher).finished == ("a",)


# --- whatever comes ---------------------------------------------------------------------------------------------------------


@given(crowded, jobs(), st.data())
@settings(patient, max_examples=150)
def test_every_job_gets_its_tokens_once_and_the_cache_is_never_over_its_capacity(
    subject: Deployment, load: list[Job], data: st.DataObject
) -> None:
    batcher = Batcher(subject)
    aborts = data.draw(st.dictionaries(st.integers(0, 30), st.sampled_from([each.id for each in load])), label="aborts")
    late = data.draw(st.integers(0, len(load)), label="those that come later")
    for each in load[late:]:
        batcher.add(each)
    emitted, finished, aborted, number = Counter[str](), Counter[str](), set[str](), 0
    pending, prompts = load[:late], {each.id: each.prompt_tokens for each in load}
    while (begun := batcher.begin_step()) is not None or pending:
        if begun is not None:
            assert begun.duration_s > 0
            assert batcher.pool.held <= batcher.pool.capacity
            assert 0 < batcher.kv_usage_max <= 1
            assert batcher.running <= subject.engine.max_running
            assert len(begun.emitted) == len(set(begun.emitted))
            assert not (set(begun.emitted) | set(begun.finished)) & (set(finished) | aborted)
            if not begun.prompt_tokens:
                work = step_work(subject.model, contexts=[prompts[name] + emitted[name] for name in begun.emitted])
                assert begun.duration_s == pytest.approx(step_time_s(subject, work), rel=EXACTLY)
            emitted.update(begun.emitted)
            finished.update(begun.finished)
        if pending:
            batcher.add(pending.pop())
        if number in aborts:
            batcher.abort(aborts[number])
            aborted |= {aborts[number]} - set(finished) - {each.id for each in pending}
        number += 1
        assert number < 20_000
    whole = {each.id: each.output_tokens for each in load if each.id not in aborted}
    assert {name: emitted[name] for name in whole} == whole
    assert finished == dict.fromkeys(whole, 1)
    assert all(emitted[each.id] <= each.output_tokens for each in load)
    assert sum(emitted.values()) == batcher.generation_tokens
    assert (batcher.pool.held, batcher.running, batcher.waiting, batcher.kv_usage) == (0, 0, 0, 0.0)
    assert batcher.preemptions == 0 or not subject.engine.reserves_answers


@given(crowded, jobs())
@patient
def test_the_same_jobs_give_the_same_steps(subject: Deployment, load: list[Job]) -> None:
    first, second = Batcher(subject), Batcher(subject)
    for each in load:
        first.add(each)
        second.add(each)
    assert drained(first) == drained(second)


@given(crowded, jobs())
@patient
def test_coasting_is_exactly_as_many_steps(subject: Deployment, load: list[Job]) -> None:
    slow, quick = Batcher(subject), Batcher(subject)
    for each in load:
        slow.add(each)
        quick.add(each)
    ends: dict[str, float] = {}
    at_s = 0.0
    for one in drained(slow):
        at_s += one.duration_s
        ends |= dict.fromkeys(one.finished, at_s)
    now_s, quick_ends = 0.0, dict[str, float]()
    while True:
        now_s = quick.coast(now_s, float("inf"))
        found = quick.begin_step()
        if found is None:
            break
        now_s += found.duration_s
        quick_ends |= dict.fromkeys(found.finished, now_s)
    assert (quick_ends, now_s) == (ends, at_s)
    assert (quick.steps, quick.generation_tokens, quick.preemptions) == (slow.steps, slow.generation_tokens, slow.preemptions)


def test_coasting_ends_with_the_first_step_that_is_late_enough() -> None:
    batcher = Batcher(deployment())
    batcher.add(job("a", 100, 1000))
    assert batcher.coast(0.0, 1.0) == 0.0
    step(batcher)
    until_s = batcher.coast(0.0, 0.1)
    assert 0.1 <= until_s < 0.11
    assert batcher.coast(until_s, 0.1) == until_s


def test_lengths_are_cut_at_the_window_in_the_sums_too() -> None:
    batcher = Batcher(deployment(WINDOWED))
    for name, prompt in (("a", 10), ("b", 60), ("c", 64), ("d", 500)):
        batcher.add(job(name, prompt, 100))
    step(batcher)
    for number in range(1, 80):
        lengths = [prompt + number for prompt in (10, 60, 64, 500)]
        expected = step_time_s(deployment(WINDOWED), step_work(WINDOWED, contexts=lengths))
        assert step(batcher).duration_s == pytest.approx(expected, rel=EXACTLY)
    batcher.abort("a")
    batcher.abort("d")
    expected = step_time_s(deployment(WINDOWED), step_work(WINDOWED, contexts=[140, 144]))
    assert step(batcher).duration_s == pytest.approx(expected, rel=EXACTLY)


def test_a_job_that_goes_before_its_window_is_full_leaves_the_sums_right() -> None:
    batcher = Batcher(deployment(WINDOWED))
    for name in "ab":
        batcher.add(job(name, 10, 100))
    for _ in range(6):
        step(batcher)
    batcher.abort("a")
    for number in range(6, 80):
        expected = step_time_s(deployment(WINDOWED), step_work(WINDOWED, contexts=[10 + number]))
        assert step(batcher).duration_s == pytest.approx(expected, rel=EXACTLY)
