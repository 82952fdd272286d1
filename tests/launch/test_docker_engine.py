import builtins
import sys
from typing import Any

import pytest

from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_engine import connect, other_machine


@pytest.mark.parametrize(
    "host",
    ["", "unix:///var/run/docker.sock", "npipe:////./pipe/x", "tcp://127.0.0.1:2375", "tcp://localhost:1", "tcp://[::1]:2"],
)
def test_engines_of_this_machine_are_known(host: str) -> None:
    assert other_machine(host) is None


@pytest.mark.parametrize("host", ["tcp://gpu7:2376", "ssh://me@gpu7", "http://gpu7"])
def test_an_engine_of_another_machine_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError) as error:
        connect()
    assert str(error.value) == (
        "DOCKER_HOST names a container engine on another machine, gpu7; a server is measured on the machine that it runs on: "
        "run there, or name an engine of this machine"
    )


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has one package be missing while the SDK is loaded."""
    real = builtins.__import__

    def without(name: str) -> None:
        def importing(wanted: str, *args: Any, **more: Any) -> Any:
            if wanted.partition(".")[0] == name:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(wanted, *args, **more)

        monkeypatch.delitem(sys.modules, "pytest_inferbench.launch.docker_sdk", raising=False)
        monkeypatch.setattr(builtins, "__import__", importing)

    return without


def test_without_the_sdk_the_package_to_install_is_named(missing: Any) -> None:
    missing("docker")
    with pytest.raises(EngineError) as error:
        connect()
    assert str(error.value) == "servers in containers need the Python package docker: pip install 'pytest-inferbench[docker]'"


def test_whatever_else_is_missing_is_not_blamed_on_the_sdk(missing: Any) -> None:
    missing("struct")
    with pytest.raises(ModuleNotFoundError, match="struct"):
        connect()
