"""Servers that answer wrongly, or not at all, and places that cannot be written: clear words, no traceback, never green."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import attempt
from pytest_inferbench.devices.inventory import Inventory
from pytest_inferbench.load.audit import Finding
from pytest_inferbench.load.loopback import Loopback, Schedule
from tests.sessions import INI, QUICK, Started, inferbench_argv, only_run, own_server, pytest_argv, suite

pytest_plugins = ["pytester"]

CASE = "cpu-openai-loopback-tp1-d8x4-c1"
LIMITS = "{first_token: 1, stall: 1, total: 2}"
HTML = b"<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>"


class Faulty(ThreadingHTTPServer):
    """A model server whose answers to prompts go wrong after the first ``good`` ones."""

    daemon_threads = True

    def __init__(self, fault: str, good: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.good = good
        self.prompts = 0
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faulty

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.reply(200, {"object": "list", "data": [{"id": "loopback", "object": "model"}]})
        else:
            self.reply(404, {"error": {"message": "nothing here"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.prompts += 1
        if self.server.prompts > self.server.good:
            getattr(self, f"fault_{self.server.fault}")()
        elif body.get("stream"):
            self.stream(["data: [DONE]\n\n"], end=True)
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": " word"}, "finish_reason": "length"}
            self.reply(200, {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    def fault_404(self) -> None:
        self.reply(404, {"error": {"message": "the model went away", "type": "not_found_error"}})

    def fault_401(self) -> None:
        self.reply(401, {"error": {"message": "missing credentials"}})

    def fault_429(self) -> None:
        self.reply(429, {"error": {"message": "too many requests, come back later"}})

    def fault_500(self) -> None:
        self.reply(500, {"error": {"message": "CUDA out of memory"}})

    def fault_html(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(HTML)))
        self.end_headers()
        self.wfile.write(HTML)

    def fault_half(self) -> None:
        event = json.dumps({"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]})
        self.stream([f"data: {event}\n\n"], end=False)
        self.close_connection = True

    def fault_silence(self) -> None:
        self.server.over.wait(20)
        self.close_connection = True

    def stream(self, events: list[str], *, end: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in events:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text.encode()))
        if end:
            self.wfile.write(b"0\r\n\r\n")

    def reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def faulty() -> Iterator[Callable[[str, int], Faulty]]:
    servers: list[Faulty] = []

    def start(fault: str, good: int) -> Faulty:
        server = Faulty(fault, good)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    write(pytester, suite(concurrency="1", limits=LIMITS))
    return pytester


def write(project: pytest.Pytester, text: str, name: str = "quick.bench.yaml") -> None:
    (project.path / name).write_text(text, encoding="utf-8")


def run(project: pytest.Pytester, *arguments: str) -> str:
    """A run in which the only case fails, in words."""
    result = project.runpytest("-p", "no:xdist", "-p", "no:html", *arguments)
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    return without_code(result)


def without_code(result: pytest.RunResult) -> str:
    text = result.stdout.str() + result.stderr.str()
    for trace in ("Traceback", "raise ", "INTERNALERROR", ".py:"):
        assert trace not in text
    return text


def verdict(project: pytest.Pytester) -> str:
    (record,) = json.loads((only_run(project.path) / "results.json").read_text(encoding="utf-8"))["records"]
    found: str = record["verdict"]["outlook"]
    return found


WORDS = {
    "404": "the model went away",
    "401": "missing credentials",
    "429": "too many requests, come back later",
    "500": "CUDA out of memory",
    "html": "Welcome to nginx!",
}


@pytest.mark.parametrize("fault", WORDS)
def test_a_server_that_refuses_the_first_prompt_is_quoted(
    project: pytest.Pytester, faulty: Callable[[str, int], Faulty], fault: str
) -> None:
    server = faulty(fault, 0)
    text = run(project, f"--inferbench-endpoint={server.url}")
    assert "a first request for one token failed" in text
    assert WORDS[fault] in text
    # Asked to chat, to complete, to embed and to rank, once each at most; load is never driven.
    assert server.prompts <= 4
    assert verdict(project) == "fail"


@pytest.mark.parametrize("fault", [*WORDS, "half", "silence"])
def test_a_server_that_goes_wrong_under_load_is_never_green(
    project: pytest.Pytester, faulty: Callable[[str, int], Faulty], fault: str
) -> None:
    text = run(project, f"--inferbench-endpoint={faulty(fault, 1).url}")
    expected = {"half": "before the answer was complete", "silence": "no token within 1 s"}
    assert "none of 4 requests completed" in text
    assert f"  case    {CASE}      requests 4 sent, 0 ok" in text
    assert expected.get(fault, WORDS.get(fault, "")) in text or fault in expected
    assert "  again   pytest " in text
    assert verdict(project) == "fail"


def test_an_expected_miss_does_not_excuse_a_server_that_fails(
    project: pytest.Pytester, faulty: Callable[[str, int], Faulty]
) -> None:
    write(project, suite(concurrency="1", expected_miss="too tight", limits=LIMITS))
    text = run(project, f"--inferbench-endpoint={faulty('500', 1).url}")
    assert "a missed objective is expected here, not requests that fail" in text
    assert "4 x HTTP 500 Internal Server Error: CUDA out of memory" in text


def test_a_marked_function_shows_the_words_alone(project: pytest.Pytester) -> None:
    (project.path / "quick.bench.yaml").unlink()
    marker = 'hardware="cpu", engine="openai", model="m", traffic="D(8,4)", concurrency=1, slo=["ttft_p99 <= 1s"]'
    function = f"import pytest\n\n@pytest.mark.inferbench({marker})\ndef test_it(case, {{0}}):\n    measure(case)\n"
    project.makepyfile(test_called=function.format("measure"), test_fixture=function.format("measure, endpoint"))
    result = project.runpytest("-p", "no:xdist", "-p", "no:html", "--inferbench-endpoint=http://127.0.0.1:1")
    result.assert_outcomes(failed=1, errors=1)
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "def test_it" not in text
    assert text.count("http://127.0.0.1:1/v1/models could not be reached: ") >= 2
    # --full-trace is for people who want the code.
    full = project.runpytest("-p", "no:xdist", "-p", "no:html", "--full-trace", "--inferbench-endpoint=http://127.0.0.1:1")
    assert "def test_it" in full.stdout.str()


def test_nobody_at_the_endpoint_is_said(project: pytest.Pytester) -> None:
    text = run(project, "--inferbench-endpoint=http://127.0.0.1:1")
    assert "http://127.0.0.1:1/v1/models could not be reached: " in text
    assert verdict(project) == "fail"


def test_a_model_that_the_endpoint_does_not_have_is_named(project: pytest.Pytester, faulty: Callable[[str, int], Faulty]) -> None:
    text = run(project, f"--inferbench-endpoint={faulty('404', 0).url}", "--inferbench-endpoint-model=nothing")
    assert "(it lists these models: loopback)" in text


def test_an_objective_that_cannot_be_read_names_it(project: pytest.Pytester) -> None:
    write(project, suite(concurrency="1", slo="ttft_p99 <= 5 parsecs"))
    text = run(project, "--inferbench-endpoint=http://127.0.0.1:1")
    assert "quick.bench.yaml: slo[0]: 'ttft_p99 <= 5 parsecs': " in text


def test_figures_that_the_client_itself_spoiled_are_never_green(
    project: pytest.Pytester, quick: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Finding(what="requests were sent late", advice="use a faster machine", invalidates=True)
    monkeypatch.setattr(attempt, "findings", lambda *_, **__: (late,))
    for expected in ({}, {"expected_miss": "too tight"}):
        write(project, suite(concurrency="1", slo="ttft_p50 <= 30s", **expected))
        text = run(project, f"--inferbench-endpoint={quick.url}")
        assert "INVALID: requests were sent late; use a faster machine" in text
        assert "1 case: 1 invalid" in text


# --- servers of our own -----------------------------------------------------------------------------------------------------


def failing(code: str) -> str:
    """A suite whose server runs these statements and ends."""
    command = f'{sys.executable} -c "{code}" {{port}}'
    return suite(concurrency="1", engine=f"{{name: command, args: {{command: '{command}', ready_timeout_s: 20}}}}")


def test_a_server_that_does_not_start_is_quoted(project: pytest.Pytester) -> None:
    write(project, failing("raise SystemExit(chr(110)*3 + str(6*7))"))
    text = run(project)
    assert "it exited with code 1; the last lines of its log" in text
    assert "nnn42" in text
    assert verdict(project) == "fail"


def test_a_port_in_use_is_quoted(project: pytest.Pytester) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        write(project, failing(f"import socket; socket.create_server((str(), {taken.getsockname()[1]}))"))
        result = project.runpytest("-p", "no:xdist", "-p", "no:html")
    result.assert_outcomes(failed=1)
    assert "Address already in use" in result.stdout.str()


def test_a_program_that_is_not_there_is_named(project: pytest.Pytester) -> None:
    engine = "{name: command, args: {command: 'no-such-program --port {port}'}}"
    write(project, suite(concurrency="1", engine=engine))
    assert "cannot run no-such-program: No such file or directory" in run(project)


def test_an_engine_that_is_not_known_is_named(project: pytest.Pytester) -> None:
    write(project, suite(concurrency="1", engine="lamacpp"))
    assert "there is no engine 'lamacpp'; did you mean llamacpp" in run(project)


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs xllamacpp")
def test_a_model_file_that_is_not_there_is_named(project: pytest.Pytester) -> None:
    write(project, suite(concurrency="1", engine="llamacpp").replace("[loopback]", "[./nothing.gguf]"))
    assert f"there is no model file {project.path / 'nothing.gguf'}" in run(project)


def test_hardware_that_is_not_here_is_a_skip_that_says_what_was_found(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_inferbench.devices.inventory.detected", Inventory)
    write(project, suite(concurrency="1").replace("hardware: cpu", "hardware: h100"))
    result = project.runpytest("-p", "no:xdist", "-rs")
    result.assert_outcomes(skipped=1)
    assert "needs 1 x h100; found: cpu (" in result.stdout.str()
    assert not (project.path / "reports").exists()


def test_a_server_killed_under_load_fails_its_case_and_the_next_one_gets_a_new_server(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    slow = own_server(Schedule(ttft_ms=20, itl_ms=20, tokens=4))
    text = suite(engine=slow, load="{requests: 150, warmup: 0}") + "exclude: [{concurrency: 2}]\n"
    text += "include: [{concurrency: 2, requests: 4}]\n"
    (tmp_path / "quick.bench.yaml").write_text(text, encoding="utf-8")
    with Started(pytest_argv("-p", "no:xdist", "-p", "no:html", "-v"), tmp_path) as session:
        session.wait_for(lambda: list(tmp_path.glob("reports/runs/*/*-c1/manifest.json")))
        (server,) = session.wait_for(lambda: session.others("load.loopback"))
        os.kill(server, signal.SIGKILL)
        assert session.end() == pytest.ExitCode.TESTS_FAILED
        text = session.output
        assert session.others() == {}
    assert "cpu-command-loopback-tp1-d8x4-c1 FAILED" in text
    assert "cpu-command-loopback-tp1-d8x4-c2 PASSED" in text
    assert "Traceback" not in text
    assert "it was killed by SIGKILL (signal 9), as the kernel does when memory runs out; the last lines of its log" in text
    assert f'"pid": {server}}}' in text
    run_dir = only_run(tmp_path)
    first, second = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))["records"]
    assert (first["verdict"]["outlook"], second["verdict"]["outlook"]) == ("fail", "pass")
    assert first["served"]["url"] != second["served"]["url"]
    assert len(list((run_dir / "servers").iterdir())) == 2
    assert (run_dir / first["folder"] / "metrics.csv").exists()


# --- places -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick() -> Iterator[Loopback]:
    with Loopback.start(QUICK) as running:
        yield running


@pytest.mark.parametrize("mode", [("-p", "no:xdist"), ("-n2",)], ids=["alone", "n2"])
def test_a_folder_that_has_a_run_is_refused_before_anything_starts(
    project: pytest.Pytester, quick: Loopback, mode: tuple[str, ...]
) -> None:
    arguments = (f"--inferbench-endpoint={quick.url}", "--inferbench-output=out", "-p", "no:html", *mode)
    start = project.runpytest_subprocess if mode == ("-n2",) else project.runpytest_inprocess
    assert start(*arguments).ret == 0
    before = (project.path / "out" / "results.json").read_bytes()
    result = start(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = without_code(result)
    assert f"{project.path / 'out'} holds run 2" in words
    assert "which is never overwritten; choose another folder with --inferbench-output, or move it away" in words
    assert (project.path / "out" / "results.json").read_bytes() == before


def test_a_folder_that_cannot_be_made_is_a_usage_error(project: pytest.Pytester) -> None:
    result = project.runpytest("-p", "no:xdist", "--inferbench-output=/dev/null/out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: /dev/null/out could not be written: a part of its path is a file" in without_code(result)


def test_the_default_place_is_looked_at_too(project: pytest.Pytester) -> None:
    (project.path / "reports").write_text("mine", encoding="utf-8")
    result = project.runpytest("-p", "no:xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "could not be written" in without_code(result)


def test_results_that_cannot_be_written_fail_the_run_and_say_so(project: pytest.Pytester, quick: Loopback) -> None:
    project.makeconftest(
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logfinish(nodeid):
            (run,) = __import__("pathlib").Path("reports/runs").iterdir()
            (run / "results.json").mkdir(exist_ok=True)
        """
    )
    result = project.runpytest("-p", "no:xdist", "-p", "no:html", f"--inferbench-endpoint={quick.url}")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "inferbench: " in without_code(result)
    assert "results.json could not be written" in result.stdout.str()


