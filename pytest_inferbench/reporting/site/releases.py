"""Which release each commit of the history belongs to, by the tags of the repository that is at hand."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

_TIMEOUT_S = 60
_COMMITS_AT_ONCE = 1000
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_AFTER_TAG = re.compile(r"(?P<tag>.+)-(?P<commits>\d+)-g[0-9a-f]+")


def releases(repository: Path, commits: Iterable[str], pattern: str = "*") -> dict[str, str]:
    """
    The newest tag that each commit contains, for the commits that the repository knows and that contain one.

    ``pattern`` chooses among the tags, as in ``git describe --match``. Empty where there is no repository, or no git.
    """
    asked = sorted({commit for commit in commits if _COMMIT.fullmatch(commit)})
    known = _known(repository, asked)
    if not known:
        return {}
    described: list[str] = []
    for start in range(0, len(known), _COMMITS_AT_ONCE):
        some = known[start : start + _COMMITS_AT_ONCE]
        # A commit without any tag before it ends git describe, unless it may say the commit itself.
        described += (
            _git(repository, ["describe", "--tags", "--long", "--always", "--match", pattern, *some]) or ""
        ).splitlines()
    if len(described) != len(known):
        return {}
    found = {commit: _AFTER_TAG.fullmatch(line) for commit, line in zip(known, described, strict=True)}
    return {commit: match["tag"] for commit, match in found.items() if match}


def _known(repository: Path, commits: list[str]) -> list[str]:
    """Those that are commits of the repository."""
    if not commits:
        return []
    answer = _git(repository, ["cat-file", "--batch-check=%(objecttype)"], "".join(f"{each}\n" for each in commits)) or ""
    return [commit for commit, kind in zip(commits, answer.splitlines(), strict=False) if kind == "commit"]


def _git(repository: Path, arguments: list[str], given: str = "") -> str | None:
    """What git says, or None where it cannot; never asks for a password and never takes a lock."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=repository,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
