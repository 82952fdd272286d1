from pathlib import Path

import pytest

from pytest_inferbench.cases.case import Volume
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import EngineError
from pytest_inferbench.launch.docker_config import DeviceNode
from pytest_inferbench.launch.docker_host import device_nodes, present_volumes

AMD = Gpu(index=0, uuid="GPU-1", name="mi300x", vendor="amd")


def test_a_volume_in_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (volume,) = present_volumes([Volume(source="~/models", target="/models", mode="rw")])
    assert volume == Volume(source=str(tmp_path / "models"), target="/models", mode="rw")


def test_a_volume_beside_the_suite_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    assert present_volumes([Volume(source="models", target="/m")])[0].source == str(tmp_path / "models")


def test_a_volume_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        present_volumes([Volume(source=f"{tmp_path}/none", target="/models")])
    assert str(error.value) == (
        f"the volume {tmp_path}/none for /models cannot be given to the container: {tmp_path}/none: No such file or directory; "
        "make it, or correct it under the engine's volumes"
    )


def test_a_home_that_nobody_has_is_named() -> None:
    with pytest.raises(EngineError, match=r"^the volume ~nobody-of-that-name/x begins with a home that is not known: "):
        present_volumes([Volume(source="~nobody-of-that-name/x", target="/x")])


@pytest.mark.parametrize(
    "gpus",
    [
        (),
        (Gpu(index=0, uuid="GPU-1", name="h100"),),
        (Gpu(index=0, uuid="declared-mi300x-0", name="mi300x", vendor="amd", declared=True),),
    ],
)
def test_only_amd_needs_device_files(gpus: tuple[Gpu, ...]) -> None:
    assert device_nodes(gpus, nodes=("/no/such",)) == ()


def test_the_group_of_a_folder_of_device_files_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "dri").mkdir()
    node = tmp_path / "dri" / "renderD128"
    node.touch()
    assert device_nodes([AMD], nodes=(str(tmp_path / "dri"),)) == (
        DeviceNode(path=str(tmp_path / "dri"), group=node.stat().st_gid),
    )


def test_a_missing_device_file_is_named() -> None:
    with pytest.raises(EngineError) as error:
        device_nodes([AMD], nodes=("/no/such/kfd",))
    assert str(error.value) == (
        "the server is to use an AMD GPU, and /no/such/kfd cannot be looked at: No such file or directory; "
        "is the driver amdgpu loaded?"
    )
