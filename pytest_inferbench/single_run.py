"""One experiment from the command line: a case or a sweep from flags, measured at an endpoint that is already there."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from pytest_inferbench.cases.case import Case, Origin
from pytest_inferbench.cases.confidence import confidence_of
from pytest_inferbench.cases.suite import suite_from_mapping
from pytest_inferbench.closing import keep_in_history
from pytest_inferbench.devices import inventory
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import ConfigError, LoadError, MeasurementInvalid, RecordError
from pytest_inferbench.experiment import Experiment, Settings
from pytest_inferbench.launch.attached import base_url
from pytest_inferbench.launch.pool import Attachment, ServerPool
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.load.tokens import tokenizer_at
from pytest_inferbench.objectives.slo import parse_objective
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.history.place import store_url
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.run_directory import RunDirectory, new_run_id, open_run, point_latest
from pytest_inferbench.replay import Recorded, recorded_cases
from pytest_inferbench.reporting.dashboard import dashboard
from pytest_inferbench.reporting.figure_table import write_figures
from pytest_inferbench.reporting.notes import notes
from pytest_inferbench.reporting.progress import ProgressWriter, progress_mode
from pytest_inferbench.reporting.terminal import CaseTable
from pytest_inferbench.result import Result, explained
from pytest_inferbench.sweep import sweep_lines
from pytest_inferbench.units import duration_s

TRAFFIC_DEFAULT = "D(100,100)"
_LINE_WIDTH = 100
_SHAPES = ("burstiness", "ramp_from", "steps", "ramp_up", "max_in_flight", "trace", "time_scale")
_CONTENT = ("cache", "turns", "think_time", "documents")
_WITH_REPLAY = {"replay", "endpoint", "model", "api_key_env", "tokenizer", "slo", "confidence", "output", "quiet", "workers"}
_WORST_LAST = (Outlook.PASS, Outlook.INCONCLUSIVE, Outlook.INVALID, Outlook.FAIL)
_FLAGS_OF = {"stream": "--no-stream", "body": "--body-template", "text": "--text-path", "headers": "--header"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleRunDirectory(RunDirectory):
    """The folder of a run of one case: the case's files lie in it directly."""

    def case_folder(self, case_id: str) -> Path:
        """The run's own folder."""
        del case_id
        return self.path


def cases_from_flags(flags: Mapping[str, Any]) -> tuple[Case, ...]:
    """
    The case that the flags of ``inferbench run`` describe, or those of a sweep in the order in which they are measured.

    Raises:
        ConfigError: they contradict each other or make no sense; names the flag.
    """
    _check_load(flags)
    suite = _suite(flags)
    try:
        cases = suite_from_mapping(suite, "inferbench-run", Origin(file="inferbench run")).cases()
    except ConfigError as error:
        raise ConfigError(error.problem, file=_flag(error.field)) from error
    for text in flags["slo"]:
        parse_objective(text, file="--slo")
    # What the endpoint runs on is not known: the id does not claim it.
    return tuple(replace(case, hardware="endpoint", id=case.id.removeprefix("cpu-")) for case in cases)


