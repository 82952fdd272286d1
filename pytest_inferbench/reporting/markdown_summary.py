"""
``summary.md`` in a run's folder: what a run was and what came of it, for a pull request, a chat, or a look with ``less``.

Rule: the table of cases and the comparisons are those of `ci_summary`, so that no two summaries say different things. Every word
of a configuration, a server or a model is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from pytest_inferbench.objectives.gates import Comparison
from pytest_inferbench.records.files import write_text
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.ci_summary import escaped, step_summary
from pytest_inferbench.reporting.figures import length_of_time

SUMMARY_MD = "summary.md"
_FILES = (
    ("report.html", "the report"),
    ("results.json", "everything"),
    ("results.csv", "a row a case"),
    ("results.parquet", "the same with types"),
)


def write_markdown_summary(
    run_dir: Path,
    records: Sequence[Record],
    comparisons: Sequence[Comparison] = (),
    *,
    baseline: str = "",
    notes: Sequence[str] = (),
) -> Path:
    """
    Write ``summary.md`` of a run, over the one of the same run; call it when its other files are there.

    Raises:
        RecordError: it could not be written.
    """
    path = run_dir / SUMMARY_MD
    text = step_summary(records, comparisons, baseline=baseline, notes=notes)
    write_text(path, "\n".join([*_heading(records), text.rstrip("\n"), "", *_servers(records), *_links(run_dir, records)]) + "\n")
    return path


def _heading(records: Sequence[Record]) -> list[str]:
    """Which run, and when it was."""
    runs = ", ".join(dict.fromkeys(escaped(record.run_id) for record in records)) or "without cases"
    if not records:
        return [f"# Run {runs}", ""]
    first = min(datetime.fromisoformat(record.started_at) for record in records)
    measured_s = sum(record.wall_s for record in records)
    return [f"# Run {runs}", "", f"Began {first:%Y-%m-%d %H:%M %Z}; its cases took {length_of_time(measured_s)} together.", ""]


def _servers(records: Sequence[Record]) -> list[str]:
    """Each server with its version, and how many cases it answered."""
    names: dict[str, int] = {}
    for record in records:
        if record.served is not None:
            served = record.served
            version = f" {served.engine_version}" if served.engine_version else ""
            name = f"{served.engine}{version}, {served.model}, on {record.case.hardware}"
            names[name] = names.get(name, 0) + 1
    lines = [f"* {escaped(name)}: {cases} case{'s' if cases != 1 else ''}" for name, cases in names.items()]
    return ["### Servers", "", *lines, ""] if lines else []


def _links(run_dir: Path, records: Sequence[Record]) -> list[str]:
    """The files beside it, and the folder of each case."""
    files = [f"* [{name}]({name}): {what}" for name, what in _FILES if (run_dir / name).is_file()]
    folders = [record.folder for record in records if record.folder and (run_dir / record.folder).is_dir()]
    lines = [*files, *(f"* [{escaped(folder)}]({quote(folder)}/)" for folder in folders)]
    return ["### Files", "", *lines] if lines else []
