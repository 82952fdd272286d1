"""What ``inferbench ab`` does, from the command line to a result; ``inferbench bisect`` measures each of its questions so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from pytest_inferbench import ab
from pytest_inferbench.ab import Side, Slot, Turn, Turns, Where
from pytest_inferbench.ab_command import FAIL_ON, INTERRUPTED
from pytest_inferbench.ab_comparison import Held, held_json, hold, known_so_far
from pytest_inferbench.ab_session import Session, Setup, refuse_fixed
from pytest_inferbench.cases.case import Case
from pytest_inferbench.cli import again_command
from pytest_inferbench.errors import ConfigError, RecordError
from pytest_inferbench.load.seeds import draw_seeds
from pytest_inferbench.objectives.tolerance import Tolerated, parse_fail_on, tolerances_of
from pytest_inferbench.records.baselines import Measured
from pytest_inferbench.records.files import write_json_once
from pytest_inferbench.records.run_directory import RunDirectory, new_run_id, open_run
from pytest_inferbench.redaction import redact_text
from pytest_inferbench.reporting.ab_table import ab_lines
from pytest_inferbench.reporting.ci_summary import github_annotations, step_summary, write_step_summary
from pytest_inferbench.reporting.comparison_table import outcome_line
from pytest_inferbench.reporting.figures import length_of_time, printable
from pytest_inferbench.reporting.progress import Progress, ProgressWriter, progress_mode
from pytest_inferbench.reporting.terminal import Piece
from pytest_inferbench.single_run import terminal_width
from pytest_inferbench.source_trees import SourceTrees
from pytest_inferbench.steps_selection import selected, servers_of
from pytest_inferbench.units import duration_s
from pytest_inferbench.variants import Variant, applied, parse_variant, uses_tree, what_differs

PLAN_FILE, RESULT_FILE = "ab.json", "comparison.json"
SCHEMA_VERSION = 1
_UNUSED = (
    "a suite that does not say {tree} finds a commit by PYTHONPATH and PATH alone; see in the servers' logs that it did,"
    " or the same program was measured on both sides"
)
_COLOURS = ("red", "green", "yellow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for on the command line: the options of `ab_command.shared_options`."""

    suites: tuple[str, ...]
    blocks: int
    fail_on: str | None = None
    keyword: str = ""
    markers: str = ""
    restart: bool = False
    repository: Path = Path()
    build: str = ""
    seed: int | None = None
    output: Path | None = None
    lease_timeout: str = "1h"
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a result is shown: as JSON, in the summary of a CI step, as GitHub's annotations."""

    as_json: bool = False
    step_summary: Path | None = None
    annotate: bool = False


def run_ab(a: str, b: str, asked: Asked, shown: Shown) -> int:
    """
    Measure two variants in turns, keep and show what came of it, and return the exit code.

    Raises:
        ConfigError: it was asked for wrongly.
        InferbenchError: nothing could be measured or kept.
    """
    variants = (parse_variant(a), parse_variant(b))
    cases = selected_cases(asked)
    tolerated = tolerated_of(asked, cases)
    with ExitStack() as held_open:
        bench = held_open.enter_context(Bench(asked))
        sides = [bench.changed(cases, variant) for variant in variants]
        differs = differing(*sides)
        write_json_once(bench.run.path / PLAN_FILE, plan_json(asked, bench.run, variants, differs))
        for side, changed in zip(Side, sides, strict=True):
            bench.session.put(side, changed, name=side.value)
        turns = bench.measured(cases, plan=ab.plan(asked.blocks), tolerated=tolerated)
        bench.close()
        found = hold(turns, [case.id for case in cases], tolerated, names=(variants[0].shown, variants[1].shown))
        notes = [*(differs or ("A and B are the same: this is an A/A comparison",)), *bench.session.notices]
    _tell(found, notes, bench.run, shown)
    return INTERRUPTED if turns.interrupted else found.compared.exit_code


def selected_cases(asked: Asked) -> tuple[Case, ...]:
    """
    The cases that the command line selects.

    Raises:
        ConfigError: there is none, or one that cannot be measured in two variants.
    """
    cases = selected(asked.suites, keyword=asked.keyword, markers=asked.markers)
    refuse_fixed(cases)
    # Blocks are the repeats here: those that the suite asks for are one case.
    first = {case.base_id: case for case in reversed(cases)}
    return tuple(replace(first[base_id], id=base_id, repeat=None) for base_id in dict.fromkeys(case.base_id for case in cases))


def tolerated_of(asked: Asked, cases: Sequence[Case]) -> Tolerated:
    """
    How much worse figures may get: as the command line says, else as the suites do, else `FAIL_ON`.

    Raises:
        ConfigError: it cannot be read.
    """
    if asked.fail_on is not None:
        return Tolerated(usual=parse_fail_on(asked.fail_on))
    own = {case.id: tolerances_of(case.fail_on) for case in cases if case.fail_on}
    return Tolerated(usual=parse_fail_on(FAIL_ON), own=own)


def differing(a: Sequence[Case], b: Sequence[Case]) -> tuple[str, ...]:
    """What the sides differ by, each once, in words; empty where they are the same."""
    found = (words for old, new in zip(a, b, strict=True) for words in what_differs(old, new))
    return tuple(dict.fromkeys(found))


def plan_json(asked: Asked, run: RunDirectory, variants: Sequence[Variant], differs: Sequence[str]) -> dict[str, Any]:
    """What is about to be measured, and what the sides differ by, as plain JSON types."""
    a, b = (each.shown for each in variants)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "a": a,
        "b": b,
        "differs": list(differs),
        "blocks": asked.blocks,
        "restart": asked.restart,
        "fail_on": asked.fail_on or FAIL_ON,
        "build": redact_text(asked.build),
    }


