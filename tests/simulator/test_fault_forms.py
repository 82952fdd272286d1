"""How faults are written, and what is said about those that are written wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.simulator.fault_forms import FAULTS, FLAG, HEADER, bytes_per_s, read_faults

SERVER_WIDE = ["slow-start", "never-ready", "crash-after-requests", "crash-after", "throttle", "memory-leak", "drift"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slow-strat=60s", "'slow-strat' is no fault (did you mean 'slow-start'?); known: slow-start, never-ready, "),
        ("slow-start", "'slow-start': it needs a value; write slow-start=TIME, such as slow-start=60s"),
        ("slow-start=soon", "'slow-start=soon': 'soon' is not a length of time; write one such as 60, 90s, 1m30s or 500ms; "),
        ("never-ready=1", "'never-ready=1': it takes no value; write never-ready, such as never-ready"),
        ("crash-after-requests=0", "'crash-after-requests=0': '0' is no whole number from 1 to 1000000000; write "),
        ("hang-after-requests=-1", "'hang-after-requests=-1': '-1' is no whole number from 0 to 1000000000; write "),
        ("tokens-per-chunk=99999999999", "'99999999999' is no whole number from 1 to 1000000000"),
        ("stall-after-tokens=3:fro=5s", "'fro' is no option of it (did you mean 'for'?); it has for; write stall-"),
        ("stall-after-tokens=3:for=1s:for=2s", "'for' is there twice; write stall-after-tokens=N[:for=TIME], such as "),
        ("reset-after-tokens=3:for=5s", "'for' is no option of it; it has none; write reset-after-tokens=N, "),
        ("error-rate=418:0.1", "'418' is none of the statuses 429, 500, 503; write error-rate=STATUS:SHARE"),
        ("error-rate=429:2", "'error-rate=429:2': '2' is not more than 0 and at most 1; write "),
        ("error-rate=429", "'error-rate=429': '' is not a quantity; "),
        ("wrong-usage=0", "'0' is no number of tokens to count too many (+5) or too few (-5); write wrong-usage=+N"),
        ("slow-network=10KB/min", "'10KB/min' is no number of bytes a second, such as 100MB/s; write slow-network=TIME or "),
        ("throttle=1.5", "'1.5' is not more than 0 and at most 1; write throttle=SHARE[:from=TIME][:for=TIME], such as "),
        ("memory-leak=0MB/s", "'0MB/s' is no number of bytes a second, such as 100MB/s"),
        ("drift=0%", "'drift=0%': '0%' is not more than 0 and at most 100; write drift=SHARE[:from=TIME], "),
        ("drift=1%, drift=2%", "'drift=2%': drift is there twice; keep one"),
        ("", "'' is no fault; known: "),
        ("drift=" + "9" * 2000, "... has 2006 characters; at most 1000 are read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_faults([text])
    assert str(caught.value).startswith("--fault: ")
    assert message in str(caught.value)


def test_a_header_s_mistakes_say_that_it_is_the_header() -> None:
    with pytest.raises(ConfigError) as caught:
        read_faults(["tokens-per-chunk=x"], source=HEADER)
    assert str(caught.value) == (
        "x-inferbench-fault: 'tokens-per-chunk=x': 'x' is no whole number from 1 to 1000000000; "
        "write tokens-per-chunk=N, such as tokens-per-chunk=4"
    )


def test_what_is_of_the_whole_server_is_not_of_a_request() -> None:
    assert [form.name for form in FAULTS if not form.by_request] == SERVER_WIDE


def test_names_are_there_once_and_examples_begin_with_them() -> None:
    assert len({form.name for form in FAULTS}) == len(FAULTS)
    assert all(form.example.startswith(form.name) and form.form.startswith(form.name) for form in FAULTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1B/s", 1.0), ("100MB/s", 1e8), ("1.5kb/s", 1500.0), ("2GiB/s", 2.0 * 2**30), ("3 MiB/s", 3.0 * 2**20)],
)
def test_bytes_a_second_know_both_families_of_units(text: str, expected: float) -> None:
    assert bytes_per_s(text) == expected


def complaint(text: str, *, source: str = FLAG) -> str | None:
    try:
        read_faults([text], source=source)
    except ConfigError as error:
        return str(error)
    return None


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    said = complaint(text, source=HEADER)
    assert said is None or said.startswith(f"{HEADER}: ")


@given(st.sampled_from([form.name for form in FAULTS]), st.text(alphabet="0123456789:=+-.%sm/KMBforate", max_size=20))
def test_any_value_is_read_or_refused_in_words(name: str, value: str) -> None:
    said = complaint(f"{name}={value}")
    assert said is None or said.startswith(f"{FLAG}: '{name}=")


def test_the_page_of_faults_says_what_the_table_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    listed = [(row[0].strip("| †").strip("`"), row[0].endswith("†"), row[1]) for row in rows]
    assert listed == [(form.form, form.by_request, form.does) for form in FAULTS]
