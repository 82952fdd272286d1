"""
Every fault of the simulated server, rehearsed end to end: what the records of whole sessions say of each.

Rule: what is asserted holds on a busy machine too. There the client may call its own figures spoiled, so a case with a fault is
never green, whether it fails or is invalid; times are only ever held against what they must at least be.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pytest_inferbench.launch.answer import NoAnswer
from pytest_inferbench.launch.port import free_port
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.metrics.output_token import tpot_ms
from pytest_inferbench.metrics.telemetry.throttling import throttling_findings
from pytest_inferbench.metrics.trend import moved
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.reader import read_record, read_traces
from pytest_inferbench.records.record import Record
from pytest_inferbench.simulator.faults import FAULTS
from tests.sessions import INI, Started, inferbench_argv, only_run, pytest_argv

PROGRAM = f"{sys.executable} -m pytest_inferbench.simulator --hardware h100 --engine vllm --model llama-3.1-8b"
TOKENS = 8
SESSION_LIMIT_S = 900.0
# What requests ask for, by the name of the suite that does.
BY_REQUEST = {
    "stall": "stall-after-tokens=3",
    "pause": "stall-after-tokens=3:for=700ms",
    "reset": "reset-after-tokens=3",
    "over": "wrong-usage=+5",
    "under": "wrong-usage=-5",
    "unsaid": "missing-usage",
    "chunks": "tokens-per-chunk=4",
    "network": "slow-network=300ms",
    "none": "",
}
# What goes wrong with whole servers, and what else is different in the suite.
BY_SERVER: Mapping[str, tuple[str, dict[str, str]]] = {
    "refuse": ("error-rate=429:0.5:retry-after=7s", {"load": "{requests: 20}"}),
    # Two are answered: the token that a launcher asks for, and one of the load.
    "hang": ("hang-after-requests=2", {"load": "{requests: 2}", "users": "1", "limits": "{first_token: 4s}"}),
    "crash": ("crash-after-requests=5", {"load": "{requests: 600}"}),
    "late-crash": ("crash-after=3s", {"load": "{requests: 600}"}),
    "leak": ("memory-leak=3GB/s", {"load": "{requests: 600}"}),
    "slow": ("slow-start=2s", {}),
    "never": ("never-ready", {"ready": "4"}),
    "drift": ("drift=300%:from=4s", {"load": "{duration: 8s}", "users": "1"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """A case: its record and, where a load was driven, its requests."""

    record: Record
    measured: Traces | None

    @property
    def traces(self) -> Traces:
        assert self.measured is not None, self.record.error
        return self.measured

    @property
    def outcomes(self) -> dict[str, int]:
        return dict(Counter(Outcome(each).name for each in self.traces.outcome.tolist()))

    @property
    def errors(self) -> set[str]:
        return set(self.traces.errors.values())

    @property
    def notes(self) -> str:
        return "\n".join(finding.what for finding in self.record.findings)

    @property
    def is_green(self) -> bool:
        return self.record.verdict.outlook is Outlook.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of pytest; cases by the names of their suites."""

    code: int
    output: str
    cases: Mapping[str, Rehearsed]


def suite(name: str, *, engine: str, hardware: str = "cpu", **more: str) -> str:
    users, load = more.pop("users", "4"), more.pop("load", "{requests: 4}")
    limits = more.pop("limits", "{first_token: 60s, stall: 3s}")
    matrix = f"{{model: [llama-3.1-8b], traffic: ['D(16,{TOKENS})'], concurrency: [{users}]}}"
    fields = {"suite": name, "hardware": hardware, "engine": engine, "matrix": matrix, "load": load, "limits": limits}
    return "".join(f"{field}: {value}\n" for field, value in {**fields, "slo": "['error_rate <= 0']", **more}.items())


def session(folder: Path, suites: Mapping[str, str], *flags: str, **env: str) -> Session:
    (folder / "pytest.ini").write_text(INI, encoding="utf-8")
    for name, text in suites.items():
        (folder / f"{name}.bench.yaml").write_text(text, encoding="utf-8")
    with Started(pytest_argv("-p", "no:xdist", *flags), folder, **env) as command:
        code = command.process.wait(SESSION_LIMIT_S)
        output = command.output
    folders = [path.parent for path in only_run(folder).rglob("summary.json")]
    found = {(record := read_record(case)).node_id.partition(".")[0]: (record, case) for case in folders}
    cases = {
        name: Rehearsed(record=record, measured=read_traces(case) if (case / "requests.parquet").exists() else None)
        for name, (record, case) in found.items()
    }
    return Session(code=code, output=output, cases=cases)


