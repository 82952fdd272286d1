"""Whole sessions with llama.cpp in a container of a real engine: beside one as a process, and killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("docker", reason="the Docker SDK is not installed: pip install 'pytest-inferbench[docker]'")

import docker

from pytest_inferbench.engines.models import gguf_file
from pytest_inferbench.errors import EngineError
from tests.integration import docker_image
from tests.sessions import INI

LIMIT_S = 240.0
SUITE = """\
suite: {name}
hardware: cpu
engine: {engine}
matrix: {{model: [smollm2-135m], traffic: ["D(16,4)"], concurrency: [1, 2]}}
load: {{requests: {requests}, warmup: 1}}
slo: ["ttft_p99 <= 120s"]
confidence: observed
"""


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    try:
        with docker_image.client() as one:
            yield one
    except docker_image.NoEngine as reason:
        pytest.skip(f"{reason}; start one with .ci/docker-engine")


@pytest.fixture
def engine(client: docker.DockerClient) -> str:
    """The field ``engine`` of a suite whose llama.cpp runs in a container."""
    try:
        image, gguf = docker_image.full_image(client), gguf_file("smollm2-135m").path
    except (metadata.PackageNotFoundError, EngineError) as reason:
        pytest.skip(f"llama.cpp or its model is not here: {reason}")
    words = f"{docker_image.PYTHON} -m {docker_image.MODULE} --model=/model.gguf --alias=smollm2-135m --ctx=1024 --parallel=2"
    words += " --port={port} --set=hostnames={host}"
    volumes = [f"{each.source}:{each.target}:ro" for each in docker_image.sources()] + [f"{gguf}:/model.gguf:ro"]
    return f"{{name: command, image: '{image}', args: {{command: '{words}', served_name: smollm2-135m}}, volumes: {volumes}}}"


def everything(client: docker.DockerClient) -> tuple[set[str], set[str]]:
    """All containers and networks of the engine."""
    containers = {found["Id"] for found in client.api.containers(all=True)}
    return containers, {found["Id"] for found in client.api.networks()}


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {**os.environ, "INFERBENCH_STATE": str(folder / "state")}
    argv = [sys.executable, "-m", "pytest", "-p", "no:html", "--inferbench-no-calibration", *arguments]
    return subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    )


def until(met: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not met():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.1)


def test_a_container_and_a_process_serve_one_session_and_leave_nothing(
    tmp_path: Path, client: docker.DockerClient, engine: str
) -> None:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    for name, runs_in in (("contained", engine), ("plain", "llamacpp")):
        text = SUITE.format(name=name, engine=runs_in, requests=4)
        (tmp_path / f"{name}.bench.yaml").write_text(text, encoding="utf-8")
    before = everything(client)
    session = started(tmp_path, "-n2")
    said, _ = session.communicate(timeout=LIMIT_S)
    assert session.returncode == 0, said
    assert "4 passed" in said
    assert everything(client) == before
    assert not list((tmp_path / "state").glob("*-*.json"))


def test_kill_9_of_the_session_takes_its_container_and_network_along(
    tmp_path: Path, client: docker.DockerClient, engine: str
) -> None:
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    text = SUITE.format(name="contained", engine=engine, requests=5000)
    (tmp_path / "contained.bench.yaml").write_text(text, encoding="utf-8")
    before = everything(client)
    session = started(tmp_path, "-p", "no:xdist")
    try:
        until(lambda: session.poll() is not None or list(tmp_path.glob("reports/runs/*/*/manifest.json")))
        assert session.poll() is None, session.communicate()[0]
        assert everything(client) != before
    finally:
        session.kill()
        session.communicate(timeout=LIMIT_S)
    until(lambda: everything(client) == before)
    until(lambda: not list((tmp_path / "state").glob("*-*.json")))
