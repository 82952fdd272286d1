"""
What is done with a run when its session ends: the files beside its results, and where else it goes.

Rule: each step fails alone. The results are written first, and nothing here can cost them; what goes wrong is a sentence at the
end of the session, a trouble where something was asked for and is not there, a notice otherwise.
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.gathering import Gathering
from pytest_inferbench.options import Options
from pytest_inferbench.records.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """
    A run whose results are written.

    Attributes:
        options: what was asked for on the command line.
        gathering: its records, and what is said of the session at its end.
        run_dir: its folder.
        root: where ``reports`` lies.
        exit_code: what pytest is going to end with.
    """

    options: Options
    gathering: Gathering
    run_dir: Path
    root: Path
    exit_code: int

    @property
    def records(self) -> tuple[Record, ...]:
        """Those of the session."""
        return self.gathering.records

    def close(self) -> None:
        """Take all steps, each by itself; what is sent away goes last, when all files are there."""
        steps: Sequence[Callable[[], None]] = (
            self._save_baseline,
            self._draw,
            self._summarise,
            self._tell_github,
            self._export,
            self._note_durations,
            self._keep_in_history,
            self._upload,
        )
        for step in steps:
            self.gathering.or_trouble(step)

    def _save_baseline(self) -> None:
        if self.options.save is None or not self.records:
            return
        from pytest_inferbench.records.baseline_files import save  # noqa: PLC0415 - few sessions save one

        path = save(self.options.save, [self.run_dir], root=self.root)
        self.gathering.notices.append(f"saved as a baseline: {path}")

    def _draw(self) -> None:
        from pytest_inferbench.reporting.run_charts import write_charts  # noqa: PLC0415 - Matplotlib comes with it

        write_charts(self.run_dir, self.records)

    def _summarise(self) -> None:
        from pytest_inferbench.reporting.markdown_summary import write_markdown_summary  # noqa: PLC0415 - most sessions have no case

        if not self.records:
            return
        found = self.gathering.compared
        if found is None:
            write_markdown_summary(self.run_dir, self.records)
        else:
            write_markdown_summary(self.run_dir, self.records, found.comparisons, baseline=found.baseline, notes=found.notes)

    def _tell_github(self) -> None:
        from pytest_inferbench.gate import tell_github  # noqa: PLC0415 - most sessions have no case

        self.gathering.plain += tell_github(self.records, self.gathering.compared)

    def _export(self) -> None:
        """Write the results in other tools' formats; one that cannot be written is no reason to lose another."""
        if self.options.export is None:
            return
        from pytest_inferbench.export_command import export_finished_run  # noqa: PLC0415 - few sessions export

        files, troubles = export_finished_run(self.run_dir, self.options.export)
        self.gathering.troubles += troubles
        folders = dict.fromkeys(str(file.parent) for file in files)
        self.gathering.notices += [f"exported: {folder}" for folder in folders]

    def _note_durations(self) -> None:
        """Keep how long servers and cases took, for the order of the next run."""
        from pytest_inferbench import durations  # noqa: PLC0415 - most sessions have no case

        trouble = durations.note(self.records)
        if trouble is not None:
            self.gathering.notices.append(trouble)

    def _keep_in_history(self) -> None:
        from pytest_inferbench.records.history.place import store_url  # noqa: PLC0415 - most sessions have no case

        url = store_url(self.options.store)
        if url is not None and self.records:
            command = shlex.join(["pytest", *sys.argv[1:]])
            self.gathering.notices += keep_in_history(self.run_dir, url, command=command, exit_code=self.exit_code)

    def _upload(self) -> None:
        if self.options.upload is None:
            return
        from pytest_inferbench.upload_command import upload_finished_run  # noqa: PLC0415 - few sessions upload

        said, trouble = upload_finished_run(self.run_dir, self.options.upload)
        self.gathering.notices += [said] if said else []
        self.gathering.troubles += [trouble] if trouble is not None else []


def keep_in_history(run_dir: Path, url: str, *, command: str, exit_code: int | None) -> tuple[str, ...]:
    """Bring a run whose results are written into the history, and return what people should know of that, in sentences."""
    from pytest_inferbench.records.history.deliver import record_run  # noqa: PLC0415 - SQLAlchemy comes with it
    from pytest_inferbench.records.history.rows import RunFacts  # noqa: PLC0415 - as above

    facts = RunFacts(host=socket.gethostname(), command=command, exit_code=exit_code)
    # It reads the results as they were written, which is right after a resumed run, too.
    return record_run(run_dir, url=url, facts=facts)
