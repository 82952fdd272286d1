"""Where the compared clients are installed: each in a virtual environment of its own, made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.fidelity.peer_tools import OURS, Tool

INSTALL_LIMIT_S = 3600.0
CACHE = Path("~/.cache/pytest-inferbench/peers")
_NEWEST = (14, 13, 12)


class NotInstalled(Exception):
    """A client cannot be had; says why, in pip's words where they are its."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """
    Where clients are, or are to be.

    Attributes:
        cache: folder of the environments that are made here.
        given: environments that are there already, by the name of the client.
        python: for clients that need a newer Python than this one; None: the newest on PATH.
        pip: further arguments of ``pip install``.
        say: told what takes long.
    """

    cache: Path
    given: Mapping[str, Path]
    python: str | None = None
    pip: Sequence[str] = ()
    say: Callable[[str], None] = lambda _: None

    def command(self, name: str, tool: Tool) -> list[str]:
        """
        The start of a client's command line; installs it where it is missing.

        Raises:
            NotInstalled: it cannot be.
        """
        if name == OURS:
            return [tool.program, "-m", "pytest_inferbench.cli"]
        folder = self.given.get(name)
        if folder is None:
            folder = self.cache / tool.package.replace("==", "-")
            if not (folder / "bin" / tool.program).is_file():
                self._install(folder, tool)
        program = folder.absolute() / "bin" / tool.program
        if not program.is_file():
            raise NotInstalled(f"there is no {program}; name another environment with --env {name}=FOLDER")
        return [str(program)]

    def _install(self, folder: Path, tool: Tool) -> None:
        self.say(f"installing {tool.package} in {folder}")
        python = self._python(tool)
        _run([python, "-m", "venv", "--clear", str(folder)])
        try:
            _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *self.pip, tool.package])
        except NotInstalled:
            # Half an installation would be taken for a whole one the next time.
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _python(self, tool: Tool) -> str:
        if sys.version_info >= tool.python:
            return sys.executable
        names = [self.python] if self.python else [f"python3.{minor}" for minor in _NEWEST]
        found = next(filter(_runs, filter(None, map(shutil.which, names))), None)
        if found is None:
            needed = ".".join(map(str, tool.python))
            raise NotInstalled(f"{tool.package} needs Python {needed}, and there is none on PATH; name one with --python312")
        return found


def _runs(python: str) -> bool:
    """Whether it is a Python, and not a version manager's word that there is one elsewhere."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False, timeout=INSTALL_LIMIT_S).returncode == 0


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"{' '.join(argv)} took longer than {INSTALL_LIMIT_S:g} s") from error
    if done.returncode:
        raise NotInstalled(f"{' '.join(argv)} failed: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
