from pathlib import Path

import pytest

from pytest_inferbench.cases.formats.dynamo_command import FORMAT
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.cases.formats.registry import suite_of
from pytest_inferbench.errors import ConfigError

EXAMPLE = (Path(__file__).parent / "examples" / "commands" / "dynamo.sh").read_text()
PLAIN = "python3 -m benchmarks.utils.benchmark --benchmark_name agg --endpoint_url http://localhost:8000"


def read(text: str, *, lenient: bool = False) -> tuple[Imported, ...]:
    return FORMAT.read(Source(path="dynamo.sh", text=text), lenient=lenient)


def test_the_environment_says_which_concurrencies_and_how_many_requests() -> None:
    (imported,) = read(EXAMPLE)
    cases = suite_of(imported).cases()
    assert imported.name == "agg"
    assert [(case.load.concurrency, case.load.requests) for case in cases] == [(1, 20), (4, 20)]
    assert {case.traffic.text for case in cases} == {"N(512,10)/(64,0)"}


def test_unsaid_it_is_dynamos_own() -> None:
    cases = suite_of(read(PLAIN)[0]).cases()
    assert [(case.load.concurrency, case.load.requests) for case in cases] == [
        *((1, 10), (2, 10), (5, 15), (10, 30), (50, 150), (100, 300), (250, 750)),
    ]
    assert cases[0].traffic.text == "N(2000,10)/(256,0)"
    assert cases[0].model == "Qwen/Qwen3-0.6B"


def test_several_inputs_are_several_suites() -> None:
    found = read("python -m benchmarks.utils.benchmark --input a=http://h:1 --input b=http://h:2 --std 0")
    assert [one.name for one in found] == ["a", "b"]
    assert "--inferbench-endpoint http://h:2" in " ".join(found[1].notes)
    assert found[0].suite["matrix"]["traffic"] == "D(2000,256)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "CONCURRENCIES=1,x " + PLAIN,
            "CONCURRENCIES: must be whole numbers with commas between, not '1,x'; the original warns and measures 1,2,5",
        ),
        ("REQUEST_COUNT=-1 " + PLAIN, "REQUEST_COUNT: must be a whole number, not '-1'; the original warns and takes 0"),
    ],
)
def test_what_the_original_only_warns_of_is_an_error_and_lenient_does_the_same(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert problem in str(error.value)
    assert read(text, lenient=True)[0].suite == read(PLAIN)[0].suite


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("agg", "plots", "'plots' is no name"),
        ("agg", "a.b", "'a.b' is no name"),
        ("--benchmark_name agg", "", "--benchmark_name is missing"),
        ("--benchmark_name agg", "--input agg", "--input: must be label=URL, not 'agg'"),
        ("--endpoint_url", "--isl 0 --endpoint_url", "--isl: must be a whole number from 1, not '0'"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(PLAIN.replace(old, new))
    assert problem in str(error.value)
