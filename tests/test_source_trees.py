"""Commits as folders: real git repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_inferbench.errors import ConfigError, EngineError
from pytest_inferbench.source_trees import SourceTrees, commit_of, commits_between


def git(folder: Path, *arguments: str) -> str:
    who = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@e.com",
    }
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **who, **nothing}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def repository_in(folder: Path, *, commits: int = 3) -> Path:
    """A repository whose file ``n`` holds the number of the commit, tagged ``v0``, ``v1``, ..."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for number in range(commits):
        (folder / "n").write_text(f"{number}\n", encoding="utf-8")
        git(folder, "add", "n")
        git(folder, "commit", "-q", "-m", f"Change {number}")
        git(folder, "tag", f"v{number}")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return repository_in(tmp_path / "repo")


def test_a_tree_holds_the_files_of_its_commit_and_is_gone_afterwards(repository: Path, tmp_path: Path) -> None:
    with SourceTrees(repository, logs=tmp_path) as trees:
        tree = trees.tree("v1")
        assert (tree / "n").read_text() == "1\n"
        assert trees.tree(git(repository, "rev-parse", "v1")) == tree
        assert trees.tree("v0") != tree
    assert not tree.parent.exists()
    assert git(repository, "worktree", "list").count("\n") == 0
    assert (repository / "n").read_text() == "2\n"


def test_its_hooks_do_not_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    with SourceTrees(repository, logs=tmp_path) as trees:
        trees.tree("v1")
    assert not (tmp_path / "ran").exists()


def test_each_tree_is_built_once_and_its_log_is_kept(repository: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with SourceTrees(repository, build="sh -c 'cat n; echo x >> built'", logs=tmp_path / "logs", progress=said.append) as trees:
        trees.tree("v1")
        assert (trees.tree("v1") / "built").read_text() == "x\n"
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text() == "1\n"
    assert said[1].startswith("building ")


def test_a_build_that_fails_says_its_last_words(repository: Path, tmp_path: Path) -> None:
    with (
        SourceTrees(repository, build="sh -c 'echo no compiler; exit 3'", logs=tmp_path) as trees,
        pytest.raises(EngineError) as error,
    ):
        trees.tree("v1")
    assert "could not be built (exit code 3, log " in str(error.value)
    assert str(error.value).endswith("no compiler")


@pytest.mark.parametrize(
    ("build", "words"), [("/no/such/program", "could not be started: No such file"), ("a 'b", "cannot be split into words")]
)
def test_a_build_that_cannot_start_is_wrong_usage(repository: Path, tmp_path: Path, build: str, words: str) -> None:
    with pytest.raises(ConfigError) as error, SourceTrees(repository, build=build, logs=tmp_path) as trees:
        trees.tree("v1")
    assert str(error.value).startswith("--build: ")
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["nothing", "--help", "v9", "v1:n"])
def test_what_is_no_commit_is_said(repository: Path, name: str) -> None:
    with pytest.raises(ConfigError) as error:
        commit_of(repository, name)
    assert f"there is no commit {name!r} in" in str(error.value)


def test_what_is_no_repository_is_said_in_gits_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ConfigError) as error:
        commit_of(tmp_path, "main")
    assert "not a git repository" in str(error.value)


def test_commits_between_stand_in_their_order_with_both_ends(repository: Path) -> None:
    found = commits_between(repository, "v0", "main")
    assert [each.subject for each in found] == ["Change 0", "Change 1", "Change 2"]
    assert found[1].words == f"{git(repository, 'rev-parse', 'v1')[:10]} Change 1"


def test_commits_of_a_merged_branch_count_as_its_merge(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side", "v1")
    git(repository, "commit", "-q", "--allow-empty", "-m", "On the side")
    git(repository, "checkout", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "-m", "Merge the side", "side")
    assert [each.subject for each in commits_between(repository, "v1", "main")] == ["Change 1", "Change 2", "Merge the side"]


@pytest.mark.parametrize(("good", "bad"), [("v2", "v0"), ("v1", "v1")])
def test_bad_comes_after_good(repository: Path, good: str, bad: str) -> None:
    with pytest.raises(ConfigError) as error:
        commits_between(repository, good, bad)
    assert str(error.value) == f"{bad} does not come after {good}, so no commit between them can have made it slower"
