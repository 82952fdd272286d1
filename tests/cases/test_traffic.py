from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Lengths, Traffic
from pytest_inferbench.cases.traffic import EXPECTED, parse_traffic, traffic_slug
from pytest_inferbench.errors import ConfigError

tokens = st.integers(1, 1_000_000)


def uniform_side(draw: st.DrawFn) -> tuple[int, int]:
    low = draw(tokens)
    return low, low + draw(tokens)


@st.composite
def traffics(draw: st.DrawFn) -> str:
    match draw(st.sampled_from("DNUu")):
        case "D":
            return f"D({draw(tokens)},{draw(tokens)})"
        case "N":
            return f"N({draw(tokens)},{draw(st.integers(0, 999))})/({draw(tokens)},{draw(st.integers(0, 999))})"
        case "U":
            (a, b), (c, d) = uniform_side(draw), uniform_side(draw)
            return f"U({a},{b})/({c},{d})"
        case _:
            return f"U({draw(tokens) + 1},{draw(tokens) + 1})"


@given(traffics())
def test_the_canonical_text_reads_back_as_the_same_traffic(text: str) -> None:
    traffic = parse_traffic(text)
    assert parse_traffic(traffic.text) == traffic


@given(traffics(), st.lists(st.sampled_from(["", " ", "  ", "\t"]), min_size=30, max_size=30))
def test_blanks_between_the_parts_do_not_matter(text: str, blanks: list[str]) -> None:
    pieces = [piece for piece in re.split(r"([(),/])", text) if piece]
    spaced = "".join(blank + piece for blank, piece in zip(blanks, pieces, strict=False))
    assert parse_traffic(spaced) == parse_traffic(text)


@given(traffics(), traffics())
def test_slugs_are_equal_only_for_equal_traffic(first: str, second: str) -> None:
    one, other = parse_traffic(first), parse_traffic(second)
    assert (traffic_slug(one) == traffic_slug(other)) == (one == other)
    assert re.fullmatch(r"[a-z0-9.]+", traffic_slug(one))


def test_fixed_lengths() -> None:
    assert parse_traffic("D(128,64)") == Traffic(
        text="D(128,64)", input_tokens=Lengths(kind="fixed", first=128), output_tokens=Lengths(kind="fixed", first=64)
    )


def test_normal_lengths() -> None:
    assert parse_traffic("N(480,240)/(300,150)") == Traffic(
        text="N(480,240)/(300,150)",
        input_tokens=Lengths(kind="normal", first=480, second=240),
        output_tokens=Lengths(kind="normal", first=300, second=150),
    )


def test_uniform_lengths_with_minima() -> None:
    assert parse_traffic("U(10,100)/(5,50)") == Traffic(
        text="U(10,100)/(5,50)",
        input_tokens=Lengths(kind="uniform", first=10, second=100),
        output_tokens=Lengths(kind="uniform", first=5, second=50),
    )


@pytest.mark.parametrize("text", ["U(100,50)", "U(1,100)/(1,50)", "U(0,100)/(0,50)"])
def test_uniform_lengths_from_one_have_one_canonical_text(text: str) -> None:
    assert parse_traffic(text) == Traffic(
        text="U(100,50)",
        input_tokens=Lengths(kind="uniform", first=1, second=100),
        output_tokens=Lengths(kind="uniform", first=1, second=50),
    )


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("D(128,64)", "d128x64"),
        ("N(480,240)/(300,150)", "n480.240x300.150"),
        ("U(100,50)", "u100x50"),
        ("U(10,100)/(5,50)", "u10.100x5.50"),
    ],
)
def test_the_slug_reads_like_the_traffic(text: str, slug: str) -> None:
    assert traffic_slug(parse_traffic(text)) == slug


WORDS = ["", "D", "V", "D 1,2", "D(1 2,3)", "D(1,2)x", "d(1,2)", "X(1,2)"]
NUMBERS = ["D()", "D(-1,2)", "D(1.5,2)", "D(\uff11,2)"]
SHAPES = ["D(1)", "D(1,2,3)", "D(1,2)/(3,4)", "N(5,5)", "U(1)", "U(1,2)/(3,4)/(5,6)"]


@pytest.mark.parametrize("text", [*WORDS, *NUMBERS, *SHAPES])
def test_what_is_not_of_the_grammar_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_traffic(text)
    assert str(caught.value) == f"{text!r} is not a traffic; write {EXPECTED}"


@pytest.mark.parametrize("text", ["D(1,2", "D(8", "8)"])
def test_half_a_traffic_is_refused_with_what_cut_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_traffic(text)
    assert str(caught.value) == f"{text!r} is not a traffic (half of one? in a list, put quotes round each); write {EXPECTED}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("D(0,1)", "'D(0,1)': input tokens must be at least 1, not 0"),
        ("D(1,0)", "'D(1,0)': output tokens must be at least 1, not 0"),
        ("N(0,5)/(1,1)", "'N(0,5)/(1,1)': input tokens must be at least 1, not 0"),
        ("U(5,5)/(1,2)", "'U(5,5)/(1,2)': input tokens go from 5 up to but not including 5; max must be larger"),
        ("U(5,6)/(9,2)", "'U(5,6)/(9,2)': output tokens go from 9 up to but not including 2; max must be larger"),
        ("U(1,5)", "'U(1,5)': input tokens go from 1 up to but not including 1; max must be larger"),
        ("D(100000001,1)", "'D(100000001,1)': 100000001 is more than 100000000 tokens"),
        ("D(1," + "9" * 5000 + ")", "'D(1," + "9" * 56 + "': " + "9" * 20 + " is more than 100000000 tokens"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_traffic(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "name", "what"),
    [
        ("E(64)", "E", "embeddings"),
        ("R(64,100)", "R", "rerank"),
        ("I(512,512)", "I", "images"),
        ("A(100)", "A", "speech"),
        ("dataset", "dataset", "rows of a data set as they are"),
    ],
)
def test_forms_that_come_later_are_recognised(text: str, name: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_traffic(text)
    assert str(caught.value) == f"{text!r}: traffic {name!r} ({what}) is not supported yet; write {EXPECTED}"
