import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.cases.case import Container, HostShare, Volume
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.engines.engine import ModelFiles, ServerSpec, TokenizerRef
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_config import (
    DeviceNode,
    Given,
    container_name,
    create_body,
    launch_words,
    network_name,
    shown_command,
)

H100 = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="h100") for index in range(2))


def spec(**fields: Any) -> ServerSpec:
    base = ServerSpec(
        key="k",
        engine="vllm",
        argv=("--model", "m", "--port", "{port}"),
        model=ModelFiles(load_from="m", served_name="m", tokenizer=TokenizerRef(kind="none")),
        image="vllm/vllm-openai:v1",
        launcher="docker",
    )
    return replace(base, **fields)


def body(wanted: ServerSpec, **given_: Any) -> dict[str, Any]:
    return create_body(wanted, Given(name="n", **given_))


def host_config(wanted: ServerSpec, **given_: Any) -> dict[str, Any]:
    config: dict[str, Any] = body(wanted, **given_)["HostConfig"]
    return config


def test_a_plain_server_asks_for_nothing_special() -> None:
    assert body(spec(), labels={"a": "b"}, network="net") == {
        "Image": "vllm/vllm-openai:v1",
        "Cmd": ["--model", "m", "--port", "8000"],
        "Env": [],
        "Labels": {"a": "b"},
        "ExposedPorts": {"8000/tcp": {}},
        "HostConfig": {
            "Init": True,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "100m"}},
            "Mounts": [],
            "Ulimits": [],
            "DeviceRequests": [],
            "Devices": [],
            "GroupAdd": [],
            "NetworkMode": "net",
            "PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        },
    }


def test_everything_asked_for_is_there() -> None:
    wanted = spec(
        container=Container(
            volumes=(Volume(source="~/m", target="/m"),), shm_size_bytes=2**30, ulimits=(("memlock", -1, -1),), ports="network"
        ),
        share=HostShare(cpus="0-2", numa=1, memory_bytes=2**34),
    )
    volumes = (Volume(source="/home/me/m", target="/m"), Volume(source="/out", target="/out", mode="rw"))
    config = host_config(wanted, volumes=volumes, gpus=H100, cores=frozenset({2, 0, 10}))
    assert config["Mounts"] == [
        {"Type": "bind", "Source": "/home/me/m", "Target": "/m", "ReadOnly": True},
        {"Type": "bind", "Source": "/out", "Target": "/out", "ReadOnly": False},
    ]
    assert config["ShmSize"] == 2**30
    assert config["Ulimits"] == [{"Name": "memlock", "Soft": -1, "Hard": -1}]
    assert config["DeviceRequests"] == [{"Driver": "nvidia", "DeviceIDs": ["GPU-0", "GPU-1"], "Capabilities": [["gpu"]]}]
    assert (config["CpusetCpus"], config["CpusetMems"]) == ("0,2,10", "1")
    assert (config["Memory"], config["MemorySwap"]) == (2**34, 2**34)
    assert "PortBindings" not in config
    assert "NetworkMode" not in config


def test_a_slice_of_a_gpu_is_asked_for_by_its_name() -> None:
    mig = Gpu(index=0, uuid="MIG-7", name="h100-1g.10gb")
    assert host_config(spec(), gpus=(mig,))["DeviceRequests"][0]["DeviceIDs"] == ["MIG-7"]


def test_amd_gpus_come_as_device_files_and_by_name_in_the_environment() -> None:
    gpus = tuple(Gpu(index=index, uuid=f"GPU-a{index}", name="mi300x", vendor="amd") for index in (1, 3))
    nodes = (DeviceNode(path="/dev/kfd", group=44), DeviceNode(path="/dev/dri", group=44))
    made = body(spec(), gpus=gpus, device_nodes=nodes)
    assert made["Env"] == ["ROCR_VISIBLE_DEVICES=GPU-a1,GPU-a3"]
    assert made["HostConfig"]["GroupAdd"] == ["44"]
    assert made["HostConfig"]["DeviceRequests"] == []
    assert made["HostConfig"]["Devices"][0] == {
        "PathOnHost": "/dev/kfd",
        "PathInContainer": "/dev/kfd",
        "CgroupPermissions": "rwm",
    }


