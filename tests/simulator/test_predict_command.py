"""``inferbench predict``: a suite or a matrix from the command line, and what is answered to wrong words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_inferbench.simulator.predict_command import predict
from tests.sessions import INI

MATRIX = ("--hardware", "h100", "--model", "llama-3.1-8b", "--requests", "4")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(predict, arguments)


def ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [each["case"] for each in json.loads(result.stdout)["cases"]]


def test_a_matrix_needs_no_suite() -> None:
    flags = ("--tp", "1,2", "--traffic", "D(64,8)", "--traffic", "D(8,4)", "--concurrency", "1,4", "--engine", "vllm,sglang")
    found = ids(run(*MATRIX, *flags, "--json"))
    assert len(found) == 16
    assert found[0] == "h100-vllm-llama-3.1-8b-tp1-d64x8-c1"
    assert found[-1] == "h100-sglang-llama-3.1-8b-tp2-d8x4-c4"


def test_several_kinds_of_hardware_and_rates_are_a_matrix_too() -> None:
    found = ids(run("--hardware", "h100,l4", "--model", "qwen3-0.6b", "--rate", "2,inf", "--requests", "4", "--json"))
    assert [each.partition("-")[0] for each in found] == ["h100", "h100", "l4", "l4"]
    assert [each.rpartition("-")[2] for each in found] == ["r2", "rinf", "r2", "rinf"]


def test_an_engines_own_options_count() -> None:
    plain, stored = run(*MATRIX, "--json"), run(*MATRIX, "--engine-arg", "quantization=fp8", "--json")
    name = "predicted_tpot_ms_p50"
    assert json.loads(stored.stdout)["cases"][0][name] < json.loads(plain.stdout)["cases"][0][name]


def test_the_table_is_for_people() -> None:
    result = run(*MATRIX, "--slo", "ttft_p99<=10s")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(line.startswith("PREDICTED") for line in lines)
    assert " met " in lines[2]


def test_csv_begins_with_its_names() -> None:
    assert run(*MATRIX, "--csv").stdout.startswith("case,hardware,engine,model,tensor_parallel,traffic,load,predicted_fits,")


def test_the_same_seed_prints_the_same() -> None:
    flags = (*MATRIX, "--traffic", "N(64,16)/(16,4)", "--rate", "5", "--csv")
    assert run(*flags, "--seed", "3").stdout == run(*flags, "--seed", "3").stdout
    assert run(*flags, "--seed", "3").stdout != run(*flags, "--seed", "4").stdout


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    return tmp_path


def test_a_suite_is_read_as_pytest_reads_it(project: Path) -> None:
    suite = project / "chat.bench.yaml"
    suite.write_text(
        "suite: chat\nhardware: h100\nengine: vllm\nload: {requests: 4}\nslo: [ttft_p99 <= 10s]\n"
        "matrix: {model: [llama-3.1-8b], traffic: ['D(64,8)'], tensor_parallel: [1, 2], concurrency: [1, 2]}\n"
    )
    assert ids(run(str(suite), "-k", "tp2", "--json")) == [
        "h100-vllm-llama-3.1-8b-tp2-d64x8-c1",
        "h100-vllm-llama-3.1-8b-tp2-d64x8-c2",
    ]
    assert ids(run(str(suite), "-m", "case(tp=1, concurrency=2)", "--json")) == ["h100-vllm-llama-3.1-8b-tp1-d64x8-c2"]


def test_that_a_model_does_not_fit_is_an_answer() -> None:
    result = run("--hardware", "l4", "--model", "llama-3.1-70b")
    assert result.exit_code == 0
    assert "does not fit" in result.stdout


def test_where_nothing_can_be_predicted_the_exit_code_says_so() -> None:
    result = run("--hardware", "h100", "--model", "nobody/knows")
    assert result.exit_code == 1
    assert "the shape of the model 'nobody/knows' is not known" in result.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "--hardware: give a suite, or --hardware and --model; such as --hardware h100 --model llama-3.1-8b"),
        (("--hardware", "h100"), "--model: give a suite, or --hardware and --model; such as "),
        (("--hardware", "h10", "--model", "llama-3.1-8b"), "--hardware: 'h10' is not a known hardware (did you mean 'h100'?)"),
        ((*MATRIX, "--tp", "x"), "--tp: 'x' is no whole number from 1; write such as 1,2,4"),
        ((*MATRIX, "--concurrency", "0"), "--concurrency: '0' is no whole number from 1; write such as 1,2,4"),
        ((*MATRIX, "--rate", "fast"), "--rate: 'fast' is no rate; write requests a second, such as 1,5,inf"),
        ((*MATRIX, "--rate", "1", "--concurrency", "1"), "--rate: give --concurrency or --rate, not both"),
        ((*MATRIX, "--traffic", "Z(1)"), "--traffic: 'Z(1)' is not a traffic; write D(in,out), "),
        ((*MATRIX, "--slo", "ttft<=1"), "--slo[0]: 'ttft<=1': ttft has many values; say which statistic: ttft_p99 "),
        ((*MATRIX, "--engine-arg", "x"), "--engine-arg: 'x' is not NAME=VALUE; write such as quantization=fp8"),
        ((*MATRIX, "-k", "tp2"), "-k: selects from a suite, and none is given"),
        ((*MATRIX, "-m", "slow"), "-m: selects from a suite, and none is given"),
        (("suites/", "--tp", "2"), "--tp: says what a suite says already; give the suite, or --tp without one"),
        (
            ("suites/", "--engine-arg", "a=b"),
            "--engine-arg: says what a suite says already; give the suite, or --engine-arg without",
        ),
    ],
)
def test_wrong_words_are_answered_with_their_flag_and_what_would_be_right(flags: tuple[str, ...], words: str) -> None:
    result = run(*flags)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {words}")


def test_a_suite_that_is_not_there_is_wrong_usage(project: Path) -> None:
    result = run(str(project / "none.bench.yaml"))
    assert result.exit_code == 2
    assert "none.bench.yaml" in result.stderr
