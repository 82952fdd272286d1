"""What becomes of servers whose container engine is restarted or killed: with an engine of our own, beside any other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("docker", reason="the Docker SDK is not installed: pip install 'pytest-inferbench[docker]'")

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch import ledger
from pytest_inferbench.launch.docker import DockerServer, start
from tests.integration import docker_image
from tests.integration.test_docker import RUN_ID, ours, spec

_UP_LIMIT_S = 60.0


class OwnEngine:
    """A dockerd with files, socket and containers of its own; no firewall rules, so that it is in nobody's way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = f"unix://{folder}/d.sock"
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        argv = [
            "dockerd",
            "--host",
            self.socket,
            "--data-root",
            str(self.folder / "data"),
            "--exec-root",
            str(self.folder / "exec"),
        ]
        argv += ["--pidfile", str(self.folder / "pid"), "--iptables=false", "--ip6tables=false", "--bridge=none"]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline_s = time.monotonic() + _UP_LIMIT_S
        while True:
            try:
                with docker_image.client():
                    return process
            except docker_image.NoEngine:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    process.kill()
                    process.wait()
                    pytest.skip(f"a second dockerd does not start here: {(self.folder / 'log').read_text()[-300:]}")
            time.sleep(0.1)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def again(self) -> None:
        # Of one that was killed; the processes may be zombies that nobody reaps, and pass for alive.
        for stale in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / stale).unlink(missing_ok=True)
        self.process = self._started()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("needs root and dockerd, to start an engine of our own")
    folder = Path(f"/tmp/inferbench-dockerd-{os.getpid()}")  # a socket's path has 107 characters at most
    folder.mkdir()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/d.sock")
    monkeypatch.setenv("INFERBENCH_STATE", str(tmp_path / "state"))
    own = OwnEngine(folder)
    yield own
    if own.process.poll() is not None:
        own.again()
    with docker_image.client() as client:
        left = ours(client)
    own.end()
    # One that was killed has left its own mount of the folder.
    subprocess.run(["umount", str(folder / "data")], capture_output=True, check=False)
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def server(engine: OwnEngine, tmp_path: Path) -> Iterator[DockerServer]:
    with docker_image.client() as client:
        image = docker_image.bare_image(client)
    one = start(spec(image), log_path=tmp_path / "server.log", run_id=RUN_ID)
    yield one
    one.stop()


def end_of(server: DockerServer) -> str:
    deadline_s = time.monotonic() + 60
    while (end := server.died()) is None:
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)
    return end


def test_an_engine_that_is_restarted_takes_its_servers_along(engine: OwnEngine, server: DockerServer) -> None:
    engine.end()
    assert end_of(server).startswith(f"no container engine answers at {engine.socket}: ")
    engine.again()
    server.stop()
    assert ledger.entries() == ()


def test_an_engine_that_is_killed_and_back_again(engine: OwnEngine, server: DockerServer) -> None:
    engine.end(signal.SIGKILL)
    end = end_of(server)
    assert "container engine" in end
    engine.again()
    server.stop()
    assert ledger.entries() == ()


def test_an_engine_that_stays_away_is_an_error_with_a_remedy(
    engine: OwnEngine, server: DockerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_inferbench.launch.docker.BACK_LIMIT_S", 0.5)
    engine.end(signal.SIGKILL)
    with pytest.raises(EngineError) as error:
        server.stop()
    assert f"the container {server.container} may still be there: no container engine answers at {engine.socket}" in str(
        error.value
    )
    assert f"docker rm --force {server.container}" in str(error.value)
    noted = {entry.kind for entry in ledger.entries()}
    assert noted == {"container", "network"}
    engine.again()
    with docker_image.client() as client:
        client.api.remove_container(server.container, force=True)
        for network in client.api.networks(names=[f"inferbench-{RUN_ID}"]):
            client.api.remove_network(network["Id"])
