from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from pytest_inferbench import single_run, steps, steps_selection
from pytest_inferbench.cli import again_command, main
from pytest_inferbench.errors import ConfigError, EngineError, MeasurementInvalid, RecordError
from pytest_inferbench.launch import leftovers, ownership
from pytest_inferbench.launch.ledger import Entry
from pytest_inferbench.launch.leftovers import Cleaned, Found, State
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.steps_selection import servers_of
from tests.load.cases import case_of

# What `inferbench run` promises; a flag may be added, none may go.
FLAGS = (
    *("--endpoint", "--model", "--api", "--api-key-env", "--tokenizer", "--traffic", "--concurrency", "--rate", "--arrival"),
    *("--burstiness", "--ramp-from", "--steps", "--ramp-up", "--max-in-flight", "--trace", "--time-scale"),
    *("--requests", "--duration", "--warmup", "--slo", "--seed", "--extra-body", "--first-token-limit", "--stall-limit"),
    *("--total-limit", "--output", "--quiet", "--workers"),
    *("--no-stream", "--path", "--body-template", "--text-path", "--header", "--ca-file"),
)


class Outcome:
    """A run whose end a test decides."""

    end: Outlook | BaseException = Outlook.PASS
    shown = 0
    explained = False

    def __init__(self, *_: Any, again: str) -> None:
        assert again.startswith("inferbench")
        Outcome.shown = 0

    def measure(self) -> Any:
        if isinstance(Outcome.end, BaseException):
            raise Outcome.end
        outlook = Outcome.end
        return type("Result", (), {"verdict": type("Verdict", (), {"outlook": outlook})})

    def show(self) -> None:
        Outcome.shown += 1


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def run_that_ends(monkeypatch: pytest.MonkeyPatch, end: Outlook | BaseException) -> Result:
    monkeypatch.setattr(single_run, "SingleRun", Outcome)
    monkeypatch.setattr(Outcome, "end", end)
    return invoke("run", "--endpoint", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (Outlook.PASS, 0),
        (Outlook.FAIL, 1),
        (Outlook.INCONCLUSIVE, 3),
        (Outlook.INVALID, 3),
        (MeasurementInvalid("late"), 3),
        (EngineError("gone"), 3),
        (RecordError("the disk is full"), 3),
        (ConfigError("wrong"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_says_how_it_ended(monkeypatch: pytest.MonkeyPatch, end: Outlook | BaseException, code: int) -> None:
    result = run_that_ends(monkeypatch, end)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert Outcome.shown == 1
    if isinstance(end, KeyboardInterrupt):
        assert result.stderr == "interrupted\n"
    elif isinstance(end, Exception):
        assert result.stderr == f"error: {end}\n"


def test_errors_speak_of_the_flags_of_this_command(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RecordError("choose another folder with --inferbench-output")
    error.add_note("Besides, --inferbench-output is full")
    result = run_that_ends(monkeypatch, error)
    assert result.stderr == "error: choose another folder with --output\nBesides, --output is full\n"


def test_what_was_explained_is_not_said_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outcome, "explained", True)
    result = run_that_ends(monkeypatch, MeasurementInvalid("INVALID: late\n  case    c1\n  again   inferbench run"))
    assert result.stderr == "error: INVALID: late\n"


def test_a_key_in_an_error_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_that_ends(monkeypatch, EngineError("HTTP 401: bad key sk-abcdefghijklmnopqrstuvwx"))
    assert "abcdefghijkl" not in result.output
    assert "HTTP 401" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option '--endpoint'"),
        (("--endpoint", "u", "--requests", "0"), "Invalid value for '--requests': 0 is not in the range x>=1"),
        (("--endpoint", "u", "--concurrency", "-1"), "Invalid value for '--concurrency'"),
        (("--endpoint", "u", "--seed", "-1"), "Invalid value for '--seed'"),
        (("--endpoint", "u", "--api", "images"), "'images' is not one of 'chat', 'completions'"),
        (
            ("--endpoint", "u", "--arrival", "closed"),
            "is not one of 'poisson', 'constant', 'gamma', 'linear', 'exponential', 'steps'",
        ),
        (("--endpoint", "u", "--frequency", "1"), "No such option"),
        (("--endpoint", "u", "--traffic", "D(1"), "--traffic: 'D(1' is not a traffic"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(arguments: tuple[str, ...], words: str) -> None:
    result = invoke("run", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_help_lists_every_flag_and_the_exit_codes() -> None:
    command = main.commands["run"]
    assert {option for parameter in command.params for option in parameter.opts if option.startswith("--")} >= set(FLAGS)
    text = invoke("run", "--help").output
    assert all(flag in text for flag in FLAGS)
    assert "Exit codes: 0 passed · 1 an SLO was missed · 2 wrong usage · 3 invalid or inconclusive · 130 interrupted" in text
    undocumented = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert undocumented == []


def test_the_schema_is_json_schema_of_a_suite() -> None:
    schema = json.loads(invoke("schema").output)
    assert schema["title"] == "pytest-inferbench suite"
    assert "matrix" in schema["properties"]


def test_the_doctor_says_what_there_is() -> None:
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "llama.cpp" in result.output or "llamacpp" in result.output


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").output.startswith("inferbench, version ")


def test_again_leaves_the_folder_out_which_is_never_used_twice() -> None:
    assert again_command(["run", "--endpoint", "u", "--output", "o 1", "--slo", "ttft_p99 <= 1s"]) == (
        "inferbench run --endpoint u --slo 'ttft_p99 <= 1s'"
    )
    assert again_command(["run", "--output=o", "--seed", "1"]) == "inferbench run --seed 1"


def test_a_case_that_cannot_be_read_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("run", "--endpoint", "http://127.0.0.1:1", "--rate", "fast").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def entry(name: str, run_id: str) -> Entry:
    return Entry(kind="process", name=name, token="t", labels={ownership.RUN: run_id})


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Found]:
    """One server that was kept; the list is what was asked to be removed."""
    removed: list[Found] = []
    server = Found(entry=entry("7", "run-1"), state=State.KEPT)
    monkeypatch.setattr(steps, "look", lambda: ((server,), "no container engine answers"))

    def remove(wanted: tuple[Found, ...]) -> Cleaned:
        removed.extend(wanted)
        return Cleaned(removed=wanted)

    monkeypatch.setattr(leftovers, "remove", remove)
    return removed


def test_down_shows_what_it_removes(kept: list[Found]) -> None:
    result = invoke("down")
    assert (result.exit_code, len(kept)) == (0, 1)
    assert result.stdout == "kept            server process 7 of run run-1\nremoved: 1\n"
    assert result.stderr == "containers were not looked for: no container engine answers\n"


def test_down_with_a_dry_run_removes_nothing(kept: list[Found]) -> None:
    result = invoke("down", "--all", "--dry-run")
    assert (result.exit_code, kept) == (0, [])
    assert result.stdout == "kept            server process 7 of run run-1\n"


def test_what_cannot_be_removed_is_1(kept: list[Found], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "remove", lambda _: Cleaned(troubles=("server process 7 could not be removed: 7 runs",)))
    result = invoke("down", "run-1")
    assert result.exit_code == 1
    assert "error: server process 7 could not be removed: 7 runs\n" in result.stderr


def test_nothing_to_remove_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "look", lambda: ((), None))
    assert invoke("down").stdout == "there is nothing to remove\nremoved: 0\n"
    assert invoke("status").stdout == "nothing is up and nothing is left\n"


def test_a_step_says_how_it_went_with_each_server(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = servers_of([replace(case_of(), model=model) for model in ("one", "two")])
    outcomes = {
        "one": steps.Outcome(server=servers[0], trouble="no memory\nsk-abcdefghijklmnopqrstuvwx"),
        "two": steps.Outcome(server=servers[1], lines=("url   http://127.0.0.1:9",)),
    }
    monkeypatch.setattr(steps_selection, "selected", lambda *_, **__: [server.case for server in servers])
    monkeypatch.setattr(steps, "prepare", lambda wanted, **_: outcomes[wanted.case.model])
    result = invoke("prepare", "suites")
    assert result.exit_code == 1
    assert result.stdout == (
        f"failed {servers[0].words}\n       no memory\n       REDACTED\nok     {servers[1].words}\n       url   http://127.0.0.1:9\n"
    )


def test_a_step_that_is_interrupted_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps_selection, "selected", interrupt)
    result = invoke("up", "suites")
    assert (result.exit_code, result.stderr) == (
        130,
        "interrupted; what was done until then is as it is: see inferbench status\n",
    )


@pytest.mark.parametrize("command", ["prepare", "up", "status", "down", "collect"])
def test_the_steps_say_their_exit_codes(command: str) -> None:
    assert "Exit codes: 0 all of it went well · 1 something did not" in invoke(command, "--help").output
