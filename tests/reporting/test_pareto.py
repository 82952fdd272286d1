from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.reporting.pareto import front, per_gpu, user_speed
from tests.reporting.examples import broken_record, record

POINTS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=40)


@given(POINTS)
def test_nothing_beats_a_point_on_the_front_and_something_every_other_one(points: list[tuple[float, float]]) -> None:
    best = [points[place] for place in front(points)]
    for x, y in best:
        assert not any((a >= x and b > y) or (a > x and b >= y) for a, b in points)
    for x, y in points:
        assert any(a >= x and b >= y for a, b in best)
    assert best == sorted(best)


def test_a_point_that_is_not_known_is_never_on_the_front() -> None:
    assert front([(nan, 5), (5, nan), (1, 1)]) == (2,)


def test_output_is_shared_by_the_gpus_of_the_server_and_a_cpu_is_one() -> None:
    base = record()
    on_gpus = replace(base, case=replace(base.case, hardware="h100", tensor_parallel=4))
    assert per_gpu(base) == 4 * per_gpu(on_gpus) > 0


def test_the_speed_of_a_user_is_the_inverse_of_the_median_time_a_token() -> None:
    assert user_speed(record()) == 50
    assert isnan(user_speed(broken_record()))
    assert isnan(per_gpu(broken_record()))
