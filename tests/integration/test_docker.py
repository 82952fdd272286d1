"""
Servers in containers of a real engine: llama.cpp's own where the server matters, else a few lines of Python.

Without an engine these tests skip and say so; `.ci/docker-engine` installs and starts one where the user is root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("docker", reason="the Docker SDK is not installed: pip install 'pytest-inferbench[docker]'")

import docker

from pytest_inferbench.cases.case import Container, HostShare, Volume
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.engines.models import gguf_file
from pytest_inferbench.errors import EngineError, EngineNotReady
from pytest_inferbench.launch import ledger
from pytest_inferbench.launch.docker import DockerServer, start
from pytest_inferbench.launch.docker_config import Given, create_body
from pytest_inferbench.launch.docker_engine import connect
from pytest_inferbench.launch.ownership import RUN, labels_for, owner_alive
from pytest_inferbench.launch.probe import ask
from pytest_inferbench.launch.wait import Target, first_token_trouble
from tests.integration import docker_image
from tests.integration.docker_registry import serving

RUN_ID = f"test-{os.getpid()}"
H100 = tuple(Gpu(index=index, uuid=f"GPU-0000000{index}", name="h100") for index in range(2))
# A model server in a few lines, which shows what it was given; what it does wrong is its argument.
SERVER = """
import http.server, json, os, resource, signal, sys, time
wrong = sys.argv[1]
print("my key is", os.environ.get("SERVER_KEY"), flush=True)
if wrong == "exits":
    sys.exit("no such \\033[31mdevice")
if wrong == "eats":
    eaten = [bytes(range(256)) * 40_000 for _ in range(100)]
if wrong == "hangs":
    time.sleep(60)
if wrong == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass
    def answer(self, data):
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        shm = os.statvfs("/dev/shm")
        self.answer({
            "version": "1.2.3",
            "shm": shm.f_blocks * shm.f_frsize,
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
            "cpus": sorted(os.sched_getaffinity(0)),
            "volume": os.path.exists("/given/here"),
            "writable": os.access("/given", os.W_OK),
            "address": self.client_address[0],
        })
    def do_POST(self):
        if wrong == "dies":
            os._exit(7)
        self.answer({"choices": [{}]})
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    try:
        with docker_image.client() as one:
            yield one
    except docker_image.NoEngine as reason:
        pytest.skip(f"{reason}; start one with .ci/docker-engine")


@pytest.fixture(scope="module")
def bare(client: docker.DockerClient) -> str:
    return docker_image.bare_image(client)


def ours(client: docker.DockerClient) -> list[str]:
    """Containers and networks of this test run, by name."""
    mine = {"label": f"{RUN}={RUN_ID}"}
    containers = [found["Names"][0] for found in client.api.containers(all=True, filters=mine)]
    return containers + [found["Name"] for found in client.api.networks(filters=mine)]


@pytest.fixture
def run(client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DockerServer]]:
    """Starts servers; after the test they are stopped, and nothing of them is left."""
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    servers: list[DockerServer] = []

    def start_one(wanted: ServerSpec, **more: Any) -> DockerServer:
        servers.append(start(wanted, log_path=tmp_path / "server.log", run_id=RUN_ID, **more))
        return servers[-1]

    yield start_one
    for server in servers:
        server.stop()
    assert ours(client) == []
    assert ledger.entries() == ()


def model(name: str) -> ModelFiles:
    return ModelFiles(load_from=name, served_name=name, tokenizer=TokenizerRef(kind="none"))


def spec(bare: str, wrong: str = "nothing", **fields: Any) -> ServerSpec:
    """The server in a few lines, in the image without a system of its own."""
    base = ServerSpec(
        key="k",
        engine="tiny",
        argv=(sys.executable, "-I", "-S", "-c", SERVER, wrong, "{port}"),
        model=model("m"),
        version_path="/version",
        ready_timeout_s=60,
        image=bare,
        launcher="docker",
        container=Container(start_mode="command", volumes=docker_image.host_system()),
    )
    return replace(base, **fields)


