from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.units import duration_s, format_duration, format_quantity, parse_quantity, quantity_in


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("500ms", "ms", 500.0),
        ("0.5 s", "ms", 500.0),
        ("0.1s", "ms", 100.0),
        ("2min", "s", 120.0),
        ("3h", "min", 180.0),
        ("250 us", "ms", 0.25),
        ("250µs", "ms", 0.25),
        ("7ns", "ns", 7.0),
        ("1000 tok/s", "tok/s", 1000.0),
        ("1000 tokens/s", "tok/s", 1000.0),
        ("12 req/s", "req/s", 12.0),
        ("12 req / s", "req/s", 12.0),
        ("1%", "1", 0.01),
        ("0", "1", 0.0),
        ("1e3", "ms", 1000.0),
        ("-1ms", "ms", -1.0),
        (".5s", "s", 0.5),
    ],
)
def test_a_quantity_is_expressed_in_the_unit_asked_for(text: str, unit: str, expected: float) -> None:
    assert quantity_in(text, unit) == expected


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("5 tok/s", "ms", "'5 tok/s' is a token rate, but a time belongs here; units that fit: ns, us, ms, s, min, h"),
        ("5ms", "tok/s", "'5ms' is a time, but a token rate belongs here; units that fit: tok/s"),
        ("5 tok/s", "req/s", "'5 tok/s' is a token rate, but a request rate belongs here; units that fit: req/s"),
        ("5ms", "1", "'5ms' is a time, but a ratio belongs here; units that fit: a bare number, %"),
        ("abc", "ms", "'abc' is not a quantity; write a number and a unit, such as 500ms, 1000 tok/s or 1%"),
        ("", "ms", "'' is not a quantity; write a number and a unit, such as 500ms, 1000 tok/s or 1%"),
        ("nan", "ms", "'nan' is not a quantity; write a number and a unit, such as 500ms, 1000 tok/s or 1%"),
        ("5 1", "1", "'5 1' is not a quantity; write a number and a unit, such as 500ms, 1000 tok/s or 1%"),
        ("5 parsecs", "ms", "'parsecs' in '5 parsecs' is not a unit; known units: ns, us, ms, s, min, h, tok/s, req/s, users, %"),
        ("1e999", "ms", "'e999' in '1e999' is not a unit; known units: ns, us, ms, s, min, h, tok/s, req/s, users, %"),
    ],
)
def test_a_wrong_quantity_says_what_would_fit(text: str, unit: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        quantity_in(text, unit)
    assert str(caught.value) == message


def test_a_quantity_keeps_the_unit_it_was_written_in() -> None:
    assert parse_quantity("500ms") == (500.0, "ms")
    assert parse_quantity("3 rps") == (3.0, "req/s")
    assert parse_quantity("42") == (42.0, None)


@given(st.integers(0, 10**9), st.sampled_from(["ns", "us", "ms", "s", "min", "h"]))
def test_a_whole_number_comes_back_exactly_in_its_own_unit(number: int, unit: str) -> None:
    assert quantity_in(f"{number} {unit}", unit) == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (60, 60.0),
        (0.25, 0.25),
        ("60", 60.0),
        ("90s", 90.0),
        ("1m30s", 90.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        ("2min", 120.0),
        ("500ms", 0.5),
        ("1s500ms", 1.5),
        ("0", 0.0),
    ],
)
def test_a_length_of_time_is_read_in_seconds(value: str | float, expected: float) -> None:
    assert duration_s(value) == expected


@pytest.mark.parametrize(
    "value", ["30s1m", "1m1m", "x", "", "5 tok/s", "1m30", "1ms5", "-5", "nan", "1mss", -1, True, float("inf"), float("nan")]
)
def test_what_is_no_length_of_time_is_refused_with_examples(value: str | float) -> None:
    with pytest.raises(ConfigError) as caught:
        duration_s(value)
    assert str(caught.value) == f"{value!r} is not a length of time; write one such as 60, 90s, 1m30s or 500ms"


@given(st.one_of(st.integers(0, 10**7).map(float), st.integers(0, 10**9).map(lambda ms: ms / 1000)))
def test_a_formatted_length_of_time_reads_back(seconds: float) -> None:
    assert duration_s(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("value", "unit", "expected"), [(412.6, "ms", "412.6 ms"), (0.01, "1", "1 %"), (1000.0, "tok/s", "1000 tok/s")]
)
def test_a_quantity_is_printed_with_its_unit(value: float, unit: str, expected: str) -> None:
    assert format_quantity(value, unit) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(90, "1m30s"), (7200, "2h"), (0.5, "0.5s"), (60, "1m"), (0, "0s"), (1e-7, "0.0000001s")]
)
def test_a_length_of_time_is_printed_in_its_shortest_form(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected
