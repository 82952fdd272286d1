from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_inferbench.cases.case import Origin
from pytest_inferbench.cases.formats import registry
from pytest_inferbench.cases.formats.format import Imported, Source
from pytest_inferbench.errors import ConfigError

pytest_plugins = ["pytester"]

MATRIX = {"hardware": "cpu", "engine": "vllm", "model": ["a", "b"], "traffic": "D(8,8)", "concurrency": 1}


@dataclass(frozen=True)
class Plain:
    """A format of the tests: a JSON object with a list of benchmarks."""

    name: str = "plain"
    title: str = "Plain"

    def recognises(self, path: Path, text: str) -> bool:
        return path.suffix == ".json" and '"benchmarks"' in text

    def read(self, source: Source, *, lenient: bool) -> tuple[Imported, ...]:
        benchmarks: list[Mapping[str, Any]] = json.loads(source.text)["benchmarks"]
        if not benchmarks and not lenient:
            raise ConfigError("holds no benchmark", file=source.path, line=1, field="benchmarks")
        return tuple(
            Imported(name=f"suite{number}", suite={"matrix": {**MATRIX, **each}}, origin=Origin(file=source.path, line=1))
            for number, each in enumerate(benchmarks)
        )


@pytest.fixture(autouse=True)
def one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "formats", lambda: (Plain(),))


def written(pytester: pytest.Pytester, *benchmarks: Mapping[str, Any]) -> Path:
    path = pytester.path / "other.json"
    path.write_text(json.dumps({"benchmarks": benchmarks}), encoding="utf-8")
    return path


def collected(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:asyncio", "--collect-only", "-q", *arguments)


def test_a_file_that_is_named_is_collected_as_cases(pytester: pytest.Pytester) -> None:
    written(pytester, {})
    result = collected(pytester, "other.json")
    result.stdout.fnmatch_lines(["other.json::cpu-vllm-a-tp1-d8x8-c1", "other.json::cpu-vllm-b-tp1-d8x8-c1"])


def test_a_file_that_only_lies_there_is_not(pytester: pytest.Pytester) -> None:
    written(pytester, {})
    collected(pytester).stdout.fnmatch_lines(["no tests collected*"])


def test_an_option_names_it_too_and_alone_is_all_there_is(pytester: pytest.Pytester) -> None:
    written(pytester, {"model": "a"})
    pytester.makepyfile("def test_other(): pass")
    alone = collected(pytester, "--inferbench-config=other.json")
    assert [line for line in alone.outlines if "::" in line] == ["other.json::cpu-vllm-a-tp1-d8x8-c1"]
    beside = collected(pytester, "--inferbench-config=other.json", ".")
    assert len([line for line in beside.outlines if "::" in line]) == 2


def test_what_is_asked_for_in_its_place_is_laid_over_it(pytester: pytest.Pytester) -> None:
    written(pytester, {"hardware": "h100", "tensor_parallel": 2})
    result = collected(pytester, "other.json", "--inferbench-override=engine=llamacpp,model=smollm2-135m")
    result.stdout.fnmatch_lines(["other.json::cpu-llamacpp-smollm2-135m-tp1-d8x8-c1"])


def test_its_cases_are_simulated_like_any_other(pytester: pytest.Pytester) -> None:
    written(pytester, {"model": "a"})
    collected(pytester, "other.json", "--inferbench-simulate").stdout.fnmatch_lines(["*-c1-simulated"])


def test_a_mistake_in_it_is_a_collection_error_with_file_line_and_field(pytester: pytest.Pytester) -> None:
    written(pytester)
    result = collected(pytester, "other.json")
    result.stdout.fnmatch_lines(["*other.json:1: benchmarks: holds no benchmark*"])
    assert "no tests" in collected(pytester, "other.json", "--inferbench-lenient").stdout.str()


def test_two_cases_of_one_id_are_an_error(pytester: pytest.Pytester) -> None:
    written(pytester, {"model": "a"}, {"model": "a"})
    collected(pytester, "other.json").stdout.fnmatch_lines(["*2 of its cases have the id 'cpu-vllm-a-tp1-d8x8-c1'*"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("missing.json", None, "there is no file"), ("else.json", "{}", "is none of the formats that can be read: Plain")],
)
def test_an_option_that_names_none_is_wrong_usage(pytester: pytest.Pytester, name: str, text: str | None, said: str) -> None:
    if text is not None:
        (pytester.path / name).write_text(text, encoding="utf-8")
    result = collected(pytester, f"--inferbench-config={name}")
    result.stderr.fnmatch_lines([f"*--inferbench-config: *{said}*"])


def test_an_override_that_makes_no_sense_is_wrong_usage(pytester: pytest.Pytester) -> None:
    written(pytester, {})
    collected(pytester, "other.json", "--inferbench-override=engin=x").stderr.fnmatch_lines(["*did you mean 'engine'*"])


def test_a_worker_is_told_by_whoever_started_it(pytester: pytest.Pytester) -> None:
    from pytest_inferbench.foreign import add_configs  # noqa: PLC0415 - beside its only use

    worker = SimpleNamespace(workerinput={}, getoption=lambda _: ["missing.json"])
    add_configs(worker)  # type: ignore[arg-type]  # as much of a configuration as is looked at
