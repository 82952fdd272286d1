"""What a server takes, and what is free."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_inferbench.launch import memory
from pytest_inferbench.launch.memory import cgroup_free_bytes, memory_bytes

MIB = 1024**2


def limits(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs /proc")
def test_this_process_takes_something_and_something_is_free() -> None:
    found = memory_bytes(os.getpgrp())
    assert found is not None
    taken, free = found
    assert taken > MIB
    assert free > 0


def test_of_no_process_nobody_can_tell() -> None:
    assert memory_bytes(2**22 + 1) is None


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs /proc")
def test_no_more_is_free_than_the_container_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", limits(tmp_path, memory_max="7000\n", memory_current="5000\n", memory_stat="anon 1\n"))
    found = memory_bytes(os.getpgrp())
    assert found is not None
    assert found[1] == 2000


def test_pages_of_files_that_nobody_uses_count_as_free(tmp_path: Path) -> None:
    limits(tmp_path, memory_max="7000\n", memory_current="5000\n", memory_stat="anon 100\ninactive_file 3000\n")
    assert cgroup_free_bytes(tmp_path) == 5000


def test_without_a_limit_there_is_none(tmp_path: Path) -> None:
    assert cgroup_free_bytes(tmp_path) is None
    assert cgroup_free_bytes(limits(tmp_path, memory_max="max\n", memory_current="5\n", memory_stat="")) is None