@pytest.fixture(scope="module")
def by_request(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A simulated session whose requests ask for faults; in variables, as what may be a secret must be."""
    folder = tmp_path_factory.mktemp("by-request")
    names = {name: f"FAULT_{name.upper()}" for name, fault in BY_REQUEST.items() if fault}
    suites = {
        name: suite(
            name,
            engine="vllm",
            hardware="h100",
            **({"headers": f"{{x-inferbench-fault: '${{{names[name]}}}'}}"} if name in names else {}),
        )
        for name in BY_REQUEST
    }
    flags = ("--inferbench-simulate", "--inferbench-inventory=1xh100")
    return session(folder, suites, *flags, **{variable: BY_REQUEST[name] for name, variable in names.items()})


@pytest.fixture(scope="module")
def by_server(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session in which each suite starts a simulated server with a fault, as it would start any other command."""
    suites = {}
    for name, (fault, more) in BY_SERVER.items():
        args = {"command": f"'{PROGRAM} --port {{port}} --fault {fault}'", "served_name": "llama-3.1-8b"}
        args["ready_timeout_s"] = more.get("ready", "60")
        engine = f"{{name: command, args: {{{', '.join(f'{key}: {value}' for key, value in args.items())}}}}}"
        suites[name] = suite(name, engine=engine, **{key: value for key, value in more.items() if key != "ready"})
    return session(tmp_path_factory.mktemp("by-server"), suites)


def test_every_fault_of_the_table_is_rehearsed_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [form.name for form in FAULTS if not re.search(rf'"{form.name}["=]|={form.name}=', source)] == []


# --- faults of requests -----------------------------------------------------------------------------------------------------


def test_without_faults_every_request_completes_and_the_record_says_that_it_is_simulated(by_request: Session) -> None:
    case = by_request.cases["none"]
    assert case.outcomes == {"COMPLETED": 4}
    assert case.traces.output_tokens.tolist() == [TOKENS] * 4
    assert case.record.simulated
    assert case.record.telemetry is not None
    assert case.record.telemetry.simulated
    assert [gpu.throttle_reasons for gpu in case.record.telemetry.gpus] == [()]


def test_a_stalled_stream_runs_into_the_stall_limit(by_request: Session) -> None:
    case = by_request.cases["stall"]
    assert case.outcomes == {"TIMED_OUT": 4}
    assert all(re.fullmatch(r"no byte for 3 s \(stall limit\) after \d content events", said) for said in case.errors)
    assert not case.is_green


def test_a_stall_that_ends_is_in_the_times_between_tokens(by_request: Session) -> None:
    case = by_request.cases["pause"]
    assert case.outcomes == {"COMPLETED": 4}
    gaps_ms = np.diff(case.traces.event_ns.reshape(4, TOKENS), axis=1) / 1e6
    assert gaps_ms.max(axis=1).min() >= 350


def test_a_reset_connection_fails_its_request(by_request: Session) -> None:
    case = by_request.cases["reset"]
    assert case.outcomes == {"FAILED": 4}
    assert all("onnection reset by peer" in said for said in case.errors)
    assert not case.is_green


@pytest.mark.parametrize(
    ("name", "tokens", "words"),
    [
        ("over", TOKENS + 5, "100% of the answers are longer than asked for"),
        ("under", TOKENS - 5, "100% of the answers are shorter than asked for"),
        ("unsaid", TOKENS, "the server counted the tokens of only 0% of the answers"),
    ],
)
def test_usage_that_is_wrong_or_missing_is_found(by_request: Session, name: str, tokens: int, words: str) -> None:
    case = by_request.cases[name]
    assert case.traces.output_tokens.tolist() == [tokens] * 4
    assert words in case.notes
    assert words in by_request.output


def test_several_tokens_in_an_event_are_all_counted(by_request: Session) -> None:
    traces = by_request.cases["chunks"].traces
    assert traces.output_tokens.tolist() == [TOKENS] * 4
    assert np.diff(traces.event_offset).tolist() == [2] * 4
    assert traces.event_tokens.sum() == 4 * TOKENS


def test_a_slow_network_is_in_the_time_to_the_first_token(by_request: Session) -> None:
    case = by_request.cases["network"]
    assert case.outcomes == {"COMPLETED": 4}
    assert ((case.traces.first_token_ns - case.traces.send_ns) / 1e6).min() >= 290


# --- faults of servers ------------------------------------------------------------------------------------------------------


def test_refused_requests_are_failed_ones_with_the_servers_words(by_server: Session) -> None:
    case = by_server.cases["refuse"]
    failed = case.outcomes["FAILED"]
    assert case.outcomes == {"FAILED": failed, "COMPLETED": 20 - failed}
    assert 0 < failed < 20
    assert all(said.startswith("HTTP 429 Too Many Requests (Retry-After 7): ") for said in case.errors)
    assert set(case.traces.status[~case.traces.completed].tolist()) == {429}
    assert not case.is_green


def test_requests_that_hang_run_into_the_first_token_limit(by_server: Session) -> None:
    case = by_server.cases["hang"]
    assert case.outcomes == {"COMPLETED": 1, "TIMED_OUT": 1}
    assert case.errors == {"no token within 4 s (first-token limit)"}
    assert not case.is_green


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crash", r"crashed on demand after 5 requests and \S+ s \(simulated\)"),
        ("late-crash", r"crashed on demand after \d+ requests and \d+\.\d s \(simulated\)"),
        ("leak", r"torch\.OutOfMemoryError: CUDA out of memory\. .*\(simulated: memory-leak\)"),
    ],
)
def test_a_crash_is_the_servers_death_with_its_last_words(by_server: Session, name: str, words: str) -> None:
    record = by_server.cases[name].record
    assert record.verdict.outlook is Outlook.FAIL
    assert "exited with code 1" in (record.error or "")
    assert re.search(words, record.error or "")
    assert re.search(words, by_server.output)


