from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import ApiOptions, Case, Dataset, Lengths, Limits, Load, Prefix
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.load.loopback import MODEL, Loopback
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.reader import read_run
from pytest_inferbench.single_run import (
    ClickTerminal,
    SingleRun,
    SingleRunDirectory,
    cases_from_flags,
    replayed_case,
    terminal_width,
)
from tests.emulated_terminal import rows_of
from tests.quiet_machine import quiet_machine
from tests.sessions import QUICK

__all__ = ["quiet_machine"]
pytestmark = pytest.mark.usefixtures("quiet_machine")


DEFAULTS: dict[str, Any] = {
    "endpoint": "http://127.0.0.1:8000",
    "model": None,
    "api": "chat",
    "api_key_env": None,
    "tokenizer": None,
    "traffic": None,
    "concurrency": None,
    "rate": None,
    "sweep": None,
    "arrival": None,
    "burstiness": None,
    "ramp_from": None,
    "steps": None,
    "ramp_up": None,
    "max_in_flight": None,
    "trace": None,
    "time_scale": None,
    "requests": None,
    "duration": None,
    "cache": None,
    "prefix": None,
    "turns": None,
    "think_time": None,
    "documents": None,
    "dataset": None,
    "dataset_format": None,
    "dataset_prompt": None,
    "dataset_output": None,
    "replay": None,
    "warmup": 0,
    "slo": (),
    "confidence": "observed",
    "seed": None,
    "extra_body": None,
    "first_token_limit": None,
    "stall_limit": None,
    "total_limit": None,
    "output": None,
    "quiet": True,
    "workers": None,
    "no_stream": False,
    "path": None,
    "body_template": None,
    "text_path": None,
    "header": (),
    "ca_file": None,
    "gpu_monitor": False,
}


def flags(**given: Any) -> dict[str, Any]:
    assert given.keys() <= DEFAULTS.keys()
    return {**DEFAULTS, **given}


def case_from_flags(given: dict[str, Any]) -> Case:
    (case,) = cases_from_flags(given)
    return case


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


def test_without_flags_one_user_sends_a_hundred_requests() -> None:
    case = case_from_flags(flags())
    assert case.id == "openai-model-tp1-d100x100-c1"
    assert (case.hardware, case.model, case.api) == ("endpoint", "model", "chat")
    assert case.load == Load(concurrency=1, requests=100, arrival="closed", warmup=0)
    assert case.limits == Limits()


def test_every_flag_of_a_case_is_in_it() -> None:
    case = case_from_flags(
        flags(
            model="org/m",
            api="completions",
            traffic="N(200,5)/(64,2)",
            rate="2.5",
            arrival="constant",
            requests=7,
            duration="1m30s",
            warmup=3,
            slo=("ttft_p99<=500ms", "error_rate<=1%"),
            extra_body='{"ignore_eos": true}',
            first_token_limit="30s",
            stall_limit="5s",
            total_limit="2m",
        )
    )
    assert (case.model, case.api) == ("org/m", "completions")
    assert case.traffic.output_tokens == Lengths(kind="normal", first=64, second=2)
    assert case.load == Load(rate_per_s=2.5, arrival="constant", requests=7, duration_s=90, warmup=3)
    assert case.slo == ("ttft_p99<=500ms", "error_rate<=1%")
    assert case.extra_body == '{"ignore_eos": true}'
    assert case.limits == Limits(first_token_s=30, stall_s=5, total_s=120)