def test_a_link_to_the_newest_run_that_cannot_be_made_spoils_nothing_but_is_said(
    project: pytest.Pytester, quick: Loopback
) -> None:
    (project.path / "reports" / "latest").mkdir(parents=True)
    result = project.runpytest("-p", "no:xdist", "-p", "no:html", f"--inferbench-endpoint={quick.url}")
    result.assert_outcomes(passed=1)
    assert "latest is a folder, where a link to the newest run belongs; move it away" in without_code(result)
    assert (only_run(project.path) / "results.json").exists()


def test_a_server_that_cannot_be_ended_fails_the_run_and_is_named(project: pytest.Pytester, quick: Loopback) -> None:
    # In a worker's process, whose words have a way to go.
    project.makeconftest(
        """
        from pytest_inferbench.launch.pool import ServerPool

        def close(self):
            if self._running:
                self.troubles.append("process 4711 cannot be ended")

        ServerPool.close = close
        """
    )
    result = project.runpytest_subprocess("-p", "no:html", f"--inferbench-endpoint={quick.url}", "-n1")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "inferbench: process 4711 cannot be ended" in without_code(result)


@pytest.mark.parametrize("fault", ["500", "html", "half"])
def test_a_single_run_of_a_server_that_goes_wrong_is_1_in_words(
    tmp_path: Path, faulty: Callable[[str, int], Faulty], fault: str
) -> None:
    flags = ("--requests=3", "--traffic=D(8,4)", "--output=out")
    with Started(inferbench_argv("run", f"--endpoint={faulty(fault, 1).url}", *flags), tmp_path) as command:
        assert command.end() == 1
        text = command.output
    assert "none of 3 requests completed" in text
    assert "Traceback" not in text


def test_a_single_run_of_nobody_is_3_in_words(tmp_path: Path) -> None:
    with Started(inferbench_argv("run", "--endpoint=http://127.0.0.1:1", "--output=out"), tmp_path) as command:
        assert command.end() == 3
        text = command.output
    assert "error: http://127.0.0.1:1/v1/models could not be reached: " in text
    assert "Traceback" not in text
    assert (tmp_path / "out" / "summary.json").exists()
