from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.cases.formats.convert import converted
from pytest_inferbench.cases.formats.registry import suites_of
from pytest_inferbench.cases.suite import Suite, read_suite
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.engines.registry import engine
from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.load.plan import Recipe, make_plan
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.load.tokens import counter_for

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

EXAMPLES = Path(__file__).parent / "examples"
FILES = tuple(sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()))


def copied(folder: Path) -> Path:
    """The examples, in a folder that may be written to."""
    return Path(shutil.copytree(EXAMPLES, folder / "examples"))


def plan_hash(case: Case) -> str:
    """Of the bytes that are sent; the same seed for everybody."""
    counter = counter_for(TokenizerRef(kind="none"))
    with closing(make_plan(Recipe(case=case, model="m", extra_body={}, seeds=draw_seeds(1), counter=counter))) as plan:
        return plan.sha256


def cases(suites: Iterable[Suite]) -> list[Case]:
    """The cases without the place where each is written, which is the one thing that a conversion changes."""
    return [replace(case, origin=None) for suite in suites for case in suite.cases()]


def command(case: Case) -> object:
    """What its server is started with; the error where this machine lacks it."""
    try:
        return engine(case.engine.name).server(case)
    except InferbenchError as error:
        return str(error)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("overrides", [{}, {"engine": "llamacpp", "model": "smollm2-135m", "requests": "3"}])
def test_a_converted_file_makes_the_same_cases_and_servers(tmp_path: Path, name: str, overrides: dict[str, str]) -> None:
    source = copied(tmp_path) / name
    target = source.parent / "suite.bench.yaml"
    target.write_text(converted(source, overrides=overrides), encoding="utf-8")
    original = cases(suite for _, suite in suites_of(source, overrides=overrides))
    again = cases([read_suite(target)])
    assert again == original
    assert [command(case) for case in again] == [command(case) for case in original]


@pytest.mark.parametrize("name", FILES)
def test_a_converted_file_sends_the_same_bytes(tmp_path: Path, name: str) -> None:
    # The data sets that some of them name are not here.
    overrides = {"requests": "2", "warmup": "0", "concurrency": "2", "traffic": "U(4,9)/(2,5)"}
    source = copied(tmp_path) / name
    target = source.parent / "suite.bench.yaml"
    target.write_text(converted(source, overrides=overrides), encoding="utf-8")
    original = cases(suite for _, suite in suites_of(source, overrides=overrides))[:3]
    hashes = [plan_hash(case) for case in original]
    assert [plan_hash(case) for case in cases([read_suite(target)])[:3]] == hashes
    assert all(hashes)


@pytest.mark.parametrize("name", FILES)
def test_a_converted_file_makes_the_same_cases_in_another_folder(tmp_path: Path, name: str) -> None:
    source = copied(tmp_path / "there") / name
    target = tmp_path / "here" / "suite.bench.yaml"
    target.parent.mkdir()
    target.write_text(converted(source, folder=target.parent), encoding="utf-8")
    assert cases([read_suite(target)]) == cases(suite for _, suite in suites_of(source))


def test_a_tool_is_converted_with_it(tmp_path: Path) -> None:
    overrides: dict[str, Any] = {"tool": "container"}
    source = EXAMPLES / "benchflow_two.json"
    target = tmp_path / "suite.bench.yaml"
    target.write_text(converted(source, overrides=overrides, folder=tmp_path), encoding="utf-8")
    again = cases([read_suite(target)])
    assert again == cases(suite for _, suite in suites_of(source, overrides=overrides))
    assert all(case.tool is not None for case in again)


def test_what_is_not_carried_over_stands_in_comments() -> None:
    lines = converted(EXAMPLES / "benchflow_two.json").splitlines()
    assert lines[0] == "# From benchflow_two.json (BenchFlow JSON) by inferbench convert."
    assert "  # service.container_name is not carried over: the launcher chooses it." in lines
    assert "suite: benchflow_two" in lines
    assert lines.index("parts:") < lines.index("  - label: qwen-3-8b")


def test_one_suite_needs_no_parts(tmp_path: Path) -> None:
    source = tmp_path / "one.json"
    source.write_text(
        '[{"test_name": "latency_a", "parameters": {"model": "org/a", "batch_size": 2, "num_iters": 3}}]', encoding="utf-8"
    )
    assert converted(source) == (
        "# From one.json (vLLM CI JSON) by inferbench convert.\n"
        "# a batch of 2 prompts is 2 users of a closed loop, who do not wait for each other.\n"
        "suite: one\nlabel: latency_a\nhardware: gpu\nengine:\n  name: vllm\napi: completions\n"
        'matrix:\n  model: org/a\n  tensor_parallel: 1\n  traffic: "D(32,128)"\n  concurrency: 2\n'
        "load:\n  requests: 6\n  warmup: 20\n"
    )
