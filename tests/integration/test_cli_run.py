"""The command ``inferbench`` as people type it, against a server that answers as it should."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_inferbench.load.loopback import Loopback
from tests.sessions import QUICK, STEADY, Started, files_of, inferbench_argv

KEY = "sk-verysecret0123456789abcdef"
FILES = [
    *("manifest.json", "metrics.csv", "requests.parquet", "results.csv", "results.json"),
    *("results.parquet", "run.json", "summary.json", "throughput_latency.png"),
]


@pytest.fixture(scope="module")
def quick() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


def inferbench(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    with Started(inferbench_argv(*arguments), folder, **env) as command:
        code = command.end()
        assert "Traceback" not in command.output
        return code, command.output


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_passed_run_is_0_and_leaves_the_files_of_a_case(tmp_path: Path, quick: Loopback) -> None:
    flags = (
        "--requests=6",
        "--traffic=D(8,4)",
        "--slo",
        "ttft_p99<=30s",
        "--slo",
        "error_rate<=0",
        "--output=out",
        "--confidence=observed",
    )
    code, text = inferbench(tmp_path, "run", f"--endpoint={quick.url}", *flags)
    assert code == 0, text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert len(rows(tmp_path / "out")) == 6
    assert "openai-loopback" not in text
    assert "note: prompt lengths are estimated: no tokenizer was given; give one with --tokenizer PATH" in text
    assert text.endswith("results: out\n")
    assert not (tmp_path / "reports").exists()


def test_without_a_folder_the_files_lie_where_those_of_pytest_do(tmp_path: Path, quick: Loopback) -> None:
    code, text = inferbench(tmp_path, "run", f"--endpoint={quick.url}", "--requests=2", "--traffic=D(8,4)", "-q")
    assert code == 0
    (run,) = (tmp_path / "reports" / "runs").iterdir()
    assert (tmp_path / "reports" / "latest").resolve() == run
    assert text.endswith(f"results: {run.relative_to(tmp_path)}\n")


def test_a_missed_objective_is_1_and_says_how_to_run_it_again(tmp_path: Path) -> None:
    with Loopback.start(STEADY) as server:
        flags = (
            f"--endpoint={server.url}",
            "--requests=3",
            "--traffic=D(8,4)",
            "--slo",
            "ttft_p50 <= 100ms",
            "--confidence=observed",
        )
        code, text = inferbench(tmp_path, "run", *flags, "--output=out")
        assert code == 1
        assert re.search(r"SLO missed: ttft_ms_p50 = [\d.]+, limit 100", text)
        (again,) = (line.split("again   ")[1] for line in text.splitlines() if "  again   " in line)
        flags_again = "--requests=3 '--traffic=D(8,4)' --slo 'ttft_p50 <= 100ms' --confidence=observed"
        assert again == f"inferbench run --endpoint={server.url} {flags_again}"
        code, _ = inferbench(tmp_path, *shlex.split(again)[1:])
    assert code == 1


def test_figures_that_prove_nothing_are_3(tmp_path: Path, quick: Loopback) -> None:
    # One token has no time between tokens, so an objective on it cannot be decided.
    flags = ("--requests=2", "--traffic=D(8,1)", "--slo", "tpot_p50 <= 1s", "--output=out")
    code, text = inferbench(tmp_path, "run", f"--endpoint={quick.url}", *flags)
    assert code == 3
    assert "INCONCLUSIVE: tpot_p50 <= 1000ms: could not be measured" in text


def test_too_few_requests_are_3_and_say_how_many_more_would_tell(tmp_path: Path, quick: Loopback) -> None:
    flags = ("--requests=6", "--traffic=D(8,4)", "--slo", "ttft_p99 <= 30s", "--output=out")
    code, text = inferbench(tmp_path, "run", f"--endpoint={quick.url}", *flags)
    assert code == 3
    assert "INCONCLUSIVE: ttft_p99 <= 30000ms: " in text
    assert "6 requests count as " in text
    assert " more would tell" in text


def test_a_folder_is_never_used_twice(tmp_path: Path, quick: Loopback) -> None:
    flags = ("run", f"--endpoint={quick.url}", "--requests=2", "--traffic=D(8,4)", "--output=out")
    assert inferbench(tmp_path, *flags)[0] == 0
    before = (tmp_path / "out" / "results.json").read_bytes()
    code, text = inferbench(tmp_path, *flags)
    assert code == 2
    assert "error: --output: out holds run 2" in text
    assert "choose another folder with --output, or move it away" in text
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_an_open_loop_of_the_other_api_for_a_while(tmp_path: Path, quick: Loopback) -> None:
    shape = ("--api=completions", "--traffic=U(4,9)/(2,5)", "--rate=20", "--arrival=constant", "--duration=1s", "--warmup=2")
    code, text = inferbench(tmp_path, "run", f"--endpoint={quick.url}", *shape, "--model=loopback", "--seed=1", "--output=out")
    assert code == 0, text
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["case"]["load"]["rate_per_s"] == 20
    assert summary["case"]["api"] == "completions"
    assert len(rows(tmp_path / "out")) == 20
    assert {int(row["resp_tokens"]) for row in rows(tmp_path / "out")} <= {2, 3, 4}


def test_the_same_seed_sends_the_same_bytes(tmp_path: Path, quick: Loopback) -> None:
    def plan(*more: str) -> str:
        folder = f"out-{len(list(tmp_path.glob('out-*')))}"
        flags = ("--requests=3", "--traffic=D(8,4)", f"--output={folder}")
        assert inferbench(tmp_path, "run", f"--endpoint={quick.url}", *flags, *more)[0] == 0
        found: str = json.loads((tmp_path / folder / "summary.json").read_text(encoding="utf-8"))["planned"]["sha256"]
        return found

    assert plan("--seed=4") == plan("--seed=4")


def test_extra_fields_reach_the_wire(tmp_path: Path, quick: Loopback) -> None:
    # The loopback takes its number of tokens from a field of the request.
    body = '{"max_tokens": 2, "max_completion_tokens": 2}'
    flags = ("--requests=2", "--traffic=D(8,4)", "--extra-body", body, "--output=out")
    assert inferbench(tmp_path, "run", f"--endpoint={quick.url}", *flags)[0] == 0
    assert {row["resp_tokens"] for row in rows(tmp_path / "out")} == {"2"}


def test_a_tokenizer_makes_lengths_exact_and_is_on_record(tmp_path: Path, quick: Loopback) -> None:
    vocabulary = {"[UNK]": 0}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    text = json.dumps({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model})
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    flags = ("--requests=2", "--traffic=D(8,4)", "--tokenizer=.", "--output=out")
    code, output = inferbench(tmp_path, "run", f"--endpoint={quick.url}", *flags)
    assert code == 0, output
    assert "note: prompt lengths are estimated" not in output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["planned"]["tokenizer"] == "tokenizer.json"


def test_the_doctor_and_the_schema_answer(tmp_path: Path) -> None:
    code, text = inferbench(tmp_path, "doctor")
    assert code == 0
    assert "Python" in text
    code, text = inferbench(tmp_path, "schema")
    assert code == 0
    assert json.loads(text)["title"] == "pytest-inferbench suite"
    assert [path.name for path in files_of(tmp_path)] == ["out.txt"]
