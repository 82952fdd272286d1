"""With a repository that the test makes; every commit has a date of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_inferbench.reporting.site.releases import releases

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git on the PATH")


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who |= {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **who}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, list[str]]:
    """Five commits; the second is v1.0, the fourth v1.1 and, in passing, nightly."""
    git(tmp_path, "init", "-q")
    commits = []
    for number in range(5):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", f"commit {number}")
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
        for tag in {1: ["v1.0"], 3: ["v1.1", "nightly"]}.get(number, []):
            git(tmp_path, "tag", "-a", tag, "-m", tag)
    return tmp_path, commits


def test_a_commit_belongs_to_the_newest_tag_it_contains(repository: tuple[Path, list[str]]) -> None:
    folder, commits = repository
    assert releases(folder, commits, "v*") == {commits[1]: "v1.0", commits[2]: "v1.0", commits[3]: "v1.1", commits[4]: "v1.1"}


def test_only_tags_that_fit_are_releases(repository: tuple[Path, list[str]]) -> None:
    folder, commits = repository
    assert releases(folder, commits, "night*") == {commits[3]: "nightly", commits[4]: "nightly"}
    assert releases(folder, commits, "w*") == {}


def test_what_the_repository_does_not_know_is_left_out(repository: tuple[Path, list[str]]) -> None:
    folder, commits = repository
    strange = ["0" * 40, "", "--help", "main", "commit1", "v1.0; rm -rf ."]
    assert releases(folder, [*strange, commits[1]], "v*") == {commits[1]: "v1.0"}


def test_without_a_repository_there_are_none(tmp_path: Path) -> None:
    assert releases(tmp_path, ["a" * 40]) == {}
    assert releases(tmp_path / "missing", ["a" * 40]) == {}
