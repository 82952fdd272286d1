from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.cases.formats.vllm_bench import FORMAT
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "commands" / "vllm.sh").read_text()
PLAIN = "vllm bench serve --model m --num-prompts 10"


def read(text: str, *, lenient: bool = False) -> tuple[Imported, ...]:
    return FORMAT.read(Source(path="v.sh", text=text), lenient=lenient)


def suite(more: str = "") -> dict[str, Any]:
    return dict(read(f"{PLAIN} {more}")[0].suite)


def test_each_command_of_a_file_is_a_suite() -> None:
    ids = [[case.id.rpartition("tp1-")[2] for case in suite_of(one).cases()] for one in read(EXAMPLE)]
    assert ids == [
        ["u512.1537x64.193-r4gamma0.5max32"],
        ["dataset.sharegpt_v3_unfiltered_cleaned_split-c16"],
        ["d150x10-shared-rinf"],
    ]


def test_unsaid_it_sends_everything_at_once_as_the_tool_does() -> None:
    assert suite() == {
        "suite": "v",
        "hardware": "cpu",
        "engine": "openai",
        "api": "completions",
        "matrix": {"model": "m", "traffic": "D(1024,128)", "rate": "inf"},
        "load": {"requests": 10},
    }


@pytest.mark.parametrize(
    ("more", "level", "load"),
    [
        ("--request-rate 2", {"rate": 2}, {}),
        ("--request-rate 2 --burstiness 1", {"rate": 2}, {}),
        ("--request-rate 2 --max-concurrency 8", {"rate": 2}, {"max_in_flight": 8}),
        ("--request-rate inf --max-concurrency 8", {"concurrency": 8}, {}),
        ("--num-warmups 3", {"rate": "inf"}, {"warmup": 3}),
        (
            "--ramp-up-strategy linear --ramp-up-start-rps 1 --ramp-up-end-rps 5",
            {"rate": 5},
            {"arrival": "linear", "ramp_from": 1},
        ),
    ],
)
def test_rates_caps_and_ramps_are_kinds_of_load(more: str, level: dict[str, Any], load: dict[str, Any]) -> None:
    found = suite(more)
    assert {name: found["matrix"][name] for name in level} == level
    assert found["load"] == {"requests": 10, **load}


def test_sampling_is_in_the_body_of_every_request() -> None:
    found = suite("--temperature 0.5 --top-k -1 --ignore-eos --extra-body '{\"min_tokens\": 3}'")
    assert found["extra_body"] == {"temperature": 0.5, "top_k": -1, "ignore_eos": True, "min_tokens": 3}


def test_rows_of_files_are_data_sets() -> None:
    assert suite("--dataset-name sharegpt --dataset-path s.json --sharegpt-output-len 9")["dataset"] == {
        "path": "s.json",
        "format": "sharegpt",
        "output_tokens": 9,
    }
    assert suite("--dataset-name custom --dataset-path p.jsonl")["dataset"]["output_tokens"] == 256


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("--request-rates 3", "--request-rates: unknown option (did you mean '--request-rate'?)"),
        ("--req 3", "--req: unknown option"),
        ("--max-conc 3", "--max-conc: is no option; vllm bench serve takes it for --max-concurrency"),
        ("--backend openai-audio", "--backend: 'openai-audio' is not known here"),
        ("--endpoint /v1/chat/completions", "--endpoint: is that of chats, and backend 'openai' sends completions there"),
        ("--dataset-name hf", "--dataset-name: 'hf' cannot be read here; random, sharegpt, and custom"),
        ("--random-range-ratio 1", "--random-range-ratio: must be less than 1, not 1"),
        ("--random-range-ratio 0.5 --random-prefix-len 9", "--random-range-ratio: does not go with --random-prefix-len"),
        ("--ramp-up-strategy log", "--ramp-up-strategy: must be linear or exponential, not 'log'"),
        ("--ramp-up-strategy linear", "--ramp-up-strategy: needs --ramp-up-start-rps and --ramp-up-end-rps"),
        ("--extra-body '[]'", "--extra-body: must be a JSON object"),
        ("--header A=secret", "--header: headers may hold secrets: write them in the suite, as ${NAME}"),
    ],
)
def test_what_is_wrong_is_told(more: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        suite(more)
    assert str(error.value).startswith("v.sh:1: ")
    assert problem in str(error.value)
    assert "secret" not in str(error.value).replace("hold secrets", "")


def test_a_model_must_be_named() -> None:
    with pytest.raises(ConfigError, match="--model: is missing"):
        read("vllm bench serve --num-prompts 3")


def test_limits_for_single_requests_are_told_of() -> None:
    (imported,) = read(f"{PLAIN} --goodput ttft:100 tpot:50")
    assert sum("is a limit for single requests" in note for note in imported.notes) == 2
