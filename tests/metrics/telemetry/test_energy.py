from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.metrics.telemetry.energy import GAP_NS_MAX, energy_j

TICK_NS = 100_000_000


@st.composite
def readings(draw: st.DrawFn) -> list[tuple[int, float]]:
    gaps = draw(st.lists(st.integers(1, GAP_NS_MAX), min_size=1, max_size=30))
    at_ns, found = draw(st.integers(0, 10**15)), []
    for gap_ns in gaps:
        found.append((at_ns, draw(st.floats(0, 1000))))
        at_ns += gap_ns
    return found


@st.composite
def watched(draw: st.DrawFn) -> tuple[list[tuple[int, float]], tuple[int, int]]:
    power = draw(readings())
    low, high = power[0][0], power[-1][0] + GAP_NS_MAX
    start_ns = draw(st.integers(low, high - 1))
    return power, (start_ns, draw(st.integers(start_ns + 1, high)))


def test_constant_power_is_watts_times_seconds() -> None:
    power = [(tick * TICK_NS, 300.0) for tick in range(11)]
    assert energy_j(power, window_ns=(0, 10 * TICK_NS)) == pytest.approx(300.0)
    assert energy_j(power, window_ns=(150_000_000, 650_000_000)) == pytest.approx(150.0)


def test_rising_power_is_the_area_below_it() -> None:
    power = [(tick * TICK_NS, 100.0 * tick) for tick in range(11)]  # 0 to 1000 W in a second
    assert energy_j(power, window_ns=(0, 1_000_000_000)) == pytest.approx(500.0)
    assert energy_j(power, window_ns=(250_000_000, 750_000_000)) == pytest.approx(250.0)  # 250 W to 750 W in half a second


def test_a_window_that_ends_a_moment_after_the_last_reading_goes_on_with_it() -> None:
    assert energy_j([(0, 100.0)], window_ns=(0, TICK_NS)) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("power", "window_ns"),
    [
        ([], (0, 10)),
        ([(0, 1.0)], (10, 10)),
        ([(0, 1.0)], (10, 5)),
        ([(0, 1.0)], (0, GAP_NS_MAX + 1)),
        ([(GAP_NS_MAX + 1, 1.0)], (0, GAP_NS_MAX + 2)),
        ([(0, 1.0), (GAP_NS_MAX + 1, 1.0)], (5, 6)),
    ],
    ids=["no readings", "no length", "backwards", "ends too late", "begins too early", "a gap in it"],
)
def test_what_was_not_watched_has_no_energy(power: list[tuple[int, float]], window_ns: tuple[int, int]) -> None:
    assert energy_j(power, window_ns=window_ns) is None


def test_a_gap_outside_the_window_does_not_matter() -> None:
    power = [(0, 1.0), (GAP_NS_MAX * 9, 50.0), (GAP_NS_MAX * 9 + TICK_NS, 50.0)]
    assert energy_j(power, window_ns=(GAP_NS_MAX * 9, GAP_NS_MAX * 9 + TICK_NS)) == pytest.approx(5.0)


@given(watched())
def test_energy_is_between_that_of_the_least_and_of_the_most_power(case: tuple[list[tuple[int, float]], tuple[int, int]]) -> None:
    power, (start_ns, end_ns) = case
    joules = energy_j(power, window_ns=(start_ns, end_ns))
    seconds = (end_ns - start_ns) / 1e9
    watts = [each for _, each in power]
    assert joules is not None
    assert min(watts) * seconds - 1e-6 <= joules <= max(watts) * seconds + 1e-6


@given(watched(), st.data())
def test_two_windows_side_by_side_are_as_much_as_one(
    case: tuple[list[tuple[int, float]], tuple[int, int]], data: st.DataObject
) -> None:
    power, (start_ns, end_ns) = case
    middle_ns = data.draw(st.integers(start_ns, end_ns))
    parts = [energy_j(power, window_ns=window) or 0.0 for window in ((start_ns, middle_ns), (middle_ns, end_ns))]
    assert energy_j(power, window_ns=(start_ns, end_ns)) == pytest.approx(sum(parts), rel=1e-6, abs=1e-6)


@given(watched(), st.floats(0.1, 10))
def test_energy_grows_with_power(case: tuple[list[tuple[int, float]], tuple[int, int]], factor: float) -> None:
    power, window_ns = case
    more = [(at_ns, watts * factor) for at_ns, watts in power]
    joules = energy_j(power, window_ns=window_ns)
    assert joules is not None
    assert energy_j(more, window_ns=window_ns) == pytest.approx(joules * factor, rel=1e-6, abs=1e-6)


@given(watched())
def test_a_reading_on_the_line_between_two_others_changes_nothing(
    case: tuple[list[tuple[int, float]], tuple[int, int]],
) -> None:
    power, window_ns = case
    between = [((a + b) // 2, p + (q - p) * ((a + b) // 2 - a) / (b - a)) for (a, p), (b, q) in pairwise(power)]
    joules = energy_j(power, window_ns=window_ns)
    assert joules is not None
    assert energy_j(sorted({*power, *between}), window_ns=window_ns) == pytest.approx(joules, rel=1e-6, abs=1e-6)
