"""The table of compared clients, and one tiny round of this project's own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from suites.fidelity import peers
from suites.fidelity.accounts import Account
from suites.fidelity.million import ReplayFailed, replayed, row_of, write_trace
from suites.fidelity.million import line as million_line
from suites.fidelity.peer_places import NotInstalled, Places
from suites.fidelity.peer_tools import OURS, TOOLS, Report, Shape
from suites.fidelity.peers import COLUMNS, LOADS, QUICK, Bench, RunFailed, figures_of, line, measured, table
from suites.fidelity.tokenizer_folder import write_tokenizer
from suites.fidelity.truth import BUILT_IN, Served, Truth

ROOT = Path(__file__).parents[2]
SPENT = Account(code=0, wall_s=9.0, cpu_s=1.5, memory_mb_max=50.0, words="")
FAILED = {"failed": "exit code 1, no result: it broke"}


def truth() -> Truth:
    """A question beforehand, and two requests of three tokens, half a second apart; each took a second."""
    served = [Served(received_ns=at, first_ns=at + 100_000_000, last_ns=at + 1_000_000_000) for at in (1, 500_000_001)]
    asked = Served(received_ns=0, first_ns=7_000_000_000, last_ns=7_000_000_000)
    return Truth(url="", model="", pid=0, served=[asked, *served], gaps_ms=[[], [20.0, 22.0], [20.0, 24.0]])


def report(**more: object) -> Report:
    return Report(first_ms=[101.0, 103.0], whole_ms=[1002.0, 1004.0], **more)  # type: ignore[arg-type]  # any of its fields


def bench(folder: Path) -> Bench:
    cpus = sorted(os.sched_getaffinity(0))
    places = Places(cache=folder / "cache", given={"vllm": folder})
    return Bench(places=places, server=BUILT_IN, cpus=(cpus[0], cpus[-1]), tokenizer=write_tokenizer(folder / "tokenizer"))


def test_errors_are_held_against_what_the_server_says_of_the_requests_of_the_load() -> None:
    found = figures_of(SPENT, report(gaps_ms=[20.0, 22.0, 20.0, 25.0]), truth(), idle_cpu_s=0.9)
    assert found["first_p50_ms"] == pytest.approx(2.0)
    assert found["whole_p50_ms"] == pytest.approx(3.0)
    assert found["gap_p99_ms"] == pytest.approx(0.97, abs=0.01)
    assert found["cpu_us"] == pytest.approx(0.6e6 / 6)
    assert found["in_flight"] == pytest.approx(2.0 / 1.5)
    assert found["rate_per_s"] == pytest.approx(2.0)
    assert (found["requests"], found["lost"]) == (2, 0)


def test_a_mean_gap_of_a_request_is_held_against_means() -> None:
    found = figures_of(SPENT, report(gaps_ms=[21.0, 22.0], gaps_are_means=True), truth(), idle_cpu_s=0.0)
    assert found["gap_p99_ms"] == pytest.approx(0.0)
    assert figures_of(SPENT, report(), truth(), idle_cpu_s=0.0)["gap_p99_ms"] is None


def test_a_client_that_failed_is_a_row_with_its_last_words_and_the_others_stay() -> None:
    figures = figures_of(SPENT, report(), truth(), idle_cpu_s=0.0)
    lines = table("A", LOADS["A"], {"vllm": FAILED, OURS: figures})
    assert lines[0] == "**A: 64 users, 1,000 requests of 64 tokens**"
    assert [text.split(" | ")[0] for text in lines[4:]] == ["| inferbench", "| vllm 0.32.0"]
    assert "failed: exit code 1, no result: it broke" in lines[5]
    assert {text.count("|") for text in lines[2:]} == {len(COLUMNS) + 2}


def test_what_is_not_known_is_a_dash() -> None:
    row = line("genai-bench", figures_of(SPENT, report(), truth(), idle_cpu_s=0.0))
    assert row.startswith("| genai-bench 0.0.5 | +2.0 / +3.0 | - |")


def test_a_round_of_this_project(tmp_path: Path) -> None:
    at = bench(tmp_path)
    at.idle_cpu_s[OURS] = 0.0
    found = measured(OURS, Shape(users=2, requests=4, tokens=4), at)
    assert (found["code"], found["lost"], found["requests"]) == (0, 0, 4)
    assert abs(found["gap_p99_ms"]) < 100
    assert 0 < found["in_flight"] <= 2.5


def test_a_client_that_leaves_nothing_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vllm"
    program.write_text("#!/bin/sh\necho 'first line'; echo 'no | luck'; exit 7\n", encoding="ascii")
    program.chmod(0o755)
    with pytest.raises(RunFailed, match="exit code 7, no result: first line no / luck"):
        measured("vllm", Shape(users=1, requests=1), bench(tmp_path))
    monkeypatch.setattr(peers, "measured", lambda *_: (_ for _ in ()).throw(NotInstalled("pip says no")))
    options = argparse.Namespace(quick=True, load=["A"], tool=["vllm"], json=str(tmp_path / "kept.json"))
    assert peers.measure_all(options, bench(tmp_path)) == {"A": {"vllm": {"failed": "pip says no"}}}


def test_figures_are_added_to_those_of_another_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "measured", lambda *_: FAILED)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"A": {"aiperf": FAILED}, "C": {"vllm": FAILED}}), encoding="ascii")
    options = argparse.Namespace(quick=False, load=["A", "C"], tool=["genai-bench"], json=str(kept))
    found = peers.measure_all(options, bench(tmp_path))
    assert found == {"A": {"aiperf": FAILED, "genai-bench": FAILED}, "C": {"vllm": FAILED}}
    assert json.loads(kept.read_bytes()) == found


def test_quick_loads_are_the_same_loads_smaller() -> None:
    assert LOADS.keys() == QUICK.keys()
    assert all(QUICK[name].requests < LOADS[name].requests for name in LOADS)
    assert [bool(shape.users) for shape in QUICK.values()] == [bool(shape.users) for shape in LOADS.values()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cpus", "0"], "--cpus takes two different ones of "),
        (["--cpus", "0,0"], "--cpus takes two different ones of "),
        (["--env", "aiperf"], "--env aiperf: write NAME=FOLDER, with a NAME of inferbench, guidellm, "),
        (["--env", "x=/tmp"], "--env x=/tmp: write NAME=FOLDER"),
    ],
)
def test_wrong_usage_is_answered_with_what_is_right(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        peers.main(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("module", ["peers", "million"])
def test_it_is_a_program_that_explains_itself(module: str) -> None:
    command = [sys.executable, "-m", f"suites.fidelity.{module}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert f"python -m suites.fidelity.{module}" in done.stdout


def test_the_documented_tables_have_the_columns_and_clients_of_the_script() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    for name, shape in LOADS.items():
        assert f"**{name}: {peers.title(shape)}**" in text
    assert table("A", LOADS["A"], {})[2] in text
    assert all(f"| {name} {tool.package.partition('==')[2]}".rstrip() + " |" in text for name, tool in TOOLS.items())


# -- a million -------------------------------------------------------------------------------------------------------------


def test_a_short_replay_is_a_row(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    row = replayed(20, BUILT_IN, (cpus[0], cpus[-1]), rate_per_s=50)
    assert row[:2] == (20, 0)
    assert row[2] > 10
    assert million_line((1_000_000, 0, 901.2, 400.4, 700.0, 0.514)) == "| 1,000,000 | 0 | 901 | 400 | 700 | 0.51 |"


def test_a_trace_is_evenly_apart(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.csv", 3, rate_per_s=2000)
    assert (tmp_path / "t.csv").read_text() == (
        "timestamp,input_tokens,output_tokens\n0.000000,32,8\n0.000500,32,8\n0.001000,32,8\n"
    )


def test_a_replay_without_figures_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReplayFailed, match="exit code 0: it said nothing"):
        row_of(SPENT, tmp_path / "summary.json")
