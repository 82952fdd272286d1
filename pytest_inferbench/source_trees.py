"""
Commits of a repository as folders that servers can run from: git worktrees under a temporary folder, gone at the end.

Rule: the repository's own files are never touched, its hooks do not run, and the only program started beside git is the build
command that the person at the command line gave, without a shell.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pytest_inferbench.errors import ConfigError, EngineError
from pytest_inferbench.redaction import redact_text

_GIT_LIMIT_S = 600.0
_LAST_LINES = 20
# A hook's GIT_DIR would lead git to another repository than the one that is named.
_NOT_PASSED_ON = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit: its whole hash, and the first line of its message."""

    sha: str
    subject: str

    @property
    def words(self) -> str:
        """``3f9c2ab Make the scheduler wait``."""
        return f"{self.sha[:10]} {self.subject}"


class SourceTrees:
    """
    Worktrees of a repository, each made and built once.

    Args:
        repository: a folder in it.
        build: a command to run in each new tree, split as a shell would split it; empty: none.
        logs: the folder for what the build command says.
        progress: told in sentences what is being done.
    """

    def __init__(
        self, repository: Path, *, build: str = "", logs: Path, progress: Callable[[str], None] = lambda _: None
    ) -> None:
        self.repository = repository
        self._build = _words(build)
        self._logs = logs
        self._progress = progress
        self._folder: Path | None = None
        self._trees: dict[str, Path] = {}

    def tree(self, name: str) -> Path:
        """
        The folder of a commit, built.

        Raises:
            ConfigError: there is no such commit, or it cannot be checked out.
            EngineError: it could not be built; with the last lines of what was said.
        """
        sha = commit_of(self.repository, name).sha
        if sha not in self._trees:
            self._trees[sha] = self._made(sha)
        return self._trees[sha]

    def _made(self, sha: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="inferbench-trees-"))
        tree = self._folder / sha[:12]
        self._progress(f"checking out {sha[:10]}")
        _git(self.repository, "worktree", "add", "--detach", "--force", str(tree), sha)
        if self._build:
            self._built(tree, sha)
        return tree

    def _built(self, tree: Path, sha: str) -> None:
        self._progress(f"building {sha[:10]}: {redact_text(shlex.join(self._build))}")
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"build-{sha[:12]}.log"
        try:
            with log.open("wb") as output:
                done = subprocess.run(
                    self._build, cwd=tree, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
                )
        except OSError as error:
            raise ConfigError(f"{self._build[0]} could not be started: {error.strerror or error}", file="--build") from error
        if done.returncode:
            last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
            raise EngineError(f"{sha[:10]} could not be built (exit code {done.returncode}, log {log}):\n{redact_text(last)}")

    def close(self) -> None:
        """Remove every tree; safe to call twice."""
        folder, self._folder = self._folder, None
        self._trees.clear()
        if folder is None:
            return
        shutil.rmtree(folder, ignore_errors=True)
        # Takes from the repository's list what is no longer there.
        _git(self.repository, "worktree", "prune")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def commit_of(repository: Path, name: str) -> Commit:
    """
    The commit of a hash, a tag or a branch.

    Raises:
        ConfigError: there is none, or no repository.
    """
    sha = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", allow=(1, 128))
    if not sha:
        _git(repository, "rev-parse", "--git-dir")  # says so where it is no repository
        raise ConfigError(f"there is no commit {name!r} in {repository}; fetch it, or name another repository with --repo")
    return Commit(sha=sha, subject=_git(repository, "log", "-1", "--format=%s", sha))


def commits_between(repository: Path, good: str, bad: str) -> tuple[Commit, ...]:
    """
    From ``good`` to ``bad``, both included, oldest first: what ``git rev-list --reverse --first-parent good..bad`` lists.

    Along first parents, since what happened on a merged branch came to the line of good and bad with its merge.

    Raises:
        ConfigError: one of them is not there, or ``bad`` does not come after ``good``.
    """
    first, last = commit_of(repository, good), commit_of(repository, bad)
    if _git(repository, "merge-base", first.sha, last.sha, allow=(1,)) != first.sha or first.sha == last.sha:
        raise ConfigError(f"{bad} does not come after {good}, so no commit between them can have made it slower")
    listed = _git(repository, "log", "--reverse", "--first-parent", "--format=%H %s", f"{first.sha}..{last.sha}")
    parts = (line.partition(" ") for line in listed.splitlines())
    return (first, *(Commit(sha=sha, subject=subject) for sha, _, subject in parts))


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise ConfigError(f"{command!r} cannot be split into words: {error}", file="--build") from error


def _git(repository: Path, *arguments: str, allow: tuple[int, ...] = ()) -> str:
    """What git says; empty where it ends with a code of ``allow``."""
    argv = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(
            argv,
            cwd=repository,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"git {arguments[0]} could not be run in {repository}: {error}", file="--repo") from error
    if done.returncode and done.returncode not in allow:
        raise ConfigError(f"git {arguments[0]}: {redact_text(done.stderr.strip())}", file=f"--repo {repository}")
    return "" if done.returncode else done.stdout.strip()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    return kept | {"GIT_TERMINAL_PROMPT": "0"}
