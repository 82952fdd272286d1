from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.guidellm import FORMAT
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "commands" / "guidellm.sh").read_text()
PLAIN = (
    "guidellm benchmark run --target http://h:1 --model m --profile constant --rate 2 --max-requests 10 "
    "--data prompt_tokens=8,output_tokens=4"
)


def read(text: str, *, lenient: bool = False) -> tuple[Imported, ...]:
    return FORMAT.read(Source(path="guide.sh", text=text), lenient=lenient)


def suite(old: str = "", new: str = "") -> dict[str, Any]:
    assert old in PLAIN
    return dict(read(PLAIN.replace(old, new))[0].suite)


def test_each_command_of_a_file_is_a_suite() -> None:
    ids = [[case.id.rpartition("tp1-")[2] for case in suite_of(one).cases()] for one in read(EXAMPLE)]
    assert ids[0] == ["d256x128-r1const", "d256x128-r2.5const"]
    assert ids[1] == ["n500.20x50.0-shared-c4", "n500.20x50.0-shared-c8"]
    assert (ids[2][0], len(ids[2])) == ("d8x8-c1", 10)


@pytest.mark.parametrize(
    ("profile", "matrix", "load"),
    [
        ("--profile synchronous", {"concurrency": 1}, {}),
        ("--profile concurrent --rate 2,4", {"concurrency": [2, 4]}, {}),
        ("--profile concurrent --rate 2 --rampup 5", {"concurrency": [2]}, {"ramp_up": 5}),
        ("--profile throughput", {"rate": "inf"}, {}),
        ("--profile throughput --rate 64", {"concurrency": [64]}, {}),
        ("--rate-type poisson --rate 0.5", {"rate": [0.5]}, {"arrival": "poisson"}),
        ("--profile async --rate 3", {"rate": [3]}, {"arrival": "constant"}),
        ("--profile sweep --rate 5", {"sweep": 3}, {"arrival": "constant"}),
    ],
)
def test_profiles_are_kinds_of_load(profile: str, matrix: dict[str, Any], load: dict[str, Any]) -> None:
    found = suite("--profile constant --rate 2", profile)
    assert {name: found["matrix"][name] for name in found["matrix"] if name not in ("model", "traffic")} == matrix
    assert found["load"] == {"requests": 10, **load}


def test_a_share_of_the_requests_may_be_a_warm_up() -> None:
    assert suite("--max-requests 10", "--max-requests 100 --warmup 0.25")["load"] == {
        "requests": 75,
        "warmup": 25,
        "arrival": "constant",
    }


def test_data_is_read_as_pairs_as_json_or_from_a_file() -> None:
    pairs = suite("prompt_tokens=8,output_tokens=4", "prompt_tokens=8,output_tokens=4,output_tokens_stdev=2,turns=3")
    assert (pairs["matrix"]["traffic"], pairs["turns"]) == ("N(8,0)/(4,2)", 3)
    assert (
        suite("prompt_tokens=8,output_tokens=4", '\'{"prompt_tokens": 8, "output_tokens": 4}\'')["matrix"]["traffic"] == "D(8,4)"
    )
    assert suite("prompt_tokens=8,output_tokens=4", "rows.jsonl")["dataset"] == {"path": "rows.jsonl"}


def test_a_prefix_comes_on_top_of_the_prompt() -> None:
    found = suite("prompt_tokens=8", "prompt_tokens=8,prefix_tokens=100")
    assert (found["matrix"]["traffic"], found["prefix"]) == ("D(108,4)", {"tokens": 100})


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("--profile constant", "--profile constand", "--profile: 'constand' is no profile (did you mean 'constant'?)"),
        ("--rate 2", "", "--rate: is missing, which the profile constant needs"),
        ("--rate 2", "--rate x", "--rate: must be a number above 0, not 'x'"),
        ("--max-requests 10", "", "has neither --max-seconds nor --max-requests, and would not end before its data does"),
        (
            "constant --rate 2 --max-requests 10",
            "sweep --max-seconds 9",
            "--max-seconds: cannot end a load here that sends everything at once",
        ),
        ("prompt_tokens=8", "prompt_token=8", "--data: 'prompt_token' is not known (did you mean 'prompt_tokens'?)"),
        ("prompt_tokens=8,", "", "--data: has no prompt_tokens"),
        ("prompt_tokens=8", "prompt_tokens=8,prompt_tokens_min=2", "--data: prompt_tokens_min: normally distributed lengths"),
        (
            "prompt_tokens=8,output_tokens=4",
            "org/rows",
            "--data: 'org/rows' is a data set on a hub, which is not downloaded here",
        ),
        ("prompt_tokens=8,output_tokens=4", "'{1}'", "--data: is not JSON"),
        ("--model m", "", "--model: is missing: guidellm asks the server for it"),
        (
            "--model m",
            "--model m --max-error 3",
            "--max-error: unknown option (did you mean '--max-errors'?); guidellm refuses it",
        ),
        ("--model m", "--model m --max-errors 3", "--max-errors: a load does not end for its errors here"),
        ("--model m", "--model m --request-type audio", "--request-type: 'audio' cannot be sent here"),
        ("--model m", "--model m --backend vllm_python", "--backend: 'vllm_python' sends nothing over HTTP"),
        ("--profile constant --rate 2", "--profile synchronous --rate 2", "--rate: is swallowed with the profile synchronous"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert old in PLAIN
    with pytest.raises(ConfigError) as error:
        read(PLAIN.replace(old, new, 1))
    assert problem in str(error.value)


def test_only_benchmarks_are_measured() -> None:
    with pytest.raises(ConfigError, match="holds no command that can be read"):
        read("guidellm benchmark from-file report.json")
