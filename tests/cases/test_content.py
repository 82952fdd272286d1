"""What requests hold beyond their traffic's text, from suites to cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_inferbench.cases.case import Api, Case, Dataset, Images, Lengths, Origin, Prefix, TrafficKind
from pytest_inferbench.cases.content import APIS_OF, completed
from pytest_inferbench.cases.matrix import Options
from pytest_inferbench.cases.suite import read_suite, suite_from_mapping
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError

BARE: Mapping[str, Any] = {"hardware": "cpu", "engine": "llamacpp", "model": "smollm2-135m", "concurrency": 4}
HERE = Origin(file="/suites/test_x.py", line=3)


def cases(**fields: Any) -> tuple[Case, ...]:
    return suite_from_mapping({**BARE, **fields}, "chat", HERE).cases()


def one(**fields: Any) -> Case:
    (case,) = cases(**fields)
    return case


def ids(**fields: Any) -> list[str]:
    return [case.id.removeprefix("cpu-llamacpp-smollm2-135m-tp1-") for case in cases(**fields)]


def test_a_prompt_is_new_to_the_server_unless_said_otherwise() -> None:
    case = one(traffic="D(8,8)")
    assert (case.traffic.cache, case.traffic.prefix, case.traffic.turns) == ("cold", None, 1)
    assert case.id.endswith("-d8x8-c4")


def test_a_cache_is_an_axis_and_stands_in_the_id() -> None:
    found = cases(traffic="D(80,8)", cache=["cold", "warm", "shared"], prefix={"tokens": 64, "share": "80%", "count": 4})
    assert [case.id.split("tp1-")[1] for case in found] == ["d80x8-c4", "d80x8-warm-c4", "d80x8-shared-c4"]
    assert [case.traffic.prefix for case in found] == [None, None, Prefix(tokens=64, share=0.8, count=4)]
    assert [case.axes["cache"] for case in found] == ["cold", "warm", "shared"]


def test_a_prefix_is_shared_without_saying_so() -> None:
    case = one(traffic="D(80,8)", prefix={"tokens": 64})
    assert (case.traffic.cache, case.traffic.prefix) == ("shared", Prefix(tokens=64, share=1.0, count=1))


def test_conversations_stand_in_the_id() -> None:
    case = one(traffic="D(80,8)", turns=3, think_time="2s")
    assert (case.traffic.turns, case.traffic.think_time_s) == (3, 2.0)
    assert case.id.endswith("-d80x8-t3-c4")


def test_a_data_set_is_the_traffic_and_its_path_is_taken_from_the_file() -> None:
    case = one(dataset={"path": "data/Alpaca.jsonl", "prompt": "{instruction}", "output_tokens": "output"})
    assert case.traffic.text == "dataset"
    assert case.traffic.dataset == Dataset(
        path="/suites/data/Alpaca.jsonl", format="jsonl", prompt="{instruction}", output_field="output"
    )
    assert case.id.endswith("-dataset.alpaca-c4")


@pytest.mark.parametrize(
    ("path", "form"),
    [("a.json", "sharegpt"), ("a.JSONL", "jsonl"), ("a.ndjson", "jsonl"), ("a.txt", "lines"), ("folder", "hf"), ("a.b/", "hf")],
)
def test_the_ending_of_a_path_says_its_format(path: str, form: str) -> None:
    traffic = one(dataset={"path": path, "output_tokens": 9}).traffic
    assert traffic.dataset is not None
    assert (traffic.dataset.format, traffic.dataset.output_tokens, traffic.dataset.output_field) == (form, 9, None)


def test_a_format_that_is_given_counts_more_than_the_ending() -> None:
    traffic = one(dataset={"path": "a.json", "format": "jsonl"}).traffic
    assert traffic.dataset is not None
    assert traffic.dataset.format == "jsonl"


def test_what_stands_beside_images() -> None:
    traffic = one(traffic="I(64,32,2)", images={"format": "jpeg", "prompt_tokens": 9, "output_tokens": 5}).traffic
    assert traffic.images == Images(width=64, height=32, count=2, format="jpeg")
    assert (traffic.input_tokens, traffic.output_tokens) == (Lengths(kind="fixed", first=9), Lengths(kind="fixed", first=5))


@pytest.mark.parametrize(("text", "documents"), [("E(64)", 8), ("R(64,100)", 8), ("D(8,8)", 1)])
def test_documents_belong_to_embeddings_and_ranking_only(text: str, documents: int) -> None:
    assert completed(parse_traffic(text), "cold", Options(documents=8)).documents == documents


def test_an_entry_of_include_may_change_one_case(tmp_path: Path) -> None:
    path = tmp_path / "x.bench.yaml"
    path.write_text(
        "hardware: cpu\nengine: llamacpp\nmatrix: {model: smollm2-135m, traffic: ['D(80,8)', 'D(90,8)'], concurrency: 1}\n"
        "include:\n  - {traffic: 'D(90,8)', turns: 2, think_time: 500ms}\n  - {traffic: 'D(70,8)', cache: warm}\n"
    )
    found = read_suite(path).cases()
    assert [(case.traffic.text, case.traffic.turns, case.traffic.cache) for case in found] == [
        ("D(80,8)", 1, "cold"),
        ("D(90,8)", 2, "cold"),
        ("D(70,8)", 1, "warm"),
    ]


def test_every_kind_of_traffic_has_known_apis() -> None:
    assert set(APIS_OF) == set(get_args(TrafficKind))
    assert {api for apis in APIS_OF.values() for api in apis} <= set(get_args(Api))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"traffic": "E(8)"}, "api: 'chat' cannot send E(8); it takes embeddings or template"),
        ({"traffic": "I(8,8)", "api": "completions"}, "api: 'completions' cannot send I(8,8); it takes chat or responses or "),
        ({"traffic": "dataset"}, 'dataset: is missing: traffic "dataset" needs a file, such as {path: prompts.jsonl}'),
        (
            {"traffic": "D(8,8)", "think_time": 2},
            "think_time: is the time between two turns, and there is one only; give turns as well",
        ),
        (
            {"traffic": "I(8,8)", "turns": 2},
            "turns: more than one needs a traffic of text such as D(512,128), not I(8,8)",
        ),
        (
            {"traffic": "D(8,8)", "turns": 2, "concurrency": None, "rate": 5, "max_in_flight": 3},
            "max_in_flight: is a cap on single requests, and does not go with turns; leave one out",
        ),
        (
            {"traffic": "D(8,8)", "cache": "warm", "duration": 5},
            "cache: 'warm' sends every prompt once before the load begins, so it needs a number of requests",
        ),
        (
            {"traffic": "D(8,8)", "cache": "shared"},
            "cache: 'shared' needs to know what is shared; give prefix, such as {tokens: 512}",
        ),
        (
            {"traffic": "I(8,8)", "cache": "shared"},
            "cache: 'shared' needs a traffic of text or a data set, not I(8,8)",
        ),
        (
            {"traffic": "D(8,8)", "prefix": {"tokens": 8}},
            "prefix: 8 tokens are all of a prompt of D(8,8), and a prompt needs a token of its own; ask for fewer",
        ),
        (
            {"traffic": "U(2,9)/(2,9)", "prefix": {"tokens": 8}},
            "prefix: 8 tokens are all of a prompt of U(2,9)/(2,9), and a prompt needs a token of its own; ask for fewer",
        ),
        (
            {"traffic": "P(2,8)/(1)", "prefix": {"tokens": 8}},
            "prefix: 8 tokens are all of a prompt of P(2,8)/(1), and a prompt needs a token of its own; ask for fewer",
        ),
        ({"traffic": "D(8,8)", "cache": "cold", "prefix": {"tokens": 4}}, "prefix: is in no case: it needs cache: shared"),
        ({"traffic": "D(8,8)", "dataset": {"path": "x.txt"}}, "dataset: is in no case: it needs traffic: dataset"),
        ({"traffic": "D(8,8)", "documents": 2}, "documents: is in no case: it needs traffic such as E(64) or R(64,100)"),
        ({"traffic": "D(8,8)", "images": {"format": "png"}}, "images: is in no case: it needs traffic such as I(512,512)"),
        ({"traffic": "D(8,8)", "cache": "hot"}, "cache: must be 'cold', 'warm' or 'shared', not 'hot'"),
        ({"traffic": "D(8,8)", "prefix": {}}, "prefix.tokens: is missing"),
        ({"traffic": "D(8,8)", "prefix": {"tokens": 4, "share": 0}}, "prefix.share: must be more than 0 and at most 1, not 0"),
        (
            {"traffic": "D(8,8)", "prefix": {"tokens": 4, "share": "120%"}},
            "prefix.share: must be more than 0 and at most 1, not 1.2",
        ),
        (
            {"traffic": "D(8,8)", "prefix": {"tokens": 4, "share": True}},
            'prefix.share: must be a share of all requests, such as 0.8 or "80%"',
        ),
        (
            {"traffic": "D(8,8)", "prefix": {"tokens": 4, "number": 2}},
            "prefix.number: unknown field; known: tokens, share, count",
        ),
        (
            {"dataset": {"path": "x.jsonl", "prompt": "{a"}},
            "dataset.prompt: '{a' has a brace that stands alone; write {field}, or {{ for a brace itself",
        ),
        ({"traffic": "D(8,8)", "turns": 0}, "turns: must be at least 1, not 0"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cases(**fields)
    assert str(caught.value).startswith(f"/suites/test_x.py:3: {problem}")
