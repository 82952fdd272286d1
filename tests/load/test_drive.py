"""A load from the outside: what went out, what came of it, and what happens when somebody or something stops it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load import drive as module
from pytest_inferbench.load import process as process_module
from pytest_inferbench.load.drive import Driver, Progress
from pytest_inferbench.load.process import LoadProcess
from tests.dialects import streamed as played
from tests.dialects import vllm_chat
from tests.load.answers import events, plain, streamed
from tests.load.cases import case_of
from tests.load.driving import drive, driver_of, endpoint_of, is_running, outcomes, planned
from tests.load.secure import Authority, secured
from tests.scripted import Answer, Scripted

WORDS = ("one", "two", "three", "four")
QUICK = played(vllm_chat(WORDS))
SLOW = played(vllm_chat(WORDS), pause_s=0.05)


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The load processes that were started."""
    started: list[int] = []

    class Noted(LoadProcess):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]  # passed on as they are
            started.append(self.pid)

    monkeypatch.setattr(module, "LoadProcess", Noted)
    return started


@contextmanager
def playing(answer: Answer = QUICK) -> Iterator[Scripted]:
    with Scripted([answer], repeat=True) as server:
        yield server


SILENT = "the load process has said nothing for 0.2 s; is this machine overloaded?"


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_closed_loop_sends_every_row_once_with_its_own_id() -> None:
    with playing() as server:
        driven = drive(case_of(concurrency=3, requests=12, warmup=2), server.url)
    assert outcomes(driven) == {"COMPLETED": 12}
    assert driven.measured.request_id == tuple(f"run-{i}" for i in range(12))
    assert driven.warmup.request_id == ("run-w0", "run-w1")
    assert sorted(each.headers["x-request-id"] for each in server.requests) == sorted(
        (*driven.measured.request_id, *driven.warmup.request_id)
    )
    assert driven.measured.output_tokens.tolist() == [4] * 12
    assert (driven.measured.open_loop, driven.audit.clock, driven.audit.workers) == (False, "kernel", 1)
    assert driven.audit.usage_share == 1.0
    assert server.connections <= 4


def test_a_request_goes_out_as_planned() -> None:
    with playing() as server:
        drive(case_of(requests=1), server.url)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    names = ("host", "content-type", "accept", "user-agent", "x-request-id", "content-length")
    assert [request.headers[name] for name in names] == [
        f"127.0.0.1:{server.port}",
        "application/json",
        "text/event-stream",
        "pytest-inferbench",
        "run-0",
        str(len(request.body)),
    ]
    assert request.json["stream"] is True
    assert len(request.json["messages"][0]["content"].split()) == 8


def test_an_open_loop_keeps_its_times_whatever_the_server_does() -> None:
    with playing(SLOW) as server:
        driven = drive(case_of(rate_per_s=100.0, arrival="constant", requests=20), server.url)
    traces = driven.measured
    assert outcomes(driven) == {"COMPLETED": 20}
    assert traces.open_loop
    assert set((traces.intended_send_ns[1:] - traces.intended_send_ns[:-1]).tolist()) == {10_000_000}
    assert (traces.send_ns >= traces.intended_send_ns).all()
    # Each answer takes far longer than 10 ms, so users who wait for their answers could not have kept up.
    assert server.connections > 5
    assert driven.audit.rate_asked_per_s == 100.0


def test_all_at_once_is_one_connection_a_request() -> None:
    with playing(SLOW) as server:
        driven = drive(case_of(rate_per_s=float("inf"), requests=20), server.url)
    assert outcomes(driven) == {"COMPLETED": 20}
    assert set(driven.measured.intended_send_ns.tolist()) == {driven.measured.intended_send_ns[0]}
    assert server.connections == 20


def test_a_closed_loop_that_lasts_for_a_time_ends_with_answers_to_all_it_sent() -> None:
    with playing() as server:
        driven = drive(case_of(concurrency=2, requests=None, duration_s=0.3), server.url)
    assert set(outcomes(driven)) == {"COMPLETED"}
    assert len(driven.measured) == len(server.requests) > 2
    intended_ns = driven.measured.intended_send_ns
    assert intended_ns.max() - intended_ns.min() < 300_000_000


def test_progress_tells_the_phase_and_what_is_done() -> None:
    seen: list[Progress] = []
    with playing(SLOW) as server, driver_of(case_of(requests=3, warmup=2), server.url, watch=seen.append) as driver:
        driver.run()
    assert {each.phase for each in seen} == {"warm-up", "measuring"}
    assert [each.phase for each in seen] == sorted((each.phase for each in seen), reverse=True)
    assert (seen[-1].done, seen[-1].sent) == (3, 3)
    assert all(each.elapsed_s >= 0 and each.reads_per_s >= 0 for each in seen)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_whatever_stops_a_load_keeps_what_was_measured(raised: type[BaseException], pids: list[int]) -> None:
    def watch(at: Progress) -> None:
        if at.phase == "measuring" and at.done >= 2:
            raise raised

    before = open_files()
    with playing(SLOW) as server, planned(case_of(concurrency=2, requests=500)) as plan:
        driver = Driver(case_of(concurrency=2, requests=500), endpoint_of(server.url), plan, id_prefix="run", on_progress=watch)
        with pytest.raises(raised):
            driver.run()
    driven = driver.driven
    assert driven is not None
    assert driven.stopped
    ended = outcomes(driven)
    assert ended["COMPLETED"] >= 2
    assert set(ended) == {"COMPLETED", "CANCELLED"}
    assert sum(ended.values()) < 500
    assert not any(map(is_running, pids))
    assert open_files() == before