def test_gpus_that_are_only_declared_are_not_asked_for() -> None:
    declared = Gpu(index=0, uuid="declared-h100-0", name="h100", declared=True)
    made = body(spec(), gpus=(declared,))
    assert (made["HostConfig"]["DeviceRequests"], made["Env"]) == ([], [])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, (None, ("--model", "m", "--port", "8000"))),
        ({"entrypoint": ("serve", "-x")}, (("serve", "-x"), ("--model", "m", "--port", "8000"))),
        (
            {"argv": ("serve", "--port={port}"), "container": Container(start_mode="command"), "entrypoint": ("x",)},
            (("serve",), ("--port=8000",)),
        ),
        ({"argv": (), "env": (("PORT", "{port}"),)}, (None, ())),
        ({"argv": (), "env": (("PORT", "{port}"),), "container": Container(start_mode="command")}, (None, ())),
    ],
)
def test_words_go_to_the_entrypoint_or_are_the_whole_command(fields: dict[str, Any], words: Any) -> None:
    assert launch_words(spec(**fields)) == words


def test_a_server_that_cannot_be_told_its_port_is_refused() -> None:
    with pytest.raises(EngineError, match=r"^the command line of the server has no \{port\}"):
        launch_words(spec(argv=("serve",)))
    with pytest.raises(EngineError) as error:
        launch_words(spec(argv=()))
    assert str(error.value) == (
        "the server of vllm/vllm-openai:v1 cannot be told where to listen: say {port} in its args or its env"
    )


def test_a_server_without_image_is_refused() -> None:
    with pytest.raises(EngineError) as error:
        body(spec(image=None))
    assert str(error.value) == "vllm is to run in a container, and no image is named: say which one as the engine's image"


def test_the_command_for_people_does_the_same_and_holds_no_secret() -> None:
    wanted = spec(
        argv=("--port", "{port}", "--api-key", "correct-horse"),
        env=(("HF_TOKEN", "${MY_TOKEN}"), ("PLAIN_TOKEN", "hf_abcdefghijklmnopqrst"), ("OLLAMA_HOST", "0.0.0.0:{port}")),
        entrypoint=("serve", "-x"),
        container=Container(shm_size_bytes=64, ulimits=(("nofile", 1, 2),)),
        share=HostShare(numa=0, memory_bytes=1000),
    )
    given_ = Given(
        name="n",
        env={"HF_TOKEN": "correct-horse-battery"},
        volumes=(Volume(source="/m", target="/m"),),
        gpus=H100,
        device_nodes=(DeviceNode(path="/dev/kfd", group=44),),
        cores=frozenset({0, 1}),
    )
    words = shown_command(wanted, given_)
    assert " ".join(words) == (
        "docker run --rm --init --publish 127.0.0.1::8000 "
        '--gpus "device=GPU-0,GPU-1" --device /dev/kfd --group-add 44 --shm-size 64 --volume /m:/m:ro --ulimit nofile=1:2 '
        "--cpuset-cpus 0,1 --cpuset-mems 0 --memory 1000 --memory-swap 1000 "
        "--env HF_TOKEN=${MY_TOKEN} --env PLAIN_TOKEN=REDACTED --env OLLAMA_HOST=0.0.0.0:8000 "
        "--entrypoint serve vllm/vllm-openai:v1 -x --port 8000 --api-key REDACTED"
    )
    assert "correct-horse" not in repr(given_)


@given(st.text(max_size=30), st.text(max_size=30))
def test_names_are_such_as_engines_take(run_id: str, key: str) -> None:
    name = container_name(run_id, key)
    assert re.fullmatch(r"inferbench-[A-Za-z0-9_.-]+", name)
    assert name != container_name(run_id, key)
    assert re.fullmatch(r"inferbench-[A-Za-z0-9_.-]+", network_name(run_id, owner_pid=7))


def test_a_network_is_one_run_s_and_one_process_s() -> None:
    assert network_name("20261122-1", owner_pid=7) == "inferbench-20261122-1-7"


def test_what_is_made_is_json() -> None:
    made = body(spec(), gpus=H100)
    assert json.loads(json.dumps(made)) == made


def test_options_of_the_api_are_laid_over_what_a_container_is_made_from() -> None:
    options = '{"User": "1000", "HostConfig": {"IpcMode": "host", "Tmpfs": {"/run": ""}}}'
    plain, wanted = body(spec(), network="net"), spec(container=Container(options=options))
    made = body(wanted, network="net")
    assert made == {
        **plain,
        "User": "1000",
        "HostConfig": {**plain["HostConfig"], "IpcMode": "host", "Tmpfs": {"/run": ""}},
    }


def test_options_of_the_api_are_shown_without_secrets() -> None:
    wanted = spec(container=Container(options='{"Healthcheck": {"Test": ["CMD", "x", "--api-key=abc123def"]}}'))
    shown = shown_command(wanted, Given(name="n"))
    at = shown.index("--options-of-the-api")
    assert shown[at + 1] == '{"Healthcheck": {"Test": ["CMD", "x", "--api-key=REDACTED"]}}'
