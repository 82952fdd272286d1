"""One experiment from the command line: a case from flags, measured at an endpoint that is already there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pytest_inferbench.cases.case import Case, Origin
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.experiment import Experiment, Result, Settings, explained
from pytest_inferbench.launch.pool import Attachment, ServerPool
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.load.tokens import tokenizer_at
from pytest_inferbench.objectives.slo import parse_objectives
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.run_directory import RunDirectory, new_run_id, open_run, point_latest
from pytest_inferbench.reporting.figure_table import write_figures
from pytest_inferbench.reporting.progress import ProgressWriter, progress_mode
from pytest_inferbench.reporting.terminal import CaseTable
from pytest_inferbench.units import duration_s

_FLAG_OF_FIELD = {"requests": "--requests", "rate": "--rate", "concurrency": "--concurrency", "traffic": "--traffic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleRunDirectory(RunDirectory):
    """The folder of a run of one case: the case's files lie in it directly."""

    def case_folder(self, case_id: str) -> Path:
        """The run's own folder."""
        del case_id
        return self.path


def case_from_flags(flags: Mapping[str, Any]) -> Case:
    """
    The case that the flags of ``inferbench run`` describe.

    Raises:
        ConfigError: they contradict each other or make no sense; names the flag.
    """
    _check_load(flags)
    wanted = {
        "hardware": "cpu",
        "engine": "openai",
        "model": flags["model"] or "model",
        "traffic": flags["traffic"],
        "api": flags["api"],
        "warmup": flags["warmup"],
        "slo": list(flags["slo"]),
        "extra_body": flags["extra_body"],
        "rate": flags["rate"],
        "arrival": flags["arrival"],
        "concurrency": flags["concurrency"] or (None if flags["rate"] else 1),
        "requests": flags["requests"] or (None if flags["duration"] else 100),
        "duration": flags["duration"],
        "limits": _limits(flags),
    }
    mapping = {name: value for name, value in wanted.items() if value is not None}
    (case,) = suite_from_mapping(mapping, "inferbench-run", Origin(file="inferbench run")).cases()
    parse_objectives(case.slo, file="--slo")
    # What the endpoint runs on is not known: the id does not claim it.
    return replace(case, hardware="endpoint", id=case.id.removeprefix("cpu-"))


def _check_load(flags: Mapping[str, Any]) -> None:
    if flags["rate"] and flags["concurrency"]:
        raise ConfigError(
            "give one of them: --concurrency for a closed loop, --rate for an open one", file="--rate and --concurrency"
        )
    if flags["arrival"] and not flags["rate"]:
        raise ConfigError("is how an open loop's requests come; give --rate as well", file="--arrival")


def _limits(flags: Mapping[str, Any]) -> dict[str, float] | None:
    limits = {}
    for name in ("first_token", "stall", "total"):
        text = flags[f"{name}_limit"]
        if text:
            limits[name] = _seconds(text, f"--{name.replace('_', '-')}-limit")
    return limits or None


def _seconds(text: str, flag: str) -> float:
    try:
        return duration_s(text)
    except ConfigError as error:
        raise ConfigError(error.problem, file=flag) from error


class SingleRun:
    """
    An experiment of one case.

    Args:
        case: what is measured.
        flags: where and how, as the command line gave it.
        again: the command that runs it again.

    Raises:
        ConfigError, RecordError: the output folder cannot be used.
    """

    def __init__(self, case: Case, flags: Mapping[str, Any], *, again: str) -> None:
        self._case = case
        self._again = again
        self._run = _open(flags["output"])
        self._terminal = ClickTerminal()
        mode = progress_mode(tty=sys.stderr.isatty(), verbosity=-1 if flags["quiet"] else 0, xdist_worker=False)
        self._progress = ProgressWriter(sys.stderr, mode=mode)
        tokenizer = Path(flags["tokenizer"]).expanduser() if flags["tokenizer"] else None
        attachment = Attachment(
            url=flags["endpoint"],
            model=flags["model"],
            api_key_env=flags["api_key_env"],
            tokenizer=tokenizer_at(tokenizer) if tokenizer else None,
        )
        pool = ServerPool(folder=self._run.path, attachment=attachment)
        self._experiment = Experiment(self._run, pool, Settings(seeds=draw_seeds(flags["seed"])), on_progress=self._progress.show)

    def measure(self) -> Result:
        """
        Measure the case and keep its record.

        Raises:
            InferbenchError: it could not be measured, or its figures must not be believed.
        """
        try:
            return self._experiment.measure(self._case, node_id=self._case.id, again=self._again)
        finally:
            self._progress.clear()
            write_results(self._run.path, self._experiment.records)

    def show(self) -> None:
        """Print what there is: the figures, why it did not pass, and where the files lie."""
        for record in self._experiment.records:
            if record.summary is not None and record.summary.counts.attempted:
                CaseTable(self._terminal, [record.case.id]).add(record)
                write_figures(self._terminal, record)
            if record.verdict.outlook is not Outlook.PASS:
                self._terminal.line(explained(record, None))
        self._terminal.line(f"results: {self._run.path}")


def _open(output: str | None) -> SingleRunDirectory:
    run_id = new_run_id(datetime.now().astimezone())
    run = open_run(run_id, output=Path(output).expanduser() if output else None)
    if output is None:
        point_latest(run)
    return SingleRunDirectory(path=run.path, run_id=run.run_id)


class ClickTerminal:
    """A terminal writer with the verbs that pytest's has, on standard output."""

    def __init__(self) -> None:
        self.hasmarkup = sys.stdout.isatty()

    @property
    def fullwidth(self) -> int:
        """Columns of the terminal."""
        import shutil  # noqa: PLC0415

        return shutil.get_terminal_size((100, 24)).columns

    def write(self, msg: str, /, **markup: bool) -> None:
        """Write text, styled where it is seen on a terminal."""
        click.echo(click.style(msg, **_style(markup)) if self.hasmarkup else msg, nl=False)

    def line(self, s: str = "", /, **markup: bool) -> None:
        """Write a line."""
        self.write(f"{s}\n", **markup)

    def sep(self, sepchar: str, title: str | None = None, /, **markup: bool) -> None:
        """Write a line across the terminal."""
        self.line(f" {title} ".center(self.fullwidth, sepchar) if title else sepchar * self.fullwidth, **markup)


def _style(markup: Mapping[str, bool]) -> dict[str, Any]:
    """Click's names for pytest's markup."""
    colours = {"red", "green", "yellow", "blue", "cyan", "purple", "white"}
    style: dict[str, Any] = {}
    with suppress(StopIteration):
        style["fg"] = next(name for name in markup if name in colours).replace("purple", "magenta")
    style["bold"] = markup.get("bold", False)
    style["dim"] = markup.get("light", False)
    return style
