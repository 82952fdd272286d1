from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Dataset, Images, Lengths, Traffic
from pytest_inferbench.cases.traffic import EXPECTED, parse_traffic, traffic_slug
from pytest_inferbench.errors import ConfigError

tokens = st.integers(1, 1_000_000)
spread = st.integers(0, 999)
choices = st.lists(tokens, min_size=1, max_size=4).map(lambda drawn: ",".join(map(str, drawn)))
pixels = st.integers(1, 16_384)


uniform = st.tuples(tokens, tokens).map(lambda drawn: f"({drawn[0]},{sum(drawn)})")


def traffics() -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}({},{})".format, st.sampled_from("DR"), tokens, tokens),
        st.builds("{}({},{})/({},{})".format, st.sampled_from(["N", "LN"]), tokens, spread, tokens, spread),
        st.builds("P({})/({})".format, choices, choices),
        st.builds("U{}/{}".format, uniform, uniform),
        st.builds("U({},{})".format, st.integers(2, 1_000_000), st.integers(2, 1_000_000)),
        st.builds("{}({})".format, st.sampled_from("EA"), tokens),
        st.builds("I({},{})".format, pixels, pixels),
        st.builds("I({},{},{})".format, pixels, pixels, st.integers(1, 100)),
        st.just("dataset"),
    )


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
        ("LN(480,240)/(300,150)", "ln480.240x300.150"),
        ("P(128,512)/(64)", "p128.512x64"),
        ("E(64)", "e64"),
        ("R(64,100)", "r64x100"),
        ("I(512,256)", "i512x256"),
        ("I(512,256,2)", "i512x256x2"),
        ("A(100)", "a100"),
        ("dataset", "dataset"),
    ],
)
def test_the_slug_reads_like_the_traffic(text: str, slug: str) -> None:
    assert traffic_slug(parse_traffic(text)) == slug


# What the two forms of the same table of genai-bench say, and its odder cases.
GENAI_BENCH = [
    ("D(100,1000)", "D(100,1000)"),
    ("N(480,240)/(300,150)", "N(480,240)/(300,150)"),
    ("U(50,100)/(200,250)", "U(50,100)/(200,250)"),
    ("U(100,250)", "U(100,250)"),
    ("U(0,100)/(0,50)", "U(100,50)"),
    ("E(1024)", "E(1024)"),
    ("R(1024, 128)", "R(1024,128)"),
    ("I(512,512)", "I(512,512)"),
    ("I(1024,512,1)", "I(1024,512)"),
    ("I(2048,2048,2)", "I(2048,2048,2)"),
    ("A(4000)", "A(4000)"),
    ("dataset", "dataset"),
    ("dataset\n", "dataset"),
]


@pytest.mark.parametrize(("text", "canonical"), GENAI_BENCH)
def test_every_form_of_genai_bench_is_read(text: str, canonical: str) -> None:
    assert parse_traffic(text).text == canonical


def test_the_parts_of_what_is_no_text_generation() -> None:
    embeddings, rerank = parse_traffic("E(64)"), parse_traffic("R(64,100)")
    assert (embeddings.kind, embeddings.input_tokens.first, embeddings.output_tokens.first) == ("embeddings", 64, 0)
    assert rerank.query_tokens == Lengths(kind="fixed", first=100)
    assert (rerank.kind, rerank.input_tokens.first) == ("rerank", 64)
    assert parse_traffic("I(512,256,3)").images == Images(width=512, height=256, count=3)
    assert parse_traffic("A(500)").characters == 500
    assert parse_traffic("dataset").kind == "dataset"


def test_lengths_beyond_genai_bench() -> None:
    assert parse_traffic("LN(480,240)/(300,150)").input_tokens == Lengths(kind="lognormal", first=480, second=240)
    picked = parse_traffic("P(512,128,128)/(64)")
    assert picked.text == "P(128,128,512)/(64)"
    assert picked.input_tokens == Lengths(kind="choice", choices=(128, 128, 512))


WORDS = ["", "D", "V", "V(1)", "D 1,2", "D(1 2,3)", "D(1,2)x", "d(1,2)", "X(1,2)", "Dataset", "dataset(1)"]
NUMBERS = ["D()", "D(-1,2)", "D(1.5,2)", "D(\uff11,2)"]
TEXT_SHAPES = ["D(1)", "D(1,2,3)", "D(1,2)/(3,4)", "N(5,5)", "LN(5,5)", "P(1,2)", "U(1)", "U(1,2)/(3,4)/(5,6)"]
SHAPES = [*TEXT_SHAPES, "E(1,2)", "R(1)", "I(1)", "I(1,2,3,4)", "A(1,2)"]


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
        ("E(0)", "'E(0)': document tokens must be at least 1, not 0"),
        ("R(1,0)", "'R(1,0)': query tokens must be at least 1, not 0"),
        ("P(3,0)/(1)", "'P(3,0)/(1)': input tokens must be at least 1, not 0"),
        ("I(0,5)", "'I(0,5)': width must be from 1 to 16384, not 0"),
        ("I(5,16385)", "'I(5,16385)': height must be from 1 to 16384, not 16385"),
        ("I(5,5,0)", "'I(5,5,0)': the number of images must be from 1 to 100, not 0"),
        ("A(0)", "'A(0)': characters must be at least 1, not 0"),
        ("D(1," + "9" * 5000 + ")", "'D(1," + "9" * 56 + "': " + "9" * 20 + " is more than 100000000 tokens"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_traffic(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"turns": 3}, "d128x64-t3"),
        ({"cache": "warm"}, "d128x64-warm"),
        ({"cache": "shared", "turns": 2}, "d128x64-t2-shared"),
        ({"dataset": Dataset(path="/data/ShareGPT V3.json", format="sharegpt")}, "dataset.sharegpt_v3"),
        ({"dataset": Dataset(path="prompts/", format="hf")}, "dataset.prompts"),
    ],
)
def test_the_slug_says_what_stands_beside_the_text(changes: dict[str, Any], slug: str) -> None:
    assert traffic_slug(replace(parse_traffic("D(128,64)"), **changes)) == slug