@pytest.mark.parametrize(
    ("given", "load"),
    [
        ({"concurrency": 64}, Load(concurrency=64)),
        ({"duration": "60"}, Load(concurrency=1, requests=None, duration_s=60)),
        ({"rate": "20"}, Load(rate_per_s=20, arrival="poisson")),
        ({"rate": "inf"}, Load(rate_per_s=inf, arrival="poisson")),
    ],
)
def test_the_load_is_what_was_asked_for(given: dict[str, Any], load: Load) -> None:
    assert case_from_flags(flags(**given)).load == load


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"traffic": "D(1"}, "--traffic: 'D(1' is not a traffic"),
        ({"rate": "fast"}, "--rate: 'fast' is not a quantity"),
        ({"rate": "0"}, "--rate: must be more than 0 requests a second"),
        ({"duration": "5x"}, "--duration: '5x' is not a length of time"),
        ({"duration": "0"}, "--duration: must be longer than 0 s"),
        ({"rate": "inf", "duration": "5"}, "--duration: does not end a load of rate inf"),
        ({"slo": ("ttft_p99 <= 1s", "quickness<1")}, "--slo: 'quickness<1': 'quickness' is not a metric"),
        ({"extra_body": "[1]"}, "--extra-body: must be a mapping of fields for every request"),
        ({"extra_body": "{"}, "--extra-body: is not JSON"),
        ({"stall_limit": "3q"}, "--stall-limit: '3q' is not a length of time"),
        ({"api": "template"}, "--path: is missing; api 'template' needs path, body and text"),
        ({"body_template": "{}"}, "--body-template: has no place for the prompt"),
        ({"body_template": "{"}, "--body-template: is not JSON"),
        ({"text_path": "a.b"}, "--text-path: is in no case: it needs api: template"),
        ({"path": "generate"}, "--path: must begin with a slash"),
        ({"header": ("Bearer open-sesame",)}, "--header: each is one name and one value; write 'X-Key: ${VARIABLE}'"),
        ({"header": ("A: b", "A: c")}, "--header: each is one name and one value"),
        ({"header": ("X-Api-Key: open-sesame",)}, "--header: the value of X-Api-Key is a secret: write it as ${NAME}"),
        ({"first_token_limit": "0"}, "--first-token-limit: must be longer than 0 s"),
        ({"rate": "5", "concurrency": 2}, "--rate and --concurrency: give one of them"),
        ({"arrival": "poisson"}, "--arrival: is how an open loop's requests come; give --rate as well"),
    ],
)
def test_a_wrong_flag_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        case_from_flags(flags(**given))
    assert str(caught.value).startswith(words)


def test_flags_say_how_requests_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case = case_from_flags(
        flags(
            api="template",
            no_stream=True,
            path="/generate?v=1",
            body_template='{"input": "{prompt}"}',
            text_path="[0].text",
            header=("X-Key: ${HOUSE_KEY}", "X-Team:speed"),
            ca_file="house.pem",
        )
    )
    assert case.api_options == ApiOptions(
        stream=False,
        path="/generate?v=1",
        body='{"input": "{prompt}"}',
        text="[0].text",
        headers=(("X-Key", "${HOUSE_KEY}"), ("X-Team", "speed")),
        ca_file=str(tmp_path / "house.pem"),
    )
    assert case_from_flags(flags()).api_options == ApiOptions()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"endpoint": "ftp://me:hunter2@host"}, "--endpoint: 'ftp://REDACTED@host' is not the address of a server"),
        ({"tokenizer": "nothing.json"}, "--tokenizer: there is no tokenizer at nothing.json"),
        ({"api_key_env": "NO_SUCH_KEY"}, "--api-key-env: the environment variable NO_SUCH_KEY is not set"),
        ({"output": "/dev/null/run"}, "--output: /dev/null/run could not be written: a part of its path is a file"),
    ],
)
def test_what_cannot_be_used_is_found_before_anything_is_sent(
    given: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        SingleRun(cases_from_flags(flags()), flags(**given), again="")
    assert str(caught.value).startswith(words)
    assert list(tmp_path.iterdir()) == []


def test_flags_for_what_requests_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shared = case_from_flags(flags(traffic="D(80,8)", prefix="tokens=64, share=80%,count=4", turns=2, think_time="2s"))
    assert shared.traffic.prefix == Prefix(tokens=64, share=0.8, count=4)
    assert (shared.traffic.cache, shared.traffic.turns, shared.traffic.think_time_s) == ("shared", 2, 2.0)
    assert case_from_flags(flags(cache="warm")).traffic.cache == "warm"
    rows = case_from_flags(flags(dataset="a.jsonl", dataset_prompt="{q}", dataset_output="64")).traffic.dataset
    assert rows == Dataset(path=str(tmp_path / "a.jsonl"), format="jsonl", prompt="{q}", output_tokens=64)
    rows = case_from_flags(flags(dataset="a", dataset_format="lines", dataset_output="n")).traffic.dataset
    assert rows == Dataset(path=str(tmp_path / "a"), format="lines", output_field="n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prefix": "64"}, "--prefix: '64' is no name and value; write tokens=512,share=0.8,count=4"),
        ({"prefix": "token=64"}, "--prefix token: unknown field (did you mean 'tokens'?)"),
        ({"prefix": "tokens=x"}, "--prefix tokens: must be a whole number, not the text 'x'"),
        ({"prefix": "tokens=100"}, "--prefix: 100 tokens are all of a prompt of D(100,100)"),
        ({"think_time": "2s"}, "--think-time: is the time between two turns"),
        ({"dataset_prompt": "{q}"}, "--dataset-prompt: belongs to a data set; give --dataset as well"),
        ({"dataset": "a.jsonl", "dataset_prompt": "q"}, "--dataset-prompt: 'q' has no field of a row in it"),
        ({"dataset": "a.jsonl", "dataset_output": "0"}, "--dataset-output"),
        ({"dataset": "a.jsonl", "traffic": "D(1,1)"}, "--dataset: is in no case: it needs traffic: dataset"),
    ],
)
def test_a_wrong_flag_for_what_requests_hold_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        case_from_flags(flags(**given))
    assert str(caught.value).startswith(words)