class Bench:
    """
    Everything that measuring two sides takes, from the command line: the run's folder, source trees, servers, the screen.

    Raises:
        ConfigError: the folder cannot be used, or a time cannot be read.
    """

    def __init__(self, asked: Asked) -> None:
        self.screen = Screen(quiet=asked.quiet)
        setup = Setup(
            seeds=draw_seeds(asked.seed),
            restart=asked.restart,
            lease_timeout_s=duration_s(asked.lease_timeout),
            again=again_command(sys.argv[1:]),
            show=self.screen.show,
            waiting=self.screen.say,
        )
        self.run = _open(asked.output)
        self.trees = SourceTrees(
            asked.repository.absolute(), build=asked.build, logs=self.run.path / "servers", progress=self.screen.say
        )
        self.session = Session(self.run, setup)

    def changed(self, cases: Sequence[Case], variant: Variant) -> tuple[Case, ...]:
        """The cases of one side; its commit is checked out and built."""
        if variant.commit is not None and not all(map(uses_tree, cases)) and _UNUSED not in self.session.notices:
            self.session.notices.append(_UNUSED)
        tree = self.trees.repository if variant.commit is None else self.trees.tree(variant.commit)
        return tuple(applied(case, variant, tree=tree) for case in cases)

    def measured(self, cases: Sequence[Case], *, plan: Sequence[Slot], tolerated: Tolerated) -> Turns[Measured]:
        """Every case in every slot, server by server: cases of one server share its starts."""
        parts: list[Turns[Measured]] = []
        for server in servers_of(cases):
            ids = [case.id for case in cases if case.server_key == server.case.server_key]
            told = self.screen.following(ids, tolerated)
            parts.append(ab.run(plan, ids, measure=self.session.measure, told=told))
            if parts[-1].interrupted:
                break
        return ab.joined(parts)

    def close(self) -> None:
        """Stop the servers, write what was measured, remove the trees; safe to call twice."""
        try:
            self.session.close()
        finally:
            self.trees.close()
            self.screen.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Screen:
    """
    Progress on standard error: where each run is, and after each block what is known by then.

    Args:
        quiet: nothing is shown.
    """

    def __init__(self, *, quiet: bool) -> None:
        mode = progress_mode(tty=sys.stderr.isatty(), verbosity=-1 if quiet else 0, xdist_worker=False)
        self._writer = ProgressWriter(sys.stderr, mode=mode, width=lambda: terminal_width(sys.stderr))
        self._quiet = quiet

    def show(self, state: Progress) -> None:
        """Show where a case is."""
        self._writer.show(state)

    def say(self, words: str) -> None:
        """A sentence, such as what is waited for."""
        if not self._quiet:
            self._writer.clear()
            click.echo(printable(redact_text(words)), err=True)

    def clear(self) -> None:
        """Take the line of progress off the screen."""
        self._writer.clear()

    def following(self, case_ids: Sequence[str], tolerated: Tolerated) -> Callable[[Where, Sequence[Turn[Measured]]], None]:
        """Says where each run is, and before each block but the first what the blocks before it tell of the first case."""

        def told(where: Where, taken: Sequence[Turn[Measured]]) -> None:
            if where.slot.place == 0 and taken and where.case_id == case_ids[0] and not self._quiet:
                known = known_so_far(Turns(taken=tuple(taken), lost={}), case_ids, tolerated)
                self.say(f"so far: {known or 'nothing can be said'}")
            self.say(where_words(where))

        return told


def where_words(where: Where) -> str:
    """``block 2 of 4: B (run 6 of 16, about 2 min left)``."""
    left = "" if where.left_s is None else f", about {length_of_time(where.left_s)} left"
    slot = where.slot
    return f"block {slot.block + 1} of {where.blocks}: {slot.side} (run {where.done + 1} of {where.total}{left})"


def show_held(found: Held, notes: Sequence[str]) -> None:
    """Print the table of a comparison, what is to be known of it, and how many figures came out how."""
    for line in ab_lines(found.paired):
        click.echo("".join(_styled(piece) for piece in line))
    for note in notes:
        click.echo(f"note: {printable(redact_text(note))}")
    click.echo(f"{outcome_line(found.compared.comparisons)}; B against {printable(found.compared.baseline)}")


def _styled(piece: Piece) -> str:
    return click.style(piece.text, fg=next((each for each in piece.markup if each in _COLOURS), None))


def _open(output: Path | None) -> RunDirectory:
    try:
        return open_run(new_run_id(datetime.now().astimezone()), output=output)
    except RecordError as error:
        raise ConfigError(str(error).replace("--inferbench-output", "--output")) from error


def _tell(found: Held, notes: Sequence[str], run: RunDirectory, shown: Shown) -> None:
    """Keep the result beside the records, and show it."""
    every = [*found.compared.notes, *notes]
    result = held_json(found) | {"run": str(run.path), "notes": [redact_text(note) for note in every]}
    write_json_once(run.path / RESULT_FILE, result)
    _for_github(found, every, shown)
    if shown.as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
        return
    show_held(found, every)
    click.echo(f"results: {run.path}")


def _for_github(found: Held, notes: Sequence[str], shown: Shown) -> None:
    comparisons, baseline = found.compared.comparisons, found.compared.baseline
    if shown.step_summary is not None:
        write_step_summary(shown.step_summary, step_summary((), comparisons, baseline=baseline, notes=notes))
    for line in github_annotations((), comparisons) if shown.annotate else ():
        click.echo(line, err=True)
