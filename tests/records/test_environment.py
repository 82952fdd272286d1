"""What is told of the machine, and what is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_inferbench.records.environment import GitState, cpu_model, describe_environment, git_state, installed_packages


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_machine_is_described() -> None:
    environment = describe_environment(Path.cwd())
    assert environment.python.startswith("CPython 3.")
    assert environment.cores is None or environment.cores >= 1
    assert environment.memory_bytes is None or environment.memory_bytes > 2**20
    assert environment.packages["numpy"][0].isdigit()


def test_packages_are_sorted_by_name_whatever_its_case() -> None:
    names = [name.lower() for name in installed_packages()]
    assert names == sorted(names)


def test_the_name_of_the_cpu_is_found_and_its_absence_is_none() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel name\t: Other\n") == "Some CPU @ 2.0GHz"
    assert cpu_model("processor : 0\nmodel name :\n") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_and_changes_to_tracked_files_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "x")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked").write_text("")
    assert git_state(tmp_path) == GitState(commit=commit, branch="trunk", dirty=False)
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == GitState(commit=commit, branch="trunk", dirty=True)
    git(tmp_path, "checkout", "-q", "--detach")
    assert git_state(tmp_path) == GitState(commit=commit, branch=None, dirty=True)


def test_no_repository_and_no_git_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(Path.cwd()) is None


def test_the_driver_of_the_gpus_is_part_of_it() -> None:
    assert describe_environment(Path.cwd()).driver is None
    assert describe_environment(Path.cwd(), driver="550.54").driver == "550.54"
