from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_inferbench.cases.formats.format import Source
from pytest_inferbench.cases.formats.reading import Reading
from pytest_inferbench.cases.formats.vllm_bench_options import content, levelled, parameters, served
from pytest_inferbench.cases.traffic import parse_traffic
from pytest_inferbench.errors import ConfigError


def of(**options: Any) -> tuple[Reading, Any]:
    source = Source(path="x.json", text=json.dumps({"p": options}))
    reading = Reading(source=source, document=source.document(), lenient=False)
    return reading, parameters(reading, ("p",))


def sent(**options: Any) -> dict[str, Any]:
    reading, given = of(**options)
    return content(reading, given, "org/a")


def test_what_is_absent_is_what_vllm_takes() -> None:
    assert sent() == {"api": "completions", "matrix": {"traffic": "D(1024,128)"}, "load": {"requests": 1000}}


def test_a_range_of_lengths_holds_both_of_its_ends() -> None:
    text = sent(random_input_len=100, random_output_len=10, random_range_ratio=0.2)["matrix"]["traffic"]
    assert text == "U(80,121)/(8,13)"
    lengths = parse_traffic(text).input_tokens
    assert (lengths.first, lengths.second - 1) == (80, 120)


def test_a_prefix_is_a_part_of_the_prompt() -> None:
    found = sent(random_input_len=100, random_output_len=10, random_prefix_len=50)
    assert (found["matrix"]["traffic"], found["prefix"]) == ("D(150,10)", {"tokens": 50})
    assert sent(dataset_name="sonnet")["prefix"] == {"tokens": 200}


def test_how_requests_are_spelled_and_come_is_carried_over() -> None:
    found = sent(backend="openai-chat", endpoint="/v2/chat", temperature=0, extra_body={"a": 1}, burstiness=0.5, num_warmups=3)
    assert (found["api"], found["path"], found["extra_body"]) == ("chat", "/v2/chat", {"temperature": 0, "a": 1})
    assert found["load"] == {"requests": 1000, "warmup": 3, "arrival": "gamma", "burstiness": 0.5}


def test_a_data_set_of_lines_is_read_with_its_lengths() -> None:
    found = sent(dataset_name="custom", dataset_path="x.jsonl", custom_output_len=64)
    assert found["dataset"] == {"path": "x.jsonl", "format": "jsonl", "output_tokens": 64}
    with pytest.raises(ConfigError, match=r"x.json:1: p.dataset_name: needs dataset_path"):
        sent(dataset_name="custom")


def test_a_cap_makes_a_closed_loop_of_all_at_once_and_stays_a_cap_at_a_rate() -> None:
    suite = {"matrix": {"model": "a"}, "load": {"requests": 5, "arrival": "gamma", "burstiness": 2.0}}
    closed, first, second = levelled(suite, ["inf", 2], [4, 8])
    assert closed == {"matrix": {"model": "a", "concurrency": [4, 8]}, "load": {"requests": 5}}
    assert (first["matrix"]["rate"], first["load"]["max_in_flight"], second["load"]["max_in_flight"]) == ([2], 4, 8)
    assert levelled(suite, ["inf"], []) == [{"matrix": {"model": "a", "rate": ["inf"]}, "load": suite["load"]}]


def test_a_server_has_its_options_and_the_case_its_own() -> None:
    reading, given = of(model="org/a", tensor_parallel_size=2, port=1, kv_transfer_config={"a": 1}, enforce_eager="")
    found = served(reading, given, {"A": 1, "KEY_TOKEN": "abc1"})
    assert (found.model, found.tensor_parallel) == ("org/a", 2)
    assert found.engine["args"] == {"kv-transfer-config": '{"a": 1}', "enforce-eager": None}
    assert found.engine["env"] == {"A": "1", "KEY_TOKEN": "${KEY_TOKEN}"}
    reading, given = of(model="org/a", pipeline_parallel_size=2)
    with pytest.raises(ConfigError, match=r"p: spreads the server over more GPUs than tensor_parallel says"):
        served(reading, given, {})
