"""
A run's results, written for other tools.

Rule: a format that fails is a sentence and takes no other one with it; a case that cannot be read is one too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.records.export.exportable import Exportable, ExportFile
from pytest_inferbench.records.export.registry import FORMATS
from pytest_inferbench.records.files import write_json, write_text, writing
from pytest_inferbench.records.reader import read_run, read_traces
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.redact import redact_record
from pytest_inferbench.records.telemetry import GPU_FILE
from pytest_inferbench.redaction import redact_text

FOLDER = "exports"
# Fewer than file systems take: a file that is being written has a longer name.
_NAME_BYTES_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What came of an export: files written, and what could not be, in sentences."""

    files: tuple[Path, ...]
    troubles: tuple[str, ...]


def export_run(run_dir: Path, formats: Sequence[str], *, output: Path | None = None) -> Exported:
    """
    Write a run's results in other tools' formats, each into a folder of its name under ``output`` (``exports`` in the run).

    Raises:
        RecordError: the run has no results that can be read.
    """
    cases, troubles = _exportables(run_dir, read_run(run_dir))
    written: list[Path] = []
    for name in formats:
        done = write_format(name, cases, folder=(output or run_dir / FOLDER) / name) if cases else Exported(files=(), troubles=())
        written += done.files
        troubles += done.troubles
    if not cases:
        troubles.append(f"{run_dir}: no case was measured, so nothing was written")
    return Exported(files=tuple(written), troubles=tuple(troubles))


def write_format(name: str, cases: Sequence[Exportable], *, folder: Path) -> Exported:
    """Write one format; whatever goes wrong with it becomes a sentence."""
    written: list[Path] = []
    try:
        export = FORMATS[name](cases)
        written.extend(_write(folder, file) for file in export.files)
    except Exception as error:  # noqa: BLE001 - a fault in one format must not take the others, or the run, with it
        text = str(error) if isinstance(error, InferbenchError) else f"{type(error).__name__}: {error}; please report this"
        return Exported(files=tuple(written), troubles=(f"{name}: {redact_text(text)}",))
    return Exported(files=tuple(written), troubles=tuple(f"{name}: {sentence}" for sentence in export.left_out))


def _short(name: str) -> str:
    """A name that any file system takes: a long one loses its end, which is the model; its beginning tells cases apart."""
    stem, dot, suffix = name.rpartition(".")
    whole = len(name.encode()) <= _NAME_BYTES_MAX
    return name if whole else stem.encode()[: _NAME_BYTES_MAX - len(suffix) - 1].decode(errors="ignore") + dot + suffix


def _exportables(run_dir: Path, records: Sequence[Record]) -> tuple[list[Exportable], list[str]]:
    cases: list[Exportable] = []
    troubles: list[str] = []
    for record in records:
        if record.imported is not None:
            troubles.append(f"{record.case.id}: it was imported from {record.imported.tool}, and its requests are not there")
            continue
        if record.summary is None:
            troubles.append(f"{record.case.id}: it broke before it was measured")
            continue
        if not record.summary.counts.completed:
            troubles.append(f"{record.case.id}: no request of it completed, so there is no figure to write")
            continue
        folder = run_dir / record.folder
        try:
            traces = read_traces(folder)
        except InferbenchError as error:
            troubles.append(f"{record.case.id}: {error}")
            continue
        gpu = folder / GPU_FILE
        gpu_csv = gpu.read_text(encoding="utf-8") if gpu.is_file() else None
        cases.append(Exportable(record=redact_record(record), traces=traces, summary=record.summary, gpu_csv=gpu_csv))
    return cases, troubles


def _write(folder: Path, file: ExportFile) -> Path:
    path = folder.joinpath(*(_short(part) for part in file.path.split("/")))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file.content, str):
        write_text(path, file.content)
    else:
        write_json(path, file.content)
    return path