def _suite(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags as the fields of a suite."""
    wanted = {
        "hardware": "cpu",
        "engine": "openai",
        "model": flags["model"] or "model",
        "traffic": flags["traffic"] or (None if flags["trace"] or flags["dataset"] else TRAFFIC_DEFAULT),
        "prefix": _prefix(flags["prefix"]),
        "dataset": _dataset(flags),
        "api": flags["api"],
        **_sending(flags),
        "warmup": flags["warmup"],
        "slo": list(flags["slo"]),
        "confidence": flags["confidence"],
        "extra_body": flags["extra_body"],
        "rate": flags["rate"],
        "arrival": flags["arrival"],
        "concurrency": flags["concurrency"] or (None if flags["rate"] or flags["trace"] or flags["sweep"] else 1),
        "sweep": flags["sweep"],
        "requests": flags["requests"],
        "duration": flags["duration"],
        **{name: flags[name] for name in (*_SHAPES, *_CONTENT)},
        "limits": _limits(flags),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def replayed_case(flags: Mapping[str, Any], given: Collection[str]) -> Case:
    """
    The case of the record that is to be sent again; ``given`` are the flags that a person wrote.

    Raises:
        ConfigError: there is not one case in it, or a flag says what the record does.
    """
    for name in sorted(given):
        if name not in _WITH_REPLAY:
            raise ConfigError("does not go with --replay: the record says what is sent", file=f"--{name.replace('_', '-')}")
    cases = _recorded(flags)
    if len(cases) > 1:
        raise ConfigError(f"has {len(cases)} cases; give the folder of one: {', '.join(sorted(cases))}", file="--replay")
    (recorded,) = cases.values()
    confidence = recorded.case.confidence if flags["confidence"] is None else confidence_of(flags["confidence"])
    return replace(recorded.case, slo=tuple(flags["slo"]) or recorded.case.slo, confidence=confidence)


def _recorded(flags: Mapping[str, Any]) -> Mapping[str, Recorded]:
    try:
        return recorded_cases(Path(flags["replay"]).expanduser())
    except RecordError as error:
        raise ConfigError(str(error), file="--replay") from error


def _prefix(text: str | None) -> dict[str, Any] | None:
    """``tokens=512,share=0.8,count=4`` as a suite's fields; their names and values are checked as those of a suite are."""
    if text is None:
        return None
    fields: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            raise ConfigError(f"{part!r} is no name and value; write tokens=512,share=0.8,count=4", file="--prefix")
        fields[name] = int(value) if value.isdecimal() else value
    return fields


def _sending(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a suite that say how requests are spelled and sent."""
    headers: dict[str, str] = {}
    for text in flags["header"]:
        name, colon, value = text.partition(":")
        if not colon or name.strip() in headers:
            # Nothing of it is shown: it may be a secret.
            raise ConfigError("each is one name and one value; write 'X-Key: ${VARIABLE}'", file="--header")
        headers[name.strip()] = value.strip()
    return {
        "stream": False if flags["no_stream"] else None,
        "path": flags["path"],
        "body": flags["body_template"],
        "text": flags["text_path"],
        "headers": headers or None,
        "ca_file": flags["ca_file"],
    }


def _dataset(flags: Mapping[str, Any]) -> dict[str, Any] | None:
    rest = {name: flags[f"dataset_{name}"] for name in ("format", "prompt", "output")}
    if flags["dataset"] is None:
        wrong = next((name for name, value in rest.items() if value is not None), None)
        if wrong is not None:
            raise ConfigError("belongs to a data set; give --dataset as well", file=f"--dataset-{wrong}")
        return None
    output = rest.pop("output")
    tokens = int(output) if output and output.isdecimal() else output
    # A path on the command line is taken from where it is typed.
    fields = {"path": str(Path(flags["dataset"]).expanduser().resolve()), "output_tokens": tokens, **rest}
    return {name: value for name, value in fields.items() if value is not None}


def _flag(field: str | None) -> str:
    """The flag that a suite's field comes from: ``--stall-limit`` for ``limits.stall``."""
    name = (field or "inferbench run").removeprefix("matrix.").removeprefix("load.").partition("[")[0]
    if name in _FLAGS_OF:
        return _FLAGS_OF[name]
    if name.startswith("limits."):
        return f"--{name.removeprefix('limits.').replace('_', '-')}-limit"
    if name.startswith("prefix."):
        return f"--prefix {name.removeprefix('prefix.')}"
    if name.startswith("dataset."):
        return {"dataset.output_tokens": "--dataset-output", "dataset.path": "--dataset"}.get(name, f"--{name.replace('.', '-')}")
    return f"--{name.replace('_', '-')}" if field else name


def _check_load(flags: Mapping[str, Any]) -> None:
    if flags["rate"] and flags["concurrency"]:
        raise ConfigError(
            "give one of them: --concurrency for a closed loop, --rate for an open one, which --max-in-flight caps",
            file="--rate and --concurrency",
        )
    if flags["sweep"] and (flags["rate"] or flags["concurrency"] or flags["trace"]):
        raise ConfigError("finds its rates by itself; leave out --concurrency, --rate and --trace", file="--sweep")
    if flags["arrival"] and not (flags["rate"] or flags["sweep"]):
        raise ConfigError("is how an open loop's requests come; give --rate as well", file="--arrival")
    if flags["time_scale"] and not flags["trace"]:
        raise ConfigError("is for the times of a trace; give --trace as well", file="--time-scale")


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
    An experiment of one case, or of the cases of one sweep.

    Args:
        cases: what is measured, in this order.
        flags: where and how, as the command line gave it.
        again: the command that runs it again.

    Raises:
        ConfigError: the endpoint, the tokenizer or the output folder cannot be used.
    """

    def __init__(self, cases: Sequence[Case], flags: Mapping[str, Any], *, again: str) -> None:
        self._cases = tuple(cases)
        self._again = again
        self._terminal = ClickTerminal()
        mode = progress_mode(tty=sys.stderr.isatty(), verbosity=-1 if flags["quiet"] else 0, xdist_worker=False)
        live = mode == "line" and os.environ.get("TERM") != "dumb"
        draw = dashboard() if live else None
        self._progress = ProgressWriter(sys.stderr, mode=mode, width=lambda: terminal_width(sys.stderr), draw=draw)
        attachment = _attachment(flags)
        self._run = _open(flags["output"], single=len(cases) == 1)
        pool = ServerPool(folder=self._run.path, attachment=attachment)
        replay = None if flags["replay"] is None else _recorded(flags)
        settings = Settings(
            seeds=draw_seeds(flags["seed"]),
            cases=len(cases),
            workers=flags["workers"],
            replay=replay,
            beside=_gpus_beside(flags),
            live=live,
        )
        self._experiment = Experiment(self._run, pool, settings, on_progress=self._progress.show)
        if flags["gpu_monitor"] and not settings.beside:
            self._experiment.troubles.append("--gpu-monitor: no GPU is seen on this machine, so there is no gpu_memory.csv")

    def measure(self) -> Result:
        """
        Measure and keep the records; returns the worst case, and nothing is worse than a missed objective.

        A level of a sweep whose figures say nothing has a record that says why, and the others are measured all the same.

        Raises:
            InferbenchError: the server or the case is at fault, or the figures of a single case must not be believed.
        """
        try:
            for case in self._cases:
                self._measure(case)
        except BaseException:
            # That the disk is full must not hide what went wrong first.
            with suppress(RecordError):
                self._end()
            raise
        self._end()
        worst = max(self._experiment.records, key=lambda record: _WORST_LAST.index(record.verdict.outlook))
        return Result(record=worst, traces=None)

    def _measure(self, case: Case) -> None:
        try:
            self._experiment.measure(case, node_id=case.id, again=self._again)
        except (LoadError, MeasurementInvalid):
            if len(self._cases) == 1:
                raise

    def _end(self) -> None:
        self._progress.clear()
        if self._experiment.records:
            write_results(self._run.path, self._experiment.records)
            if (url := store_url()) is not None:
                self._experiment.notices += keep_in_history(self._run.path, url, command=self._again, exit_code=None)

    @property
    def explained(self) -> bool:
        """`show` says why the case did not pass: it came so far as to have a record."""
        return bool(self._experiment.records)

    def show(self) -> None:
        """Print what there is: the figures, why it did not pass, and where the files lie."""
        records = self._experiment.records
        table = CaseTable(self._terminal, [case.id for case in self._cases])
        for record in records:
            if record.summary is not None and record.summary.counts.attempted:
                table.add(record)
                if len(self._cases) == 1:
                    write_figures(self._terminal, record)
        for record in records:
            if record.verdict.outlook is not Outlook.PASS:
                self._terminal.line(explained(record, None))
        for text in (*sweep_lines(records), *notes(self._experiment.records), *self._experiment.troubles):
            self._terminal.line(text)
        for notice in self._experiment.notices:
            self._terminal.line(f"note: {notice}")
        self._terminal.line(f"results: {self._run.path}")


def _gpus_beside(flags: Mapping[str, Any]) -> tuple[Gpu, ...]:
    """The GPUs to watch although nobody knows whether the server runs on them."""
    return inventory.detected().gpus if flags["gpu_monitor"] else ()


def _attachment(flags: Mapping[str, Any]) -> Attachment:
    tokenizer = Path(flags["tokenizer"]).expanduser() if flags["tokenizer"] else None
    key_name = flags["api_key_env"]
    if key_name and not os.environ.get(key_name):
        raise ConfigError(f"the environment variable {key_name} is not set", file="--api-key-env")
    with _naming("--endpoint"):
        base_url(flags["endpoint"])
    with _naming("--tokenizer"):
        found = tokenizer_at(tokenizer) if tokenizer else None
    return Attachment(url=flags["endpoint"], model=flags["model"], api_key_env=key_name, tokenizer=found)


@contextmanager
def _naming(flag: str) -> Iterator[None]:
    """Let a mistake name the flag that it is in."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(error.problem, file=flag) from error


def _open(output: str | None, *, single: bool) -> RunDirectory:
    run_id = new_run_id(datetime.now().astimezone())
    try:
        run = open_run(run_id, output=Path(output).expanduser() if output else None)
        if output is None:
            point_latest(run)
    except RecordError as error:
        raise ConfigError(str(error), file="--output") from error
    return SingleRunDirectory(path=run.path, run_id=run.run_id) if single else run


class ClickTerminal:
    """A terminal writer with the verbs that pytest's has, on standard output."""

    def __init__(self) -> None:
        self.hasmarkup = sys.stdout.isatty()

    @property
    def fullwidth(self) -> int:
        """Columns of the terminal."""
        return terminal_width(sys.stdout)

    def write(self, msg: str, *, flush: bool = False, **markup: bool) -> None:
        """Write text, styled where it is seen on a terminal."""
        del flush  # click does it every time
        click.echo(click.style(msg, **_style(markup)) if self.hasmarkup else msg, nl=False)

    def line(self, s: str = "", **markup: bool) -> None:
        """Write a line."""
        self.write(f"{s}\n", **markup)

    def sep(self, sepchar: str, title: str | None = None, fullwidth: int | None = None, **markup: bool) -> None:
        """Write a line across the terminal."""
        width = fullwidth or self.fullwidth
        self.line(f" {title} ".center(width, sepchar) if title else sepchar * width, **markup)


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal that a stream goes to; 100 where it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _LINE_WIDTH
    except OSError:
        return _LINE_WIDTH


def _style(markup: Mapping[str, bool]) -> dict[str, Any]:
    """Click's names for pytest's markup."""
    colours = {"red", "green", "yellow", "blue", "cyan", "purple", "white"}
    style: dict[str, Any] = {}
    with suppress(StopIteration):
        style["fg"] = next(name for name in markup if name in colours).replace("purple", "magenta")
    style["bold"] = markup.get("bold", False)
    style["dim"] = markup.get("light", False)
    return style
