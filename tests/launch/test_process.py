import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.engines.engine import HttpStep, ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import process
from pytest_inferbench.launch.group import members
from pytest_inferbench.launch.port import free_port
from pytest_inferbench.launch.process import ProcessServer, end_sentence, start

# A model server in a few lines; what it does wrong is its second argument.
SERVER = """
import http.server, json, os, sys, time
port, wrong = int(sys.argv[1]), sys.argv[2]
print("my key is", os.environ.get("SERVER_KEY"), flush=True)
if wrong == "exits":
    sys.exit("no such \\033[31mdevice")
if wrong == "hangs":
    time.sleep(60)
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if wrong == "tells":
            print(self.path, os.environ.get("SERVER_KEY"), flush=True)
        self.answer(json.dumps({"version": "1.2.3"}).encode())
    def do_POST(self):
        if wrong == "dies":
            os.abort()
        self.answer(b"<html>" if wrong == "html" else b'{"choices": [{}]}')
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def spec(wrong: str = "nothing", **fields: Any) -> ServerSpec:
    base = ServerSpec(
        key="k",
        engine="tiny",
        argv=(sys.executable, "-I", "-c", SERVER, "{port}", wrong),
        model=ModelFiles(load_from="x", served_name="m", tokenizer=TokenizerRef(kind="none")),
        version_path="/version",
        ready_timeout_s=30,
        extra_body={"cache_prompt": False},
        cache_body={"cache_prompt": True},
    )
    return replace(base, **fields)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., ProcessServer]]:
    """Starts servers, and stops them after the test."""
    servers: list[ProcessServer] = []

    def start_one(wanted: ServerSpec, **more: Any) -> ProcessServer:
        servers.append(start(wanted, log_path=tmp_path / "logs" / "server.log", **more))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()
        assert members(server.endpoint.pid or 0) == ()


def test_a_started_server_is_described(run: Any, tmp_path: Path) -> None:
    server = run(spec())
    at = server.endpoint
    assert at.url == f"http://127.0.0.1:{server.port}"
    assert (at.model, at.engine, at.engine_version) == ("m", "tiny", "1.2.3")
    assert at.command == (sys.executable, "-I", "-c", SERVER, str(server.port), "nothing")
    assert at.log_path == tmp_path / "logs" / "server.log"
    assert (at.extra_body, at.cache_body) == ({"cache_prompt": False}, {"cache_prompt": True})
    assert at.started_in_s > 0
    assert server.died() is None
    assert len(members(at.pid)) == 1


def test_a_version_that_is_known_is_not_asked_for(run: Any) -> None:
    assert run(spec(version="9")).endpoint.engine_version == "9"
    assert run(spec(version_path=None)).endpoint.engine_version is None


def test_stopping_leaves_nothing_and_can_be_done_twice(run: Any) -> None:
    server = run(spec())
    server.stop()
    assert members(server.endpoint.pid) == ()
    server.stop()


def test_a_server_that_exits_is_quoted_at_once(run: Any) -> None:
    with pytest.raises(EngineNotReady) as error:
        run(spec("exits"))
    text = str(error.value)
    assert text.startswith("tiny ended before it was ready: it exited with code 1; the last lines of its log (")
    assert text.endswith("server.log):\nmy key is None\nno such device")


def test_a_server_that_dies_at_its_first_request_is_quoted(run: Any) -> None:
    with pytest.raises(EngineNotReady, match=r"tiny ended during its first request: it was killed by SIGABRT \(signal 6\)"):
        run(spec("dies"))


def test_a_server_that_never_gets_ready_is_ended_at_its_limit(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    real = process._spawned

    def spawned(*args: Any, output: int, **more: Any) -> Any:
        child = real(*args, output=output, **more)
        started.append(child.pid)
        # Its limit begins when it has said something, however long it takes to begin.
        deadline_s = time.monotonic() + 60
        while os.fstat(output).st_size == 0 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        return child

    monkeypatch.setattr(process, "_spawned", spawned)
    with pytest.raises(EngineNotReady) as error:
        run(spec("hangs", ready_timeout_s=0.5))
    assert "tiny was not ready within 0.5 s; http://127.0.0.1:" in str(error.value)
    assert "/health last said: " in str(error.value)
    assert str(error.value).endswith("server.log):\nmy key is None")
    assert [members(pid) for pid in started] == [()]


def test_ctrl_c_during_the_start_leaves_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ProcessServer] = []

    def interrupt(self: ProcessServer, _: Any) -> None:
        seen.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessServer, "wait_until_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(spec("hangs"))
    assert members(seen[0].endpoint.pid or 0) == ()


def test_a_wrong_first_answer_is_quoted_with_the_log(run: Any) -> None:
    with pytest.raises(EngineNotReady) as error:
        run(spec("html"))
    assert "tiny is up, but its first request failed: " in str(error.value)
    assert 'with a web page (HTML) rather than JSON: "<html>"' in str(error.value)
    assert str(error.value).endswith("server.log):\nmy key is None")


def test_a_server_that_died_says_how_and_is_not_signalled_any_more(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = run(spec())
    os.kill(server.endpoint.pid, 9)
    while server.died() is None:
        pass
    assert server.died().startswith(
        "it was killed by SIGKILL (signal 9), as the kernel does when memory runs out; the last lines"
    )
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("its number may be somebody else's by now"))
    server.stop()


def test_a_port_that_somebody_took_is_given_up_for_another(run: Any, monkeypatch: pytest.MonkeyPatch, scripted: Any) -> None:
    taken, free = int(scripted({}).url.rpartition(":")[2]), free_port()
    ports = [taken, free]
    monkeypatch.setattr(process, "free_port", lambda: ports.pop(0))
    said: list[str] = []
    assert run(spec(), progress=said.append).port == free
    assert f"tiny: somebody took port {taken} first; trying another" in said


def test_ports_that_are_always_taken_are_an_error_in_the_servers_words(
    run: Any, monkeypatch: pytest.MonkeyPatch, scripted: Any
) -> None:
    taken = int(scripted({}).url.rpartition(":")[2])
    monkeypatch.setattr(process, "free_port", lambda: taken)
    with pytest.raises(EngineNotReady, match=r"\[Errno 98\] Address already in use"):
        run(spec())


def test_a_key_by_reference_reaches_the_server_and_is_shown_nowhere(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse-battery")
    server = run(spec(env=(("SERVER_KEY", "${MY_KEY}"),), api_key_env="MY_KEY"))
    assert server.endpoint.api_key_env == "MY_KEY"
    # Another process writes it, in its own time.
    deadline_s = time.monotonic() + 60
    while not server.log_tail() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert server.log_tail() == "my key is REDACTED"
    assert "correct-horse" not in repr(server.endpoint)
    server.stop()
    assert (tmp_path / "logs" / "server.log").read_text() == "my key is REDACTED\n"


def test_a_key_on_the_command_line_is_not_shown(run: Any) -> None:
    wanted = spec()
    server = run(replace(wanted, argv=(*wanted.argv, "--api-key", "correct-horse")))
    assert server.endpoint.command[-2:] == ("--api-key", "REDACTED")


def test_a_program_that_is_not_there_is_named(run: Any) -> None:
    with pytest.raises(
        EngineNotReady, match=r"it exited with code 127;.*\nerror: cannot run /no/such: No such file or directory"
    ):
        run(spec(argv=("/no/such", "{port}")))


def test_a_program_that_cannot_even_be_named_is_an_error(run: Any) -> None:
    with pytest.raises(EngineError, match="the server could not be started: embedded null byte"):
        run(spec(argv=("x\0", "{port}")))


def test_a_log_that_was_there_is_added_to_and_not_quoted(run: Any, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_text("the server before\n")
    server = run(spec())
    assert server.log_tail() == "my key is None"
    assert (tmp_path / "logs" / "server.log").read_text() == "the server before\nmy key is None\n"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "it exited with code 0"),
        (3, "it exited with code 3"),
        (-15, "it was killed by SIGTERM (signal 15)"),
        (-9, "it was killed by SIGKILL (signal 9), as the kernel does when memory runs out"),
        (-255, "it was killed by a signal without a name (signal 255)"),
    ],
)
def test_an_end_is_said_as_people_say_it(code: int, sentence: str) -> None:
    assert end_sentence(code) == sentence


def test_an_endpoint_says_where_its_metrics_and_health_are_and_how_to_make_it_forget(run: Callable[..., ProcessServer]) -> None:
    reset = HttpStep(method="POST", path="/reset_prefix_cache")
    at = run(spec(metrics_path="/prometheus", metric_names="vllm", ready_path="/up", cache_reset=reset)).endpoint
    assert (at.metrics_url, at.health_url) == (f"{at.url}/prometheus", f"{at.url}/up")
    assert (at.metric_names, at.cache_reset) == ("vllm", reset)


def test_a_server_without_metrics_has_no_address_of_them(run: Callable[..., ProcessServer]) -> None:
    assert run(spec(metrics_path=None)).endpoint.metrics_url is None
