"""What is in the wheel, and what it says of itself."""

from __future__ import annotations

import configparser
import email
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return email.message_from_bytes(wheel.read(dist_info(wheel) + "/METADATA"))


def dist_info(wheel: zipfile.ZipFile) -> str:
    (folder,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    return folder


def test_only_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"pytest_inferbench", dist_info(wheel)}


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    files = (path for path in (ROOT / "pytest_inferbench").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    wanted = {path.relative_to(ROOT).as_posix() for path in files}
    assert "pytest_inferbench/py.typed" in wanted
    assert wanted - set(wheel.namelist()) == set()


def test_nothing_that_a_run_leaves_behind_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    left = [name for name in wheel.namelist() if "__pycache__" in name or name.endswith((".pyc", ".log", ".parquet"))]
    assert left == []


def test_pytest_finds_the_plugin_and_a_shell_finds_the_command(wheel: zipfile.ZipFile) -> None:
    points = configparser.ConfigParser()
    points.read_string(wheel.read(dist_info(wheel) + "/entry_points.txt").decode())
    assert dict(points["pytest11"]) == {"inferbench": "pytest_inferbench.plugin"}
    assert dict(points["console_scripts"]) == {"inferbench": "pytest_inferbench.cli:main"}


def test_modules_named_by_entry_points_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert {"pytest_inferbench/plugin.py", "pytest_inferbench/cli.py"} <= set(wheel.namelist())


def test_the_metadata_names_licence_and_python(metadata: Message, wheel: zipfile.ZipFile) -> None:
    assert metadata["Name"] == "pytest-inferbench"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert b"Apache License" in wheel.read(dist_info(wheel) + "/licenses/LICENSE")


def test_what_only_developers_need_is_not_required_of_users(metadata: Message) -> None:
    required = {line.partition(";")[0].strip() for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert not {
        name for name in required if name.startswith(("hypothesis", "mypy", "ruff", "playwright", "hatchling", "xllamacpp"))
    }