def test_a_slow_start_is_waited_for(by_server: Session) -> None:
    case = by_server.cases["slow"]
    assert case.outcomes == {"COMPLETED": 4}
    assert case.record.served is not None
    assert (case.record.served.started_in_s or 0.0) >= 2.0


def test_a_server_that_is_never_ready_is_given_up_with_what_it_said_last(by_server: Session) -> None:
    case = by_server.cases["never"]
    assert case.record.verdict.outlook is Outlook.FAIL
    assert re.search(r"command was not ready within 4 s; http://\S+/health last said: ", case.record.error or "")


def test_a_regression_makes_the_later_part_of_a_load_slower(by_server: Session) -> None:
    case = by_server.cases["drift"]
    each_ms = tpot_ms(case.traces)
    usual_ms = min(tpot_ms(by_server.cases[name].traces).min() for name in ("slow", "refuse", "drift"))
    # It lasts for longer than the drift lets wait, and steps take four times as long from then on.
    assert each_ms[-5:].max() > 3 * usual_ms
    if not np.mean(each_ms < 2 * usual_ms) > 0.2:
        pytest.skip("most of the load came after the drift had begun: this machine is too busy to see it begin")
    (finding,) = moved(case.traces)
    assert finding.what.startswith("the server became slower while it was measured")


def test_the_session_fails_for_the_faults(by_server: Session) -> None:
    assert by_server.code == 1
    assert set(by_server.cases) == set(BY_SERVER)


def test_throttling_is_in_the_telemetry_of_a_session_that_asks_for_it_by_a_flag(tmp_path: Path) -> None:
    flags = ("--inferbench-simulate", "--inferbench-inventory=1xh100", "--inferbench-fault=throttle=0.5")
    case = session(tmp_path, {"hot": suite("hot", engine="vllm", hardware="h100", load="{requests: 150}")}, *flags).cases["hot"]
    assert case.record.telemetry is not None
    (gpu,) = case.record.telemetry.gpus
    assert (gpu.throttled_share, gpu.throttle_reasons, gpu.sm_clock_mhz_mean) == (1.0, ("power_cap",), 990.0)
    (finding,) = throttling_findings(case.record.telemetry)
    assert finding.what == "GPUs were held back: GPU 0 in 100% of the time (power_cap)"
    table = next(tmp_path.rglob("gpu_memory.csv")).read_text(encoding="utf-8").splitlines()
    assert table[0].endswith(",throttle_reasons,simulated")
    assert all(row.endswith(",power_cap,True") for row in table[1:])


# --- an endpoint that was there already -------------------------------------------------------------------------------------


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """The address of a simulated server that is ready."""
    folder.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Started([*PROGRAM.split(), "--port", str(port)], folder) as server:
        server.wait_for(lambda: is_up(url))
        yield url


def is_up(url: str) -> bool:
    try:
        return ask(f"{url}/health", timeout_s=5).status == 200
    except NoAnswer:
        return False


def test_an_endpoint_that_is_simulated_is_recognised_and_tells_of_its_gpus(tmp_path: Path) -> None:
    with simulator(tmp_path / "server") as url:
        argv = inferbench_argv("run", f"--endpoint={url}", "--requests=3", "--traffic=D(16,8)", "--output=out")
        with Started(argv, tmp_path) as command:
            command.end()
    record = read_record(tmp_path / "out")
    assert record.simulated, record.error
    assert record.telemetry is not None
    assert record.telemetry.simulated
    assert [gpu.gpu for gpu in record.telemetry.gpus] == [0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("error-rate=503:1", "/v1/chat/completions answered 503 Service Unavailable: "),
        ("missing-usag", "did you mean 'missing-usage'?"),
    ],
)
def test_an_endpoint_that_refuses_everything_is_not_measured_and_its_words_are_said(
    tmp_path: Path, fault: str, words: str
) -> None:
    with simulator(tmp_path / "server") as url:
        argv = inferbench_argv("run", f"--endpoint={url}", "--requests=2", "--header", f"x-inferbench-fault: {fault}")
        with Started(argv, tmp_path) as command:
            assert command.end() != 0
            assert words in command.output
