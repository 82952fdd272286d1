import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Container, Volume
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import docker, ledger
from pytest_inferbench.launch.docker import DockerServer, start
from pytest_inferbench.launch.docker_config import network_name
from pytest_inferbench.launch.docker_engine import EngineUnreachable
from pytest_inferbench.launch.docker_fake import FakeEngine, refusal
from pytest_inferbench.launch.ownership import KEY, OWNER, RUN

ANSWERS = {
    "/health": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "/version": b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{"version": "1.2.3"}',
    "/v1/chat/completions": b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{"choices": [{}]}',
}
NETWORK = network_name("r1", owner_pid=os.getpid())


def spec(**fields: Any) -> ServerSpec:
    base = ServerSpec(
        key="k1",
        engine="tiny",
        argv=("serve", "--port", "{port}"),
        model=ModelFiles(load_from="x", served_name="m", tokenizer=TokenizerRef(kind="none")),
        version_path="/version",
        ready_timeout_s=30,
        extra_body={"a": 1},
        image="tiny:1",
        launcher="docker",
    )
    return replace(base, **fields)


@pytest.fixture
def engine(scripted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    """An engine whose containers all seem to answer as a model server does."""
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    fake = FakeEngine(port=int(scripted(dict(ANSWERS)).url.rpartition(":")[2]), log=(b"loading\n", b"ready\n"))
    monkeypatch.setattr(docker, "connect", lambda: fake)
    monkeypatch.setattr(docker, "watch", lambda *_, **__: None)
    monkeypatch.setattr(docker, "_POLL_S", 0.001)
    return fake


@pytest.fixture
def run(engine: FakeEngine, tmp_path: Path) -> Iterator[Callable[..., DockerServer]]:
    """Starts servers, and stops them after the test."""
    servers: list[DockerServer] = []

    def start_one(wanted: ServerSpec, **more: Any) -> DockerServer:
        servers.append(start(wanted, log_path=tmp_path / "logs" / "server.log", run_id="r1", **more))
        return servers[-1]

    yield start_one
    engine.refusals.clear()
    for server in servers:
        server.stop()


def nothing_left(engine: FakeEngine) -> bool:
    return (engine.containers, engine.networks, ledger.entries(), engine.closed) == ({}, {}, (), True)


def test_a_started_server_is_described(run: Any, engine: FakeEngine, tmp_path: Path) -> None:
    at = run(spec()).endpoint
    assert at.url == f"http://127.0.0.1:{engine.port}"
    assert (at.model, at.engine, at.engine_version, at.pid) == ("m", "tiny", "1.2.3", 4711)
    assert at.image_digest == "tiny@sha256:1"
    assert (at.metrics_url, at.health_url) == (f"{at.url}/metrics", f"{at.url}/health")
    assert at.command[:2] == ("docker", "run")
    assert at.command[-4:] == ("tiny:1", "serve", "--port", "8000")
    assert at.log_path == tmp_path / "logs" / "server.log"
    assert at.extra_body == {"a": 1}
    assert at.started_in_s is not None


def test_a_version_that_is_known_is_not_asked_for(run: Any) -> None:
    assert run(spec(version="9")).endpoint.engine_version == "9"
    assert run(spec(version_path=None, metrics_path=None)).endpoint.engine_version is None


def test_what_is_made_says_whose_it_is(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    labels = engine.containers[server.container].body["Labels"]
    assert (labels[RUN], labels[KEY], labels[OWNER]) == ("r1", "k1", str(os.getpid()))
    assert engine.networks[NETWORK][RUN] == "r1"
    assert {(entry.kind, entry.name) for entry in ledger.entries()} == {("container", server.container), ("network", NETWORK)}


def test_stopping_leaves_nothing_and_can_be_done_twice(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    server.stop()
    assert nothing_left(engine)
    before = len(engine.calls)
    server.stop()
    assert len(engine.calls) == before
    assert server.died() is None


def test_the_network_goes_with_the_last_server_in_it(run: Any, engine: FakeEngine) -> None:
    first, second = run(spec()), run(spec(key="k2"))
    first.stop()
    assert list(engine.networks) == [NETWORK]
    second.stop()
    assert nothing_left(engine)


def test_the_log_is_written_beside_what_was_there(run: Any, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "server.log").write_text("the server before\n")
    server = run(spec())
    server.stop()
    assert (tmp_path / "logs" / "server.log").read_text() == "the server before\nloading\nready\n"
    assert server.log_tail() == "loading\nready"


def test_a_server_that_ended_says_how(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    engine.containers[server.container].end(137, oom_killed=True)
    while (end := server.died()) is None:
        pass
    assert end.startswith("the kernel killed it because it had used up its memory (OOMKilled, exit code 137); the last lines")
    assert end.endswith("server.log):\nloading\nready")
    server.stop()
    assert "stop_container" not in engine.calls
    assert nothing_left(engine)


def test_while_its_log_goes_on_the_engine_is_not_asked_all_the_time(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    before = engine.calls.count("inspect")
    assert [server.died() for _ in range(100)] == [None] * 100
    assert engine.calls.count("inspect") <= before + 1


def test_a_container_that_somebody_removed_is_said(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    engine.remove_container(server.container)
    while (end := server.died()) is None:
        pass
    assert end.startswith(f"its container {server.container} was removed by somebody else; the last lines of its log (")
    server.stop()
    assert nothing_left(engine)


def test_without_its_engine_a_server_that_still_listens_is_alive(run: Any, engine: FakeEngine, scripted: Any) -> None:
    server = run(spec())
    engine.refusals["inspect"] = EngineUnreachable("the container engine went away")
    engine.containers[server.container].ended.set()
    server._looked_s = -1e9
    assert server.died() is None


def test_a_server_that_went_away_with_its_engine_is_dead(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    server = run(spec())
    engine.refusals["inspect"] = EngineUnreachable("the container engine went away")
    monkeypatch.setattr(DockerServer, "_listens", lambda _: False)
    engine.containers[server.container].ended.set()
    while (end := server.died()) is None:
        pass
    assert end.startswith("the container engine went away; the last lines of its log (")


def test_an_engine_that_comes_back_is_waited_for(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    server = run(spec())
    engine.refusals["stop_container"] = EngineUnreachable("went away")

    def comes_back(_: float) -> None:
        engine.refusals.clear()

    monkeypatch.setattr(time, "sleep", comes_back)
    server.stop()
    assert nothing_left(engine)


def test_an_engine_that_stays_away_leaves_a_note_and_a_remedy(
    run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "BACK_LIMIT_S", 0.0)
    server = run(spec())
    for verb in ("stop_container", "remove_network"):
        engine.refusals[verb] = EngineUnreachable("it went away")
    with pytest.raises(EngineError) as error:
        server.stop()
    assert str(error.value) == (
        f"the container {server.container} may still be there: it went away (waited for 0 s); "
        f"remove it when the engine is back: docker rm --force {server.container}; it went away"
    )
    assert {entry.kind for entry in ledger.entries()} == {"container", "network"}
    assert engine.closed


def test_a_container_that_cannot_be_stopped_is_removed_all_the_same(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    engine.refusals["stop_container"] = refusal("is restarting")
    server.stop()
    assert nothing_left(engine)


def test_a_second_ctrl_c_while_stopping_removes_at_once(run: Any, engine: FakeEngine) -> None:
    server = run(spec())
    engine.refusals["stop_container"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        server.stop()
    assert engine.containers == {}


@pytest.mark.parametrize("verb", ["create_network", "create_container", "start_container", "logs", "inspect"])
@pytest.mark.parametrize("wrong", [KeyboardInterrupt(), refusal("no space left")], ids=["ctrl-c", "refusal"])
def test_whatever_goes_wrong_while_starting_nothing_is_left(
    run: Any, engine: FakeEngine, verb: str, wrong: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "_CREATE_LIMIT_S", 0.0)
    engine.refusals[verb] = wrong
    with pytest.raises(type(wrong)):
        run(spec())
    assert nothing_left(engine)


def test_a_container_that_appears_after_ctrl_c_is_removed(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.refusals["create_container"] = KeyboardInterrupt()

    def appears(_: float) -> None:
        engine.refusals.clear()
        (entry,) = [entry for entry in ledger.entries() if entry.kind == "container"]
        engine.create_container(entry.name, {"Labels": {}, "HostConfig": {}, "Image": "tiny:1"})

    monkeypatch.setattr(time, "sleep", appears)
    with pytest.raises(KeyboardInterrupt):
        run(spec())
    assert nothing_left(engine)


def test_ctrl_c_while_waiting_leaves_nothing(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DockerServer, "wait_until_ready", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(spec())
    assert nothing_left(engine)


def test_a_server_that_ends_at_once_is_quoted(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = engine.start_container

    def start_and_end(name: str) -> None:
        real(name)
        engine.containers[name].end(3)

    monkeypatch.setattr(engine, "start_container", start_and_end)
    with pytest.raises(EngineNotReady) as error:
        run(spec())
    assert str(error.value).startswith("tiny ended before it was ready: it exited with code 3; the last lines of its log (")
    assert str(error.value).endswith("server.log):\nloading\nready")
    assert nothing_left(engine)


def test_a_server_that_never_gets_ready_is_ended_at_its_limit(run: Any, engine: FakeEngine) -> None:
    engine.port = 9
    engine.log = ()
    with pytest.raises(EngineNotReady) as error:
        run(spec(ready_timeout_s=0.2))
    assert str(error.value).startswith("tiny was not ready within 0.2 s; http://127.0.0.1:9/health last said: ")
    assert "; it wrote nothing into its log (" in str(error.value)
    assert nothing_left(engine)


def test_a_log_that_cannot_be_written_is_said_with_the_end(run: Any, engine: FakeEngine, tmp_path: Path) -> None:
    server = run(spec())
    server._follower.trouble = "its log could not be written to server.log: No space left on device"
    engine.containers[server.container].end(1)
    while (end := server.died()) is None:
        pass
    assert end == (
        "it exited with code 1; its log could not be written to server.log: No space left on device; "
        "the last lines before that:\nloading\nready"
    )


def test_an_engine_that_gives_no_port_is_said(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = engine.inspect
    monkeypatch.setattr(engine, "inspect", lambda name: {**real(name), "NetworkSettings": {}})
    with pytest.raises(
        EngineError, match=r"^Fake 1.0 started the container inferbench-r1-k1-\w+ and gave it no port of this machine$"
    ):
        run(spec())
    with pytest.raises(EngineError, match=r"and gave it no address in its network$"):
        run(spec(container=Container(ports="network")))


def test_warnings_of_the_engine_are_passed_on(run: Any, engine: FakeEngine) -> None:
    engine.warnings = ("Your kernel does not support cpuset. Cpuset discarded.",)
    said: list[str] = []
    run(spec(), progress=said.append)
    assert "tiny: the container engine warns: Your kernel does not support cpuset. Cpuset discarded." in said


def test_gpus_without_a_driver_for_containers_are_said_with_what_to_install(run: Any, engine: FakeEngine) -> None:
    engine.refusals["start_container"] = refusal('could not select device driver "nvidia" with capabilities: [[gpu]]')
    with pytest.raises(EngineError, match="install the NVIDIA Container Toolkit"):
        run(spec(), gpus=(Gpu(index=0, uuid="GPU-1", name="h100"),))
    assert nothing_left(engine)


def test_a_server_that_would_get_no_gpu_is_not_started(run: Any, engine: FakeEngine) -> None:
    engine.ignored = frozenset({"DeviceRequests"})
    with pytest.raises(EngineError, match="takes no notice of the GPUs"):
        run(spec(), gpus=(Gpu(index=0, uuid="GPU-1", name="h100"),))
    assert "start_container" not in engine.calls
    assert nothing_left(engine)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": None}, "no image is named"),
        (
            {"container": Container(volumes=(Volume(source="/no/such", target="/m"),))},
            "the volume /no/such for /m cannot be given",
        ),
        ({"argv": ("serve",)}, r"has no \{port\}"),
        ({"env": (("A", "${NOT_SET_ANYWHERE}"),)}, "the environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_what_cannot_be_started_is_refused_before_anything_is_made(
    run: Any, engine: FakeEngine, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        run(spec(**fields))
    assert "create_network" not in engine.calls
    assert nothing_left(engine)


def test_a_secret_by_reference_reaches_the_container_and_is_shown_nowhere(
    run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse-battery")
    engine.log = (b"my key is correct-", b"horse-battery\n")
    server = run(spec(env=(("SERVER_KEY", "${MY_KEY}"),), api_key_env="MY_KEY"))
    body = engine.containers[server.container].body
    assert body["Env"] == ["SERVER_KEY=correct-horse-battery"]
    assert server.endpoint.api_key_env == "MY_KEY"
    assert "SERVER_KEY=${MY_KEY}" in server.endpoint.command
    assert "correct-horse" not in repr(server.endpoint)
    server.stop()
    assert server.log_tail() == "my key is REDACTED"
    assert (tmp_path / "logs" / "server.log").read_text() == "my key is REDACTED\n"


def test_a_tag_that_moved_meanwhile_is_not_believed(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    (engine.images["tiny:0"],) = (replace(engine.images["tiny:1"], id="sha256:old", digest="tiny@sha256:old"),)
    monkeypatch.setattr(docker, "present_image", lambda *_, **__: engine.images["tiny:0"])
    assert run(spec()).endpoint.image_digest == "tiny@sha256:1"


def test_a_server_that_is_kept_can_be_found_and_is_in_no_network_of_the_run(run: Any, engine: FakeEngine) -> None:
    server = run(spec(), kept=True)
    (entry,) = ledger.entries()
    assert entry.reach is not None
    assert (entry.name, entry.reach.url, entry.reach.engine) == (server.container, server.endpoint.url, "tiny")
    assert engine.networks == {}
    server.stop()
    assert nothing_left(engine)


def test_a_forked_child_leaves_the_server_to_its_parent(run: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    server = run(spec())
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    server.stop()
    monkeypatch.undo()
    assert server.container in engine.containers