def test_a_load_process_that_is_killed_is_an_error_and_what_it_wrote_is_read(pids: list[int]) -> None:
    def watch(at: Progress) -> None:
        if at.done >= 2:
            os.kill(pids[0], signal.SIGKILL)

    case = case_of(concurrency=2, requests=500)
    death = pytest.raises(LoadError, match=r"the load process ended unexpectedly \(killed by SIGKILL\): it said nothing")
    with playing(SLOW) as server, driver_of(case, server.url, watch=watch) as driver, death:
        driver.run()
    assert driver.driven is not None
    assert driver.driven.stopped
    assert set(outcomes(driver.driven)) == {"COMPLETED"}
    assert driver.driven.measured.clock == "kernel"
    assert not is_running(pids[0])


@pytest.mark.parametrize(
    ("program", "limit", "words"),
    [
        (
            "import time; time.sleep(600)",
            "_START_LIMIT_S",
            SILENT,
        ),
        (
            'import time; print(\'{"state": "ready"}\', flush=True); time.sleep(600)',
            "_SILENCE_LIMIT_S",
            SILENT,
        ),
        ("print('hello')", "_START_LIMIT_S", "the load process said something that is no message: 'hello'"),
    ],
)
def test_a_load_process_that_does_not_play_its_part_is_an_error(
    program: str, limit: str, words: str, monkeypatch: pytest.MonkeyPatch, pids: list[int]
) -> None:
    monkeypatch.setattr(process_module, "_PROGRAM", ("-c", program))
    monkeypatch.setattr(process_module, "_END_LIMIT_S", 0.2)
    monkeypatch.setattr(module, "_STOP_LIMIT_S", 0.2)
    monkeypatch.setattr(module, "_TICK_S", 0.05)
    if limit != "_START_LIMIT_S" or "sleep" in program:
        monkeypatch.setattr(module, limit, 0.2)
    with driver_of(case_of(requests=1), "http://127.0.0.1:9") as driver, pytest.raises(LoadError) as caught:
        driver.run()
    assert str(caught.value).startswith(words)
    assert not is_running(pids[0])


def test_no_room_for_what_is_measured_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - the driver closes it
    monkeypatch.setattr(module, "_record_file", lambda: full)
    with playing() as server, driver_of(case_of(requests=3), server.url) as driver, pytest.raises(LoadError) as caught:
        driver.run()
    place = tempfile.gettempdir()
    assert str(caught.value) == (
        f"what was measured cannot be written to {place}: No space left on device; "
        "free some space there, or set TMPDIR to a folder that has more"
    )


def test_no_file_for_what_is_measured_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with driver_of(case_of(requests=3), "http://127.0.0.1:9") as driver:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        with pytest.raises(
            LoadError, match=r"no file for what is measured can be made: .*; set TMPDIR to a folder that has room"
        ):
            driver.run()
    assert driver.driven is None


def test_loads_leave_no_open_files_and_no_processes(pids: list[int]) -> None:
    before = open_files()
    for _ in range(2):
        with playing() as server:
            for _ in range(3):
                drive(case_of(requests=2), server.url)
        assert open_files() == before
    assert len(pids) == 6
    assert not any(map(is_running, pids))


def test_the_key_is_sent_and_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_KEY", "s3cret-k3y")
    refusal = Answer(head=plain(b'{"error": {"message": "wrong key s3cret-k3y"}}', 401, "Unauthorized"))
    with playing(refusal) as server:
        driven = drive(case_of(requests=2), server.url, api_key_env="BENCH_KEY")
    assert {each.headers["authorization"] for each in server.requests} == {"Bearer s3cret-k3y"}
    assert set(driven.measured.errors.values()) == {"HTTP 401 Unauthorized: wrong key REDACTED"}


def test_a_key_that_is_not_set_is_an_error_before_anything_starts(monkeypatch: pytest.MonkeyPatch, pids: list[int]) -> None:
    monkeypatch.delenv("BENCH_KEY", raising=False)
    missing = pytest.raises(LoadError, match="the environment variable BENCH_KEY")
    with driver_of(case_of(requests=2), "http://127.0.0.1:9", api_key_env="BENCH_KEY") as driver, missing:
        driver.run()
    assert driver.driven is None
    assert pids == []


def test_proxies_of_the_environment_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with playing() as server:
        assert outcomes(drive(case_of(requests=2), server.url)) == {"COMPLETED": 2}


def test_modules_of_the_working_directory_are_not_taken_for_the_standard_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "selectors.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "httptools.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with playing() as server:
        assert outcomes(drive(case_of(requests=1), server.url)) == {"COMPLETED": 1}


def test_https_with_a_ca_file_is_measured_with_the_kernels_stamps(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with secured(authority.context("127.0.0.1"), b"".join(streamed(events(WORDS)))) as port:
        driven = drive(case_of(requests=3), f"https://127.0.0.1:{port}", ca_file=str(authority.file))
    assert outcomes(driven) == {"COMPLETED": 3}
    assert driven.audit.clock == "kernel"


def test_a_ca_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    unreadable = pytest.raises(LoadError, match=r"ca\.pem is not a file of certificates that can be read \(PEM\): No such file")
    with driver_of(case_of(requests=1), "https://127.0.0.1:9", ca_file=str(tmp_path / "ca.pem")) as driver, unreadable:
        driver.run()