def given_to(server: DockerServer) -> dict[str, Any]:
    found: dict[str, Any] = ask(f"{server.endpoint.url}/given", timeout_s=30).json()
    return found


def test_llamacpp_in_an_image_of_its_own_answers(run: Any, client: docker.DockerClient, tmp_path: Path) -> None:
    """Arguments go to the image's entrypoint, the model comes in as a volume, and the port is one of this machine."""
    try:
        image, gguf = docker_image.full_image(client), gguf_file("smollm2-135m").path
    except (metadata.PackageNotFoundError, EngineError) as reason:
        pytest.skip(f"llama.cpp or its model is not here: {reason}")
    wanted = ServerSpec(
        key="llamacpp",
        engine="llamacpp",
        argv=("--model=/model.gguf", "--port={port}", "--alias=m", "--ctx=512", "--parallel=1", "--set=hostnames=0.0.0.0"),
        model=model("m"),
        ready_timeout_s=120,
        image=image,
        launcher="docker",
        container=Container(volumes=(*docker_image.sources(), Volume(source=str(gguf), target="/model.gguf"))),
    )
    said: list[str] = []
    server = run(wanted, progress=said.append)
    at = server.endpoint
    assert first_token_trouble(Target(engine="llamacpp", url=at.url, model="m"), timeout_s=60) is None
    assert at.url.startswith("http://127.0.0.1:")
    assert at.image_digest == client.api.inspect_image(image)["Id"]
    assert (at.pid or 0) > 0
    assert '"listening"' in (tmp_path / "server.log").read_text()
    server.stop()
    assert ours(client) == []
    assert any("asking for one token" in sentence for sentence in said)


