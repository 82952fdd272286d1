from __future__ import annotations

from typing import Any

import pytest

from pytest_inferbench.cases.case import Load
from pytest_inferbench.cli import main
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.inferx_options import NAMES, as_native, inferx_names
from pytest_inferbench.single_run import cases_from_flags

URL = "http://localhost:8000"


def typed(**given: Any) -> tuple[dict[str, Any], set[str]]:
    """The flags that the command hands over, and which of them a person wrote; endpoint included."""
    wrote = {"endpoint": f"{URL}/v1/completions", **given}
    words: list[str] = []
    for name, value in wrote.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    command = main.commands["run"]
    return dict(command.make_context("run", words).params), set(wrote)


def native(**given: Any) -> dict[str, Any]:
    return as_native(*typed(**given))


def test_without_flags_of_inferx_everything_is_as_it_was() -> None:
    flags, given = typed(rate="5", concurrency=2)
    assert as_native(flags, given) == {name: value for name, value in flags.items() if name not in NAMES[:-1]}
    with pytest.raises(ConfigError, match=r"^--rate and --concurrency: give one of them: .*, which --max-in-flight caps$"):
        cases_from_flags(as_native(flags, given))


def test_its_first_example_is_an_open_loop_with_a_cap() -> None:
    flags = native(
        endpoint=f"{URL}/v1/generate",
        duration="60",
        rate="20",
        concurrency=8,
        prompt_dist="uniform",
        min_tokens="8",
        max_tokens="128",
        outdir="./results/run1",
        gpu_monitor=True,
    )
    (case,) = cases_from_flags(flags)
    assert (flags["endpoint"], flags["output"], flags["gpu_monitor"]) == (URL, "./results/run1", True)
    assert case.load == Load(rate_per_s=20, arrival="poisson", duration_s=60, requests=None, max_in_flight=8)
    assert (case.api, case.traffic.input_tokens.first, case.traffic.input_tokens.second) == ("completions", 8, 129)
    assert case.api_options.path == "/v1/generate"


def test_its_second_example_sends_its_own_body() -> None:
    body = '{"model":"TinyLlama/TinyLlama-1.1B-Chat-v1.0","prompt":"{prompt}","max_tokens":128}'
    flags = native(duration="120", rate="50", concurrency=16, request_body_template=body, outdir="r", gpu_monitor=True)
    (case,) = cases_from_flags(flags)
    assert (case.api, case.model) == ("template", "TinyLlama/TinyLlama-1.1B-Chat-v1.0")
    assert case.load == Load(rate_per_s=50, arrival="poisson", duration_s=120, requests=None, max_in_flight=16)
    assert case.traffic.output_tokens.first == 128


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"outdir": "r", "traffic": "D(5,5)"}, {"traffic": "D(5,5)", "concurrency": 1}),
        ({"outdir": "r", "sweep": 3}, {"sweep": 3, "concurrency": None}),
        ({"prompt_dist": "choices", "choices_tokens": "32,64"}, {"traffic": "P(32,64)/(128)", "api": "completions"}),
        ({"gpu_monitor": True, "api": "chat", "model": "mine"}, {"api": "chat", "model": "mine"}),
        ({"sample_prompts_file": "p.txt"}, {"dataset": "p.txt", "dataset_format": "lines", "traffic": None}),
    ],
)
def test_what_a_person_wrote_stays_beside_them(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert native(**given).items() >= expected.items()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"prompt_dist": "uniform", "traffic": "D(8,8)"}, "--traffic: says what --prompt-dist says as well; keep one"),
        ({"sample_prompts_file": "p", "dataset": "d"}, "--dataset: says what --sample-prompts-file says as well; keep one"),
        ({"outdir": "a", "output": "b"}, "--output: says what --outdir says as well; keep one"),
        (
            {"gpu_monitor": True, "rate": "5", "concurrency": 2, "max_in_flight": 3},
            "--max-in-flight: says what --concurrency says as well; keep one",
        ),
        ({"prompt_dist": "normal"}, "--prompt-dist: must be uniform or choices, not 'normal'"),
        ({"min_tokens": "9", "max_tokens": "8"}, "--min-tokens: is more than --max-tokens, which is 8"),
        ({"request_body_template": "{"}, "--request-body-template: is not JSON"),
    ],
)
def test_a_flag_that_cannot_be_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        native(**given)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("given", "file", "told"),
    [
        ({"outdir"}, "--output", "--outdir: is full"),
        ({"output"}, "--output", "--output: is full"),
        ({"sample_prompts_file"}, "--dataset", "--sample-prompts-file: is full"),
        ({"outdir"}, "--endpoint", "--endpoint: is full"),
    ],
)
def test_a_mistake_names_the_flag_that_was_written(given: set[str], file: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught, inferx_names(given):
        raise ConfigError("is full", file=file)
    assert str(caught.value) == told
