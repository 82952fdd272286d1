from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Tool, Volume
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import EngineDied, EngineError
from pytest_inferbench.launch import docker_tool, ledger
from pytest_inferbench.launch.docker_fake import FakeEngine, refusal
from pytest_inferbench.launch.docker_tool import LOG_FILE, RESULTS_FOLDER, ToolOrder, run_tool
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.launch.ownership import RUN

AT = Endpoint(url="http://127.0.0.1:8123", model="m", engine="tiny", tokenizer=TokenizerRef(kind="none"))
TOOL = Tool(
    name="genai-bench",
    image="bench:1",
    results="/results/{model}",
    args=("benchmark", "--api-base", "{url}", "--api-model-name", "{model}", "--port", "{port}"),
    env=(("TOKEN", "${MY_TOKEN}"),),
    shm_size_bytes=5 << 30,
)


@dataclass
class Loaded:
    """A server that is loaded."""

    endpoint: Endpoint = AT
    end: str | None = None
    looks: list[None] = field(default_factory=list)

    def died(self) -> str | None:
        self.looks.append(None)
        return self.end

    def log_tail(self, lines: int = 20) -> str:
        del lines
        return ""

    def stop(self) -> None:
        pass


class ToolEngine(FakeEngine):
    """An engine whose containers end as they are told, after a few looks at them."""

    exit_code: int | None = 0

    def inspect(self, name: str) -> Any:
        if self.calls.count("inspect") > 1 and self.exit_code is not None:
            self.containers[name].end(self.exit_code)
        return super().inspect(name)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ToolEngine:
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MY_TOKEN", "secret-token")
    fake = ToolEngine(images=("bench:1",), log=(b"running with secret-token\n",))
    bodies: list[Any] = []
    monkeypatch.setattr(fake, "bodies", bodies, raising=False)
    create = fake.create_container

    def remembered(name: str, body: Any) -> Any:
        bodies.append(body)
        return create(name, body)

    monkeypatch.setattr(fake, "create_container", remembered)
    monkeypatch.setattr(docker_tool, "connect", lambda: fake)
    monkeypatch.setattr(docker_tool, "watch", lambda *_, **__: None)
    monkeypatch.setattr(docker_tool, "_POLL_S", 0.001)
    monkeypatch.setattr(docker_tool, "_LOG_LIMIT_S", 0.05)
    return fake


@pytest.fixture
def run(engine: ToolEngine, tmp_path: Path) -> Callable[..., Any]:
    def start(server: Loaded | None = None, *, tool: Tool = TOOL, limit_s: float = 60.0) -> Any:
        order = ToolOrder(tool=tool, folder=tmp_path / "case", run_id="r1", limit_s=limit_s)
        return run_tool(order, server or Loaded())

    return start


def nothing_left(engine: FakeEngine) -> bool:
    return (engine.containers, ledger.entries(), engine.closed) == ({}, (), True)


def test_a_tool_is_told_where_the_server_is_and_leaves_its_results_in_the_case(run: Any, engine: Any, tmp_path: Path) -> None:
    found = run()
    assert found.failed is None
    assert found.results == tmp_path / "case" / RESULTS_FOLDER
    assert found.results.is_dir()
    assert found.image_digest == "bench@sha256:1"
    (body,) = engine.bodies
    assert body["Cmd"] == ["benchmark", "--api-base", "http://127.0.0.1:8123", "--api-model-name", "m", "--port", "8123"]
    assert body["HostConfig"]["NetworkMode"] == "host"
    assert body["HostConfig"]["ShmSize"] == 5 << 30
    mounted = {"Type": "bind", "Source": str(found.results), "Target": "/results/m", "ReadOnly": False}
    assert body["HostConfig"]["Mounts"] == [mounted]
    assert body["Labels"][RUN] == "r1"
    assert nothing_left(engine)


def test_beside_a_container_it_is_in_that_one_s_network(run: Any, engine: Any) -> None:
    run(Loaded(endpoint=replace(AT, network="inferbench-r1-1", network_url="http://server:8000")))
    (body,) = engine.bodies
    assert body["HostConfig"]["NetworkMode"] == "inferbench-r1-1"
    assert body["Cmd"][2] == "http://server:8000"


def test_a_secret_reaches_the_tool_and_not_its_log(run: Any, engine: Any, tmp_path: Path) -> None:
    run()
    assert engine.bodies[0]["Env"] == ["TOKEN=secret-token"]
    assert "secret-token" not in (tmp_path / "case" / LOG_FILE).read_text()


def test_a_key_on_its_command_line_is_filled_in_and_not_in_its_log(run: Any, engine: Any, tmp_path: Path) -> None:
    run(tool=replace(TOOL, args=("--api-key", "${MY_TOKEN}"), env=()))
    assert engine.bodies[0]["Cmd"] == ["--api-key", "secret-token"]
    assert "secret-token" not in (tmp_path / "case" / LOG_FILE).read_text()


def test_a_tool_that_fails_says_so_with_its_last_words(run: Any, engine: ToolEngine) -> None:
    engine.exit_code = 3
    found = run()
    assert "exited with code 3" in found.failed
    assert "running with" in found.failed
    assert "secret-token" not in found.failed
    assert nothing_left(engine)


def test_a_tool_that_takes_too_long_is_ended(run: Any, engine: ToolEngine) -> None:
    engine.exit_code = None
    with pytest.raises(EngineError, match="genai-bench did not end within 0 s; give it less to do"):
        run(limit_s=0)
    assert nothing_left(engine)


def test_the_end_of_its_server_ends_it(run: Any, engine: ToolEngine) -> None:
    engine.exit_code = None
    with pytest.raises(EngineDied, match="killed"):
        run(Loaded(end="it was killed"))
    assert nothing_left(engine)


def test_an_interrupt_leaves_nothing(run: Any, engine: ToolEngine) -> None:
    engine.refusals["inspect"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run()
    assert nothing_left(engine)


def test_a_refusal_is_in_the_engine_s_words(run: Any, engine: ToolEngine) -> None:
    engine.refusals["start_container"] = refusal("no such command")
    with pytest.raises(EngineError, match="no such command"):
        run()
    assert nothing_left(engine)


def test_a_folder_that_is_not_there_is_said(run: Any) -> None:
    with pytest.raises(EngineError, match="/nowhere/at/all"):
        run(tool=replace(TOOL, volumes=(Volume(source="/nowhere/at/all", target="/x"),)))