def test_a_container_gets_what_was_asked_for(run: Any, bare: str, client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "here").touch()
    core = min(os.sched_getaffinity(0))
    container = Container(
        start_mode="command",
        volumes=(*docker_image.host_system(), Volume(source=str(tmp_path / "given"), target="/given")),
        shm_size_bytes=32 * 2**20,
        ulimits=(("nofile", 1000, 2000),),
        options='{"Hostname": "quiet", "HostConfig": {"IpcMode": "private", "CapAdd": ["SYS_NICE"]}}',
    )
    server = run(spec(bare, container=container, share=HostShare(cpus=str(core), memory_bytes=256 * 2**20)))
    seen = given_to(server)
    assert (seen["shm"], seen["nofile"], seen["cpus"]) == (32 * 2**20, [1000, 2000], [core])
    assert (seen["volume"], seen["writable"]) == (True, False)
    made = client.api.inspect_container(server.container)
    config = made["HostConfig"]
    assert (made["Config"]["Hostname"], config["IpcMode"], config["CapAdd"]) == ("quiet", "private", ["SYS_NICE"])
    assert config["Memory"] == 256 * 2**20
    assert config["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"


@pytest.mark.skipif(not Path("/sys/devices/system/node/node0").exists(), reason="this kernel knows no NUMA nodes")
def test_a_container_on_a_numa_node_gets_its_cores_and_memory(run: Any, bare: str, client: docker.DockerClient) -> None:
    server = run(spec(bare, share=HostShare(numa=0)))
    config = client.api.inspect_container(server.container)["HostConfig"]
    assert config["CpusetMems"] == "0"
    assert config["CpusetCpus"] == ",".join(map(str, given_to(server)["cpus"]))


def test_a_server_is_reached_in_the_network_of_its_run(run: Any, bare: str, client: docker.DockerClient) -> None:
    server = run(spec(bare, container=Container(start_mode="command", volumes=docker_image.host_system(), ports="network")))
    (network,) = [found for found in client.api.networks() if (found["Labels"] or {}).get(RUN) == RUN_ID]
    subnet = network["IPAM"]["Config"][0]["Subnet"]
    assert server.endpoint.url.removeprefix("http://").split(".")[:2] == subnet.split(".")[:2]
    assert server.endpoint.url.endswith(":8000")
    assert not client.api.inspect_container(server.container)["HostConfig"]["PortBindings"]
    assert given_to(server)["version"] == "1.2.3"


def test_two_servers_of_a_run_share_its_network(run: Any, bare: str, client: docker.DockerClient) -> None:
    first, second = run(spec(bare)), run(spec(bare, key="other"))
    assert len(ours(client)) == 3
    first.stop()
    assert len(ours(client)) == 2
    assert second.died() is None


def test_what_is_made_says_whose_it_is(run: Any, bare: str) -> None:
    server, engine = run(spec(bare)), connect()
    mine = [made for made in engine.list_ours() if made.labels.get(RUN) == RUN_ID]
    engine.close()
    assert [(made.kind, made.running) for made in mine] == [("container", True), ("network", False)]
    assert mine[0].name == server.container
    assert all(owner_alive(made.labels) for made in mine)


def test_gpus_are_asked_for_by_name(client: docker.DockerClient, bare: str) -> None:
    """The engine itself says what it understood; nothing is started, so that no GPU need be here."""
    engine, wanted = connect(), spec(bare)
    name = f"inferbench-{RUN_ID}-gpus"
    try:
        engine.create_container(name, create_body(wanted, Given(name=name, labels=labels_for(RUN_ID, "k"), gpus=H100)))
        (request,) = client.api.inspect_container(name)["HostConfig"]["DeviceRequests"]
    finally:
        engine.remove_container(name)
        engine.close()
    assert (request["Driver"], request["DeviceIDs"], request["Count"]) == ("nvidia", ["GPU-00000000", "GPU-00000001"], 0)
    assert request["Capabilities"] == [["gpu"]]


def test_gpus_without_a_driver_are_an_error_with_a_remedy(run: Any, bare: str, client: docker.DockerClient) -> None:
    if "nvidia" in client.info().get("Runtimes", {}):
        pytest.skip("this engine can hand over GPUs")
    with pytest.raises(EngineError) as error:
        run(spec(bare), gpus=H100)
    assert "could not start the container inferbench-" in str(error.value)
    assert "could not select device driver" in str(error.value)
    assert str(error.value).endswith("install the NVIDIA Container Toolkit, and run: sudo nvidia-ctk runtime configure")


def test_a_secret_is_in_the_container_and_nowhere_else(
    run: Any, bare: str, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "correct-horse-battery")
    server = run(spec(bare, env=(("SERVER_KEY", "${MY_KEY}"),)))
    assert "SERVER_KEY=correct-horse-battery" in client.api.inspect_container(server.container)["Config"]["Env"]
    assert "correct-horse" not in repr(server.endpoint)
    server.stop()
    assert (tmp_path / "server.log").read_text() == "my key is REDACTED\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"correct-horse" in path.read_bytes()]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("exits", "tiny ended before it was ready: it exited with code 1; the last lines of its log ("),
        ("dies", "tiny ended during its first request: it exited with code 7; the last lines of its log ("),
    ],
    ids=["at once", "at its first request"],
)
def test_a_server_that_ends_while_it_starts_is_quoted(run: Any, bare: str, wrong: str, said: str) -> None:
    with pytest.raises(EngineNotReady) as error:
        run(spec(bare, wrong))
    assert str(error.value).startswith(said)
    assert "my key is None" in str(error.value)
    assert ("no such device" in str(error.value)) == (wrong == "exits")


def test_a_server_that_uses_up_its_memory_is_said_to(run: Any, bare: str) -> None:
    with pytest.raises(
        EngineNotReady, match=r"the kernel killed it because it had used up its memory \(OOMKilled, exit code 137\)"
    ):
        run(spec(bare, "eats", share=HostShare(memory_bytes=64 * 2**20)))


def test_a_server_that_never_gets_ready_is_ended_at_its_limit(run: Any, bare: str) -> None:
    with pytest.raises(EngineNotReady, match=r"tiny was not ready within 1 s; http://127.0.0.1:\d+/health last said: "):
        run(spec(bare, "hangs", ready_timeout_s=1))


