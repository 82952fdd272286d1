"""What a figure depends on beside the model server: this machine, this Python, these packages, this commit."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

_GIT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class GitState:
    """The commit the working folder is at; ``dirty`` where tracked files differ from it."""

    commit: str
    branch: str | None
    dirty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """
    The machine that measured.

    ``cores`` is what the machine has and ``cores_usable`` what this process may run on; ``packages`` maps the name of each
    installed distribution to its version; ``driver`` is that of the GPUs; what the system does not tell is None.
    """

    python: str
    platform: str
    kernel: str
    cpu_model: str | None
    cores: int | None
    cores_usable: int | None
    memory_bytes: int | None
    packages: Mapping[str, str]
    git: GitState | None
    driver: str | None = None


def describe_environment(cwd: Path, *, driver: str | None = None) -> Environment:
    """Look at this machine and at the repository ``cwd`` is in; ``driver`` is the version of its GPUs' one."""
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        kernel=platform.release(),
        cpu_model=cpu_model(_text_of(Path("/proc/cpuinfo"))) or platform.processor() or None,
        cores=os.cpu_count(),
        cores_usable=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        memory_bytes=_memory_bytes(),
        packages=installed_packages(),
        git=git_state(cwd),
        driver=driver,
    )


def cpu_model(cpuinfo: str) -> str | None:
    """The CPU's name in the text of ``/proc/cpuinfo``; None where it has none, as on many ARM machines."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return None


def installed_packages() -> dict[str, str]:
    """Name and version of every installed distribution, by name."""
    found = {each.name: each.version for each in distributions() if each.name}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def git_state(cwd: Path) -> GitState | None:
    """The commit of the repository that ``cwd`` is in; None where there is no repository, no commit, or no git."""
    commit = _git(cwd, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    branch = _git(cwd, "symbolic-ref", "--short", "--quiet", "HEAD")
    changes = _git(cwd, "status", "--porcelain", "--untracked-files=no")
    return GitState(commit=commit, branch=branch or None, dirty=bool(changes))


def _git(cwd: Path, *arguments: str) -> str | None:
    """What git says, or None where it cannot; never asks for a password and never takes a lock."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