def test_a_run_is_sent_again_byte_for_byte(loopback: Loopback, tmp_path: Path) -> None:
    given = flags(endpoint=loopback.url, output=str(tmp_path / "first"), requests=4, traffic="N(8,3)/(4,2)", rate="50")
    first = SingleRun(cases_from_flags(given), given, again="").measure().record
    again = flags(endpoint=loopback.url, output=str(tmp_path / "second"), replay=str(tmp_path / "first"))
    case = replayed_case(again, {"endpoint", "output", "replay"})
    second = SingleRun([case], again, again="").measure().record
    assert second.planned == first.planned
    assert second.case == first.case


def test_flags_that_a_record_answers_do_not_go_with_a_replay(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        replayed_case(flags(replay=str(tmp_path)), {"replay", "think_time"})
    assert str(caught.value) == "--think-time: does not go with --replay: the record says what is sent"


def test_what_is_no_record_cannot_be_sent_again(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        replayed_case(flags(replay=str(tmp_path)), {"replay"})
    assert str(caught.value) == (
        f"--replay: {tmp_path} holds no case that was planned; give the folder of a run, or of one of its cases"
    )


def test_its_files_lie_in_the_folder_itself(loopback: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = flags(endpoint=loopback.url, output=str(tmp_path / "out"), requests=4, traffic="D(8,4)", slo=("ttft_p50<=30s",))
    single = SingleRun(cases_from_flags(given), given, again="inferbench run")
    assert single.measure().meets_slo
    single.show()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "manifest.json",
        "metrics.csv",
        "requests.parquet",
        "results.csv",
        "results.json",
        "results.parquet",
        "run.json",
        "summary.json",
        "throughput_latency.png",
    ]
    (record,) = read_run(tmp_path / "out")
    assert record.verdict.outlook is Outlook.PASS
    assert record.served is not None
    assert record.served.model == MODEL
    text = capsys.readouterr().out
    assert "ttft (ms)" in text
    assert "note: prompt lengths are estimated: no tokenizer was given; give one with --tokenizer PATH" in text
    assert text.endswith(f"results: {tmp_path / 'out'}\n")


@pytest.mark.parametrize(("term", "several"), [("xterm", True), ("dumb", False)])
def test_on_a_terminal_there_is_a_dashboard_that_leaves_no_trace(
    loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str, several: bool
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", term)
    given = flags(endpoint=loopback.url, output=str(tmp_path / "out"), requests=4, traffic="D(8,4)", quiet=False)
    SingleRun(cases_from_flags(given), given, again="").measure()
    assert "measuring" in screen.getvalue()
    assert ("\x1b[1A" in screen.getvalue()) is several
    assert rows_of(screen.getvalue()) == []


def test_a_sweep_is_one_run_with_a_case_for_each_level(
    loopback: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = flags(endpoint=loopback.url, output=str(tmp_path / "out"), sweep=2, requests=12, traffic="D(8,4)")
    cases = cases_from_flags(given)
    assert [case.load.label for case in cases] == ["c1", "rinf", "sweep1of2", "sweep2of2"]
    single = SingleRun(cases, given, again="inferbench run")
    assert single.measure().meets_slo
    single.show()
    records = read_run(tmp_path / "out")
    rates = [record.case.load.rate_per_s for record in records]
    assert rates[:2] == [None, inf]
    assert 0 < (rates[2] or 0) < (rates[3] or 0) < inf
    assert len({record.folder for record in records}) == len(cases)
    text = capsys.readouterr().out
    assert [line.rpartition(": ")[0] for line in text.splitlines() if line.startswith("sweep: ")] == [
        "sweep: one user",
        *(f"sweep: {rate:.4g} req/s" for rate in rates[2:]),
        "sweep: all at once",
    ]
    assert "d8x4-sweep2of2" in text


def test_a_sweep_goes_on_where_a_level_says_nothing_and_is_not_green(
    loopback: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # All requests at once through one place are no faster than one user: there are no rates between the two.
    given = flags(endpoint=loopback.url, output=str(tmp_path / "out"), sweep=1, requests=3, traffic="D(8,4)", max_in_flight=1)
    cases = cases_from_flags(given)
    single = SingleRun([cases[0], cases[2], cases[1]], given, again="inferbench run")
    assert single.measure().verdict.outlook is Outlook.INVALID
    single.show()
    assert [record.verdict.outlook for record in read_run(tmp_path / "out")] == [Outlook.PASS, Outlook.INVALID, Outlook.PASS]
    assert "the rate of this case comes from those with all requests at once" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rate": "5"}, "--sweep: finds its rates by itself; leave out --concurrency, --rate and --trace"),
        ({"concurrency": 5}, "--sweep: finds its rates by itself; leave out --concurrency, --rate and --trace"),
        ({"arrival": "linear"}, "--arrival: 'linear' does not go with a sweep, whose rates are steady"),
        ({"sweep": 101}, "--sweep: "),
    ],
)
def test_what_does_not_go_with_a_sweep_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cases_from_flags(flags(**{"sweep": 2, **given}))
    assert str(caught.value).startswith(words)


def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    given = flags(output=str(tmp_path / "out"))
    SingleRun(cases_from_flags(given), given, again="")
    with pytest.raises(ConfigError, match="never overwritten; choose another folder"):
        SingleRun(cases_from_flags(given), given, again="")


def test_one_case_has_the_folder_of_its_run(tmp_path: Path) -> None:
    assert SingleRunDirectory(path=tmp_path, run_id="r").case_folder("anything") == tmp_path


def test_a_pipe_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    terminal = ClickTerminal()
    terminal.write("a", red=True, bold=True)
    terminal.line("b", purple=True)
    terminal.sep("-", "c", 9)
    assert stream.getvalue() == "ab\n--- c ---\n"


def test_a_terminal_has_colours_and_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal_fd = pty.openpty()
    with os.fdopen(controller, "rb", buffering=0) as screen, os.fdopen(terminal_fd, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        terminal = ClickTerminal()
        terminal.line("a", purple=True, bold=True, light=True)
        assert terminal.fullwidth == terminal_width(stream)
        assert screen.read(100) == b"\x1b[35m\x1b[1m\x1b[2ma\r\n\x1b[0m"


def test_what_is_no_terminal_has_a_hundred_columns(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert terminal_width(file) == 100
    assert terminal_width(io.StringIO()) == 100


@pytest.mark.parametrize(
    ("given", "load"),
    [
        (
            {"rate": "5", "arrival": "gamma", "burstiness": 0.5, "max_in_flight": 9},
            Load(rate_per_s=5.0, arrival="gamma", burstiness=0.5, max_in_flight=9),
        ),
        (
            {"rate": "5", "arrival": "steps", "ramp_from": "1", "steps": 3, "duration": "30s"},
            Load(rate_per_s=5.0, arrival="steps", ramp_from_per_s=1.0, steps=3, requests=None, duration_s=30.0),
        ),
        ({"concurrency": 8, "ramp_up": "10s"}, Load(concurrency=8, ramp_up_s=10.0)),
    ],
)
def test_flags_shape_the_load_as_fields_of_a_suite_do(given: dict[str, Any], load: Load) -> None:
    assert case_from_flags(flags(**given)).load == load


def test_a_trace_takes_the_place_of_traffic_and_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "day.csv").write_text("timestamp,input_tokens,output_tokens\n0,8,4\n")
    monkeypatch.chdir(tmp_path)
    case = case_from_flags(flags(trace="day.csv", time_scale=0.5))
    assert case.load == Load(trace=str(tmp_path / "day.csv"), arrival="trace", requests=None, time_scale=0.5)
    assert case.id == "openai-model-tp1-day-trace0.5"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"rate": "5", "burstiness": 2.0}, "--burstiness: does nothing with arrival poisson"),
        ({"rate": "5", "arrival": "steps"}, "--steps: is missing"),
        ({"rate": "5", "arrival": "linear", "ramp_from": "-1"}, "--ramp-from: must be more than 0"),
        ({"concurrency": 2, "max_in_flight": 2}, "--max-in-flight: is a cap on an open loop"),
        ({"rate": "5", "ramp_up": "5s"}, "--ramp-up: is how the users of a closed loop start"),
        ({"trace": "none.csv"}, "--trace: there is no file"),
        ({"trace": "none.csv", "rate": "5"}, "--trace: cannot stand beside 'rate'"),
        ({"trace": "none.csv", "traffic": "D(8,8)"}, "--traffic: cannot stand beside 'trace'"),
        ({"time_scale": 2.0, "rate": "5"}, "--time-scale: is for the times of a trace; give --trace as well"),
        ({"time_scale": -2.0, "trace": "none.csv"}, "--time-scale: must be a number above 0, not -2.0"),
    ],
)
def test_a_flag_that_contradicts_another_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        case_from_flags(flags(**given))
    assert str(caught.value).startswith(problem)
