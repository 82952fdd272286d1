from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.formats.aiperf import FORMAT
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "commands" / "aiperf.sh").read_text()
PLAIN = "aiperf profile -m m -u http://h:1 --streaming --concurrency 4 --request-count 10 --isl 8 --osl 4"


def read(text: str) -> tuple[Imported, ...]:
    return FORMAT.read(Source(path="a.sh", text=text), lenient=False)


def suite(old: str = "", new: str = "") -> dict[str, Any]:
    assert old in PLAIN
    return dict(read(PLAIN.replace(old, new))[0].suite)


def test_each_command_of_a_file_is_a_suite() -> None:
    ids = [[case.id.rpartition("tp1-")[2] for case in suite_of(one).cases()] for one in read(EXAMPLE)]
    assert ids == [["n550.20x256.0-r5max10"], ["d10x5-c4"]]


def test_a_rate_with_a_concurrency_is_an_open_loop_with_a_cap() -> None:
    found = suite("--concurrency 4", "--concurrency 4 --request-rate 2.5 --arrival-pattern constant")
    assert found["matrix"]["rate"] == 2.5
    assert found["load"] == {"requests": 10, "arrival": "constant", "max_in_flight": 4}


def test_answers_that_are_not_streamed_are_whole() -> None:
    assert suite("--streaming ", "")["stream"] is False
    assert "stream" not in suite()


def test_extra_inputs_are_fields_of_requests_but_for_the_length() -> None:
    found = suite("--osl 4", "--osl 4 --extra-inputs max_tokens:4 ignore_eos:true stop:end --extra-inputs '{\"top_k\": 1}'")
    assert found["extra_body"] == {"ignore_eos": True, "stop": "end", "top_k": 1}


def test_embeddings_have_no_answers() -> None:
    found = suite("--streaming", "--endpoint-type embeddings --endpoint /embed")
    assert (found["api"], found["matrix"]["traffic"], found["path"]) == ("embeddings", "E(8)", "/embed")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("--request-count 10", "", "has neither --request-count nor --benchmark-duration; say how much is to be sent"),
        ("--isl 8", "", "--synthetic-input-tokens-mean: is missing: how long are the prompts?"),
        ("--osl 4", "", "--output-tokens-mean: is missing: answers of any length cannot be compared"),
        ("--osl 4", "--osl 4 --extra-inputs top_k", "--extra-inputs: must be name:value, not 'top_k'"),
        ("--osl 4", "--osl 4 --extra-inputs {1}", "--extra-inputs: is not JSON"),
        ("--streaming", "--endpoint-type dynamic", "--endpoint-type: 'dynamic' cannot be sent here"),
        ("--streaming", "--endpoint-type rankings", "--endpoint-type: rankings need a file of texts"),
        ("--concurrency 4", "--request-rate 1 --arrival-pattern gamma", "--arrival-pattern: must be poisson or constant here"),
        ("--concurrency 4", "--concurrency 4,8", "--concurrency: must be a whole number from 1, not '4,8'"),
        ("--streaming", "--input-file rows.jsonl", "--input-file: its data sets and traces are not read here"),
        ("--streaming", "--stream", "--stream: unknown option (did you mean '--streaming'?); aiperf refuses it"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    assert old in PLAIN
    with pytest.raises(ConfigError) as error:
        read(PLAIN.replace(old, new, 1))
    assert problem in str(error.value)