def test_a_program_that_is_not_there_is_named(run: Any, bare: str) -> None:
    with pytest.raises(EngineNotReady, match=r"(?s)it exited with code 127; .* /no/such failed: No such file or directory"):
        run(spec(bare, argv=("/no/such", "{port}")))


def test_a_server_that_is_killed_says_how(run: Any, bare: str, client: docker.DockerClient) -> None:
    server = run(spec(bare))
    client.api.kill(server.container, "SIGKILL")
    end = _end_of(server)
    assert end.startswith(
        "it was killed by SIGKILL (signal 9), as the kernel does when memory runs out; the last lines of its log ("
    )


def test_a_container_that_somebody_removes_is_said(run: Any, bare: str, client: docker.DockerClient) -> None:
    server = run(spec(bare))
    client.api.remove_container(server.container, force=True)
    assert _end_of(server).startswith(f"its container {server.container} was removed by somebody else; ")


def test_a_server_that_does_not_want_to_end_is_killed(run: Any, bare: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_inferbench.launch.docker.TERMINATE_LIMIT_S", 1.0)
    server = run(spec(bare, "stubborn"))
    server.stop()
    assert server.died() is None


def test_an_image_is_fetched_and_known_by_its_digest(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program does not exist, so the start fails after the image is there; the second time by digest, without fetching."""
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    with serving() as registry:
        by_digest = f"{registry.repository}@{registry.digest}"
        wanted = spec(registry.image, argv=(), env=(("P", "{port}"),), container=Container())
        said: list[str] = []
        try:
            with pytest.raises(EngineError, match="/no/such/program"):
                start(wanted, log_path=tmp_path / "l", run_id=RUN_ID, progress=said.append)
            engine = connect()
            assert engine.image(registry.image).digest == by_digest
            engine.close()
            assert f"the image {registry.image} is not on this machine; fetching it" in said
            asked = len(registry.asked)
            with pytest.raises(EngineError, match="/no/such/program"):
                start(replace(wanted, image=by_digest), log_path=tmp_path / "l", run_id=RUN_ID)
            assert len(registry.asked) == asked
        finally:
            client.api.remove_image(registry.image, force=True)
    assert ours(client) == []


def test_an_image_that_the_registry_does_not_have_is_said_in_its_words(client: docker.DockerClient, tmp_path: Path) -> None:
    with serving() as registry, pytest.raises(EngineError) as error:
        start(spec(f"{registry.repository}:none"), log_path=tmp_path / "l")
    assert f"could not pull the image {registry.repository}:none: " in str(error.value)
    assert "no tiny of that name" in str(error.value)


def test_a_registry_that_cannot_be_reached_is_quoted(client: docker.DockerClient, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        start(spec("127.0.0.1:9/none:1"), log_path=tmp_path / "l")
    assert "could not pull the image 127.0.0.1:9/none:1: " in str(error.value)
    assert "connection refused" in str(error.value)
    assert "is its name right, may this user have it (docker login)" in str(error.value)


def test_ctrl_c_while_starting_leaves_nothing(client: docker.DockerClient, bare: str, tmp_path: Path) -> None:
    program = tmp_path / "starting.py"
    program.write_text(
        "from pathlib import Path\n"
        "from tests.integration.test_docker import spec, start\n"
        f"start(spec({bare!r}, 'hangs'), log_path=Path({str(tmp_path / 'l')!r}), run_id={RUN_ID!r})\n"
    )
    env = {**os.environ, "INFERBENCH_STATE": str(tmp_path / "state"), "PYTHONPATH": str(docker_image.ROOT)}
    child = subprocess.Popen([sys.executable, str(program)], env=env, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _until(lambda: child.poll() is not None or b"my key" in b"".join(path.read_bytes() for path in tmp_path.glob("l")))
        assert len(ours(client)) == 2
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
        child.communicate()
    assert said.rstrip().endswith(b"KeyboardInterrupt")
    assert ours(client) == []
    assert not list((tmp_path / "state").glob("*-*.json"))


def _end_of(server: DockerServer) -> str:
    _until(server.died)
    return server.died() or ""


def _until(met: Callable[[], object], *, limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)
