"""Which candidate is the first that is worse, by answers that may be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.bisection import Answer, Found, Question, found, next_question, questions_left, questions_max

SURE = 0.001
Oracle = Callable[[int], Answer]


def search(oracle: Oracle, candidates: int, *, error: float = SURE) -> tuple[Found, list[Question]]:
    asked: list[Question] = []
    while (candidate := next_question(asked, candidates=candidates)) is not None:
        asked.append(Question(candidate=candidate, answer=oracle(candidate), error=error))
    return found(asked, candidates=candidates), asked


def truth(first: int) -> Oracle:
    return lambda candidate: Answer.WORSE if candidate >= first else Answer.SAME


def noisy(first: int, error: float, seed: int) -> Oracle:
    coins = np.random.default_rng(seed)

    def answer(candidate: int) -> Answer:
        return Answer.WORSE if (candidate >= first) != (coins.random() < error) else Answer.SAME

    return answer


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1))))
def test_with_answers_that_are_right_it_takes_no_more_than_plain_bisection_and_the_last(sizes: tuple[int, int]) -> None:
    candidates, first = sizes
    result, asked = search(truth(first), candidates)
    assert (result.first, result.last, result.against) == (first, first, 0)
    assert result.confidence >= 0.95
    assert len(asked) <= ceil(log2(candidates)) + 2
    assert asked[0].candidate == candidates - 1


@pytest.mark.parametrize(("candidates", "error"), [(2, 0.05), (8, 0.05), (8, 0.15), (40, 0.05)])
def test_with_wrong_answers_it_is_right_as_often_as_it_says(candidates: int, error: float) -> None:
    results = []
    for seed in range(400):
        first = 1 + seed % (candidates - 1)
        result, _ = search(noisy(first, error, seed), candidates, error=error)
        if result.confidence >= 0.95:
            results.append(result.first == result.last == first)
    assert len(results) > 300
    assert sum(results) / len(results) > 0.93


def test_answers_that_are_less_sure_take_more_questions() -> None:
    assert len(search(truth(5), 8, error=0.05)[1]) > len(search(truth(5), 8)[1])


def test_where_nothing_is_worse_it_says_so() -> None:
    result, asked = search(truth(8), 8)
    assert (result.first, result.last) == (None, None)
    assert result.confidence >= 0.95
    assert len(asked) <= 3


@pytest.mark.parametrize("answer", [Answer.CANNOT_TELL, Answer.BROKEN])
def test_where_the_last_one_cannot_be_told_nothing_can_be_found(answer: Answer) -> None:
    _, asked = search(lambda _: answer, 8)
    assert [each.candidate for each in asked] == [7]


def test_one_that_cannot_be_measured_is_left_out_and_what_is_left_is_a_range() -> None:
    def answer(candidate: int) -> Answer:
        return Answer.BROKEN if candidate in (4, 5) else truth(5)(candidate)

    result, asked = search(answer, 8)
    assert (result.first, result.last) == (4, 6)
    assert result.confidence >= 0.95
    assert [each.candidate for each in asked].count(4) <= 1


def test_one_that_cannot_be_measured_elsewhere_does_no_harm() -> None:
    def answer(candidate: int) -> Answer:
        return Answer.BROKEN if candidate == 3 else truth(6)(candidate)

    result, _ = search(answer, 8)
    assert (result.first, result.last) == (6, 6)


def test_answers_that_contradict_each_other_end_some_time_and_are_counted() -> None:
    found_out = [search(noisy(4, 0.5, seed), 8, error=0.05) for seed in range(50)]
    assert max(len(asked) for _, asked in found_out) <= questions_max(8)
    assert max(result.against for result, _ in found_out) > 1


@given(
    st.integers(2, 50), st.lists(st.tuples(st.integers(1, 49), st.sampled_from(list(Answer)), st.floats(0.001, 0.4)), max_size=30)
)
def test_whatever_is_answered_the_next_question_can_be_asked(
    candidates: int, answers: Sequence[tuple[int, Answer, float]]
) -> None:
    asked = [Question(candidate=1 + i % (candidates - 1), answer=answer, error=error) for i, answer, error in answers]
    candidate = next_question(asked, candidates=candidates)
    result = found(asked, candidates=candidates)
    assert 0 < result.confidence <= 1 + 1e-9
    if candidate is not None:
        assert 1 <= candidate < candidates
        assert candidate not in {each.candidate for each in asked if not each.told}
        assert len(asked) < questions_max(candidates)


def test_how_many_questions_are_left_shrinks() -> None:
    asked: list[Question] = []
    left = [questions_left(asked, candidates=16)]
    while (candidate := next_question(asked, candidates=16)) is not None:
        asked.append(Question(candidate=candidate, answer=truth(9)(candidate), error=SURE))
        left.append(questions_left(asked, candidates=16))
    assert left == sorted(left, reverse=True)
    assert (left[0], left[-1]) == (6, 1)
