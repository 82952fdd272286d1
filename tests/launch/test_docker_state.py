from typing import Any

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_state import (
    address_of,
    container_end,
    digest_of,
    require_gpus,
    start_hint,
    state_of,
)


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "State": {"Status": "running", "Pid": 4711, "ExitCode": 0, "OOMKilled": False, "Error": "", **state},
        "Image": "sha256:1",
        "NetworkSettings": {
            "Networks": {"bridge": {"IPAddress": ""}, "inferbench-r1": {"IPAddress": "172.18.0.2"}},
            "Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}], "9000/tcp": None},
        },
    }


def ended(**state: Any) -> str:
    return container_end(state_of(inspected(Status="exited", Pid=0, **state)))


def test_a_running_container_is_understood() -> None:
    state = state_of(inspected())
    assert (state.running, state.pid, state.exit_code, state.image_id) == (True, 4711, None, "sha256:1")
    assert state.published == {"8000/tcp": 32768}
    assert state.addresses == {"inferbench-r1": "172.18.0.2"}


def test_a_server_is_reached_at_a_port_of_this_machine_or_at_its_own_address() -> None:
    state = state_of(inspected())
    assert address_of(state, ports="published") == "127.0.0.1:32768"
    assert address_of(state, ports="network") == "172.18.0.2:8000"
    none = state_of({**inspected(), "NetworkSettings": {}})
    assert address_of(none, ports="published") is None
    assert address_of(none, ports="network") is None


def with_gpus(*uuids: str) -> dict[str, Any]:
    return {"HostConfig": {"DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": list(uuids)}] if uuids else []}}


def test_gpus_that_were_granted_are_fine() -> None:
    require_gpus(with_gpus("GPU-1", "GPU-0"), asked=with_gpus("GPU-0", "GPU-1"), engine="Docker 28")
    require_gpus({"HostConfig": {"DeviceRequests": None}}, asked=with_gpus(), engine="Docker 28")


@pytest.mark.parametrize("granted", [with_gpus("GPU-0"), {"HostConfig": {"DeviceRequests": None}}, {"HostConfig": {}}])
def test_gpus_that_the_engine_takes_no_notice_of_are_an_error(granted: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as error:
        require_gpus(granted, asked=with_gpus("GPU-1"), engine="Podman 4.3.1")
    assert str(error.value) == (
        "Podman 4.3.1 takes no notice of the GPUs that the container is to have (GPU-1): "
        "name a Docker engine in DOCKER_HOST, or run the server as a process"
    )


def test_a_paused_container_runs() -> None:
    assert state_of(inspected(Status="paused")).running


@pytest.mark.parametrize("settings", [None, {}, {"Networks": None, "Ports": None}])
def test_a_container_without_networks_is_understood(settings: Any) -> None:
    state = state_of({**inspected(Status="created", Pid=0), "NetworkSettings": settings})
    assert (state.running, state.pid, state.published, state.addresses) == (False, None, {}, {})


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"ExitCode": 0}, "it exited with code 0"),
        ({"ExitCode": 3}, "it exited with code 3"),
        ({"ExitCode": 137}, "it was killed by SIGKILL (signal 9), as the kernel does when memory runs out"),
        ({"ExitCode": 143}, "it was killed by SIGTERM (signal 15)"),
        ({"ExitCode": 255}, "it exited with code 255"),
        (
            {"ExitCode": 137, "OOMKilled": True},
            "the kernel killed it because it had used up its memory (OOMKilled, exit code 137)",
        ),
        ({"ExitCode": 127, "Error": "exec: no such file"}, "its container could not be started: exec: no such file"),
    ],
)
def test_an_end_is_said_as_people_say_it(state: dict[str, Any], sentence: str) -> None:
    assert ended(**state) == sentence


@pytest.mark.parametrize(
    ("name", "digests", "digest"),
    [
        ("vllm/vllm-openai:v1", ("vllm/vllm-openai@sha256:a",), "vllm/vllm-openai@sha256:a"),
        ("vllm/vllm-openai", ("mirror/other@sha256:b", "vllm/vllm-openai@sha256:a"), "vllm/vllm-openai@sha256:a"),
        ("vllm/vllm-openai:v1", ("docker.io/vllm/vllm-openai@sha256:a",), "docker.io/vllm/vllm-openai@sha256:a"),
        ("vllm@sha256:a", ("vllm@sha256:a",), "vllm@sha256:a"),
        ("host:5000/tiny:1", ("tiny@sha256:b", "host:5000/tiny@sha256:a"), "host:5000/tiny@sha256:a"),
        ("tiny:1", ("retagged@sha256:b",), "retagged@sha256:b"),
        ("tiny:1", (), "sha256:id"),
    ],
)
def test_the_digest_is_that_of_the_repository_that_was_named(name: str, digests: tuple[str, ...], digest: str) -> None:
    assert digest_of(digests, image_id="sha256:id", name=name) == digest


def test_an_engine_without_gpus_is_told_what_to_install() -> None:
    words = 'could not select device driver "nvidia" with capabilities: [[gpu]]'
    assert start_hint(words) == (
        "; for GPUs in containers install the NVIDIA Container Toolkit, and run: sudo nvidia-ctk runtime configure"
    )
    assert start_hint("no such file") == ""


def test_a_podman_without_an_init_comes_with_the_package_to_install() -> None:
    assert start_hint("container create: container-init binary not found on the host: stat catatonit") == (
        "; Podman needs it to start containers with an init (Debian, Ubuntu: apt-get install catatonit)"
    )
