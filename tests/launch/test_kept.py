import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import ledger, leftovers, marked
from pytest_inferbench.launch.guard import OUTLIVES
from pytest_inferbench.launch.kept import KeptServer, kept_server, kept_words
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.launch.process import ProcessServer, start
from tests.launch.test_process import spec

JSON = "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}"
# Starts a server to be kept, and says where it is.
KEEPER = """
import os, sys
from pathlib import Path
from pytest_inferbench.launch.process import start
from tests.launch.test_process import spec
wanted = spec("tells", env=(("SERVER_KEY", "${MY_KEY}"),)) if "MY_KEY" in os.environ else spec()
server = start(wanted, log_path=Path(sys.argv[1]), run_id="run-1", kept=True)
print(server.endpoint.pid, server.endpoint.url, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
"""


def answer(body: str, status: str = "200 OK") -> bytes:
    return JSON.format(status=status, size=len(body), body=body).encode()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ProcessServer]:
    """A server that was kept by this very process."""
    server = start(spec(), log_path=tmp_path / "server.log", run_id="run-1", kept=True)
    yield server
    server.stop()


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_a_kept_server_outlives_whoever_started_it_and_down_ends_it(how: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KEEPER, str(tmp_path / "log"), how], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == (-9 if how == "killed" else 0), done.stderr
    pid, url = done.stdout.split()
    assert leftovers.reap() == ()
    found = kept_server(spec())
    assert found is not None
    assert (found.endpoint.url, found.endpoint.pid, found.endpoint.engine_version) == (url, int(pid), "1.2.3")
    assert Path(f"/proc/{pid}/environ").read_bytes().find(f"{OUTLIVES}=1".encode()) >= 0
    cleaned = leftovers.remove(leftovers.look())
    assert len(cleaned.removed) == 1
    died = found.died()
    assert died is not None
    assert died.startswith(f"process {pid} has ended; the last lines of its log ({tmp_path / 'log'}):\n")
    assert kept_server(spec()) is None


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_what_a_kept_server_logs_later_is_without_secrets_as_well(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse-battery")
    path = tmp_path / "log"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KEEPER, str(path), how], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == (-9 if how == "killed" else 0), done.stderr
    ask(f"{done.stdout.split()[1]}/after", timeout_s=60)
    deadline_s = time.monotonic() + 60
    while "/after REDACTED\n" not in path.read_text() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    (entry,) = ledger.kept("k")
    leftovers.remove(leftovers.look())
    assert marked.marked(entry.token) == frozenset(), "what hides went with the server"
    text = path.read_text()
    assert text.startswith("my key is REDACTED\n")
    assert "/after REDACTED\n" in text
    assert "correct-horse" not in text


def test_whoever_uses_a_kept_server_does_not_stop_it(server: ProcessServer) -> None:
    said: list[str] = []
    found = kept_server(spec(), progress=said.append)
    assert found is not None
    # Whatever is known of it when it is started is known of it now.
    assert found.endpoint == server.endpoint
    assert (found.run_id, found.gpus) == ("run-1", ())
    assert said[-1] == f"using the tiny kept at {server.endpoint.url} (run run-1)"
    found.stop()
    assert found.died() is None
    assert server.died() is None


def test_how_to_reach_and_stop_it_is_said(server: ProcessServer, tmp_path: Path) -> None:
    (entry,) = ledger.kept("k")
    assert kept_words(entry) == (
        f"tiny with m is up at {server.endpoint.url}, log {tmp_path / 'server.log'}\n  stop it with: inferbench down run-1"
    )
    with pytest.raises(EngineError, match="the server of run run-1 was not kept"):
        kept_words(replace(entry, reach=None))


def test_a_server_that_was_started_in_another_way_is_not_used(server: ProcessServer) -> None:
    said: list[str] = []
    wanted = spec()
    assert kept_server(replace(wanted, argv=(*wanted.argv, "--more")), progress=said.append) is None
    assert said == [f"the tiny kept at {server.endpoint.url} (run run-1) was started by another command; not used"]
    assert kept_server(replace(wanted, key="other"), progress=said.append) is None


def test_a_server_that_has_ended_is_not_used_and_the_reason_is_said(server: ProcessServer) -> None:
    pid = server.endpoint.pid or 0
    os.kill(pid, signal.SIGKILL)
    while server.died() is None:
        time.sleep(0.01)
    said: list[str] = []
    assert kept_server(spec(), progress=said.append) is None
    assert ledger.entries() == (), "a server that this process saw end is struck out"


def container(url: str) -> KeptServer:
    reach = ledger.Reach(url=url, engine="tiny", model="m")
    return KeptServer(ledger.keep(ledger.record("container", "box", run_id="run-1", key="k"), reach), spec())


def test_a_container_is_asked_for_its_health(scripted: Any) -> None:
    well = scripted({"/health": answer("{}"), "/v1/chat/completions": answer('{"choices": [{}]}')})
    box = container(well.url)
    assert box.died() is None
    assert box.endpoint.pid is None
    assert kept_server(spec()) is not None
    assert box.log_tail() == ""
    unwell = container(scripted({"/health": answer('{"message": "no memory"}', "503 Unavailable")}).url).died()
    assert unwell is not None
    assert "answered 503" in unwell
    gone = container("http://127.0.0.1:9").died()
    assert gone is not None
    assert "could not be reached" in gone


def test_a_container_that_makes_no_token_is_of_no_use(scripted: Any) -> None:
    box = scripted({"/health": answer("{}"), "/v1/chat/completions": answer('{"message": "out of memory"}', "500 Oops")})
    said: list[str] = []
    kept = container(box.url)
    with pytest.raises(EngineNotReady, match="tiny is up, but its first request failed"):
        kept.wait_until_ready(said.append)
    assert kept_server(spec(), progress=said.append) is None
    assert said[-1].startswith(f"the tiny kept at {box.url} (run run-1) is of no use: tiny is up, but its first request failed: ")
