"""
The folder of a run, and the folders of its cases.

Rule: no run ever writes into the folder of another one, and no case into the folder of another case.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_inferbench.errors import RecordError
from pytest_inferbench.records.files import read_json, write_json_once, writing

RUNS = Path("reports", "runs")
LATEST = Path("reports", "latest")
RUN_FILE = "run.json"
_RESULTS = ("results.json", "results.csv", "manifest.json", "summary.json")
_NAME_BYTES_MAX = 150
_CASES_OF_ONE_NAME_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """Where one run writes: ``path`` holds ``run.json``, ``results.json``, ``results.csv`` and a folder a case."""

    path: Path
    run_id: str

    def case_folder(self, case_id: str) -> Path:
        """
        A new folder for one measurement of a case; a second one of the same id (another test, a repeat) ends in ``-2``.

        Raises:
            RecordError: it could not be made.
        """
        name = safe_name(case_id)
        for i in range(1, _CASES_OF_ONE_NAME_MAX):
            folder = self.path / (name if i == 1 else f"{name}-{i}")
            # mkdir is atomic: two xdist workers never get the same folder.
            with writing(folder), suppress(FileExistsError):
                folder.mkdir()
                return folder
        raise RecordError(f"{self.path / name} and {_CASES_OF_ONE_NAME_MAX} more are there already; start a new run")


def new_run_id(started: datetime) -> str:
    """A name for a run that sorts by time, reads as one, and is unique: ``20261122-074501-3f9c``."""
    return f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def safe_name(case_id: str) -> str:
    """A case id as the name of a folder, on any file system: letters, digits, ``.``, ``_``, ``-``; at most 150 bytes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", case_id).strip("._")
    return name[:_NAME_BYTES_MAX] or "case"


def open_run(run_id: str, *, output: Path | None = None, root: Path | None = None) -> RunDirectory:
    """
    Make the folder of a run, or join it where a worker of the same run has made it.

    ``output`` is the folder a person asked for; without it, ``reports/runs/<run id>`` under ``root`` (default: the current
    folder).

    Raises:
        RecordError: the folder holds another run, or it could not be made.
    """
    path = output if output is not None else (root or Path()) / RUNS / run_id
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    if not _is_joined(path, run_id):
        _claim(path, run_id)
    return RunDirectory(path=path, run_id=run_id)


def point_latest(run: RunDirectory, *, root: Path | None = None) -> None:
    """
    Let ``reports/latest`` lead to this run: a symbolic link, or a text file with the path where there are none.

    Raises:
        RecordError: it could not be written, or is a folder of somebody else.
    """
    latest = (root or Path()) / LATEST
    target = os.path.relpath(run.path.resolve(), latest.parent.resolve())
    temporary = latest.with_name(f".latest.{os.getpid()}.part")
    with writing(latest):
        latest.parent.mkdir(parents=True, exist_ok=True)
        if latest.is_dir() and not latest.is_symlink():
            raise RecordError(f"{latest} is a folder, where a link to the newest run belongs; move it away")
        with suppress(FileNotFoundError):
            temporary.unlink()
        try:
            temporary.symlink_to(target, target_is_directory=True)
        except (NotImplementedError, PermissionError):
            temporary.write_text(target + "\n", encoding="utf-8")
        temporary.replace(latest)


def _is_joined(path: Path, run_id: str) -> bool:
    """Whether the folder is this run's already."""
    if not (path / RUN_FILE).exists():
        return False
    holder = read_json(path / RUN_FILE)
    other = holder.get("run_id") if isinstance(holder, dict) else None
    if other != run_id:
        raise RecordError(
            f"{path} holds run {other}, which is never overwritten; choose another folder with --inferbench-output,"
            " or move it away"
        )
    return True


def _claim(path: Path, run_id: str) -> None:
    in_the_way = [name for name in _RESULTS if (path / name).exists()]
    if in_the_way:
        raise RecordError(f"{path} holds {in_the_way[0]} of something else; choose another folder with --inferbench-output")
    try:
        write_json_once(path / RUN_FILE, {"run_id": run_id})
    except RecordError:
        # Another worker of the same run may have been faster; anybody else is an error.
        if not _is_joined(path, run_id):
            raise
