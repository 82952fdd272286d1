"""``inferbench compare``: is a run worse than a baseline; and the same for whoever has both at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_inferbench.errors import ConfigError, InferbenchError
from pytest_inferbench.redaction import redact_text

if TYPE_CHECKING:
    from pytest_inferbench.objectives.gates import Comparison
    from pytest_inferbench.objectives.tolerance import Tolerated
    from pytest_inferbench.records.baselines import Baseline
    from pytest_inferbench.records.record import Record

FAIL_ON = "tpot_p50:5%,ttft_p99:10%,output_throughput:3%"
"""What is compared where nobody says."""
NO_REGRESSION, REGRESSION, CANNOT_TELL = 0, 1, 3
_EXIT_CODES = "Exit codes: 0 no regression · 1 a regression · 2 wrong usage · 3 cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What came of holding a run against a baseline; ``notes`` is what to know of it, in sentences."""

    baseline: str
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 with a regression that nobody waived; else 3 where something, or all of it, cannot be told; else 0."""
        from pytest_inferbench.objectives.gates import Change  # noqa: PLC0415 - keeps --help fast

        if any(each.counts for each in self.comparisons):
            return REGRESSION
        unsure = not self.comparisons or any(each.change is Change.CANNOT_TELL for each in self.comparisons)
        return CANNOT_TELL if unsure else NO_REGRESSION


def hold_against(old: Baseline, new: Baseline, tolerated: Tolerated, *, noise: float, root: Path) -> Compared:
    """
    Compare, and leave out of count what ``reports/baselines/waivers.yaml`` under ``root`` waives today.

    Raises:
        ConfigError: both are the same run, or the file of waivers is wrong.
    """
    from pytest_inferbench.objectives.gates import compare as compared  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.objectives.waivers import FILE, read_waivers, waive  # noqa: PLC0415 - as above
    from pytest_inferbench.records.baselines import match  # noqa: PLC0415 - as above

    same = [run for run in new.runs if run in old.runs]
    if same:
        raise ConfigError(f"{old.name} was made of run {same[0]} itself, which is as fast as itself; compare another run")
    waivers = read_waivers(root / FILE)
    matched = match(old, new, tolerated)
    today = datetime.now().astimezone().date()
    found, ran_out = waive(compared(matched.pairs, noise=noise), waivers, today=today)
    return Compared(baseline=old.name, comparisons=found, notes=(*matched.notes, *ran_out))


def compared_json(found: Compared) -> dict[str, Any]:
    """As plain JSON types; what has no value is null."""
    return {
        "baseline": found.baseline,
        "exit_code": found.exit_code,
        "notes": [redact_text(note) for note in found.notes],
        "comparisons": [_json(each) for each in found.comparisons],
    }


@click.command(epilog=_EXIT_CODES)
@click.argument("baseline")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--fail-on", metavar="LIST", default=FAIL_ON, show_default=True, help="Figures and how much worse each may get.")
@click.option(
    "--noise", metavar="SHARE", default="3%", show_default=True, help="Between runs; assumed where a side has only one run."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@click.option(
    "--step-summary",
    metavar="FILE",
    envvar="GITHUB_STEP_SUMMARY",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="Add a summary in Markdown to this file.",
)
@click.option(
    "--annotate", is_flag=True, envvar="GITHUB_ACTIONS", show_envvar=True, help="Print GitHub's annotations, to standard error."
)
def compare(baseline: str, runs: tuple[Path, ...], **flags: Any) -> None:
    """
    Say whether RUN is worse than BASELINE: a name in reports/baselines, the folder of a run, or a file.

    Several runs are repeats of each other; two or more on both sides show how runs differ, and nothing has to be assumed.
    """
    from pytest_inferbench.objectives.tolerance import Tolerated, parse_fail_on, parse_noise  # noqa: PLC0415 - keeps --help fast
    from pytest_inferbench.records.baseline_files import find, measured, run_folder  # noqa: PLC0415 - as above
    from pytest_inferbench.records.baselines import baseline_of  # noqa: PLC0415 - as above

    try:
        tolerances, noise, root = parse_fail_on(flags["fail_on"]), parse_noise(flags["noise"]), Path()
        old = find(baseline, root=root)
        every = [each for run in runs for each in measured(run_folder(run))]
        new = baseline_of(every, name=", ".join(map(str, runs)))
        found = hold_against(old, new, Tolerated(usual=tolerances), noise=noise, root=root)
        _for_github(found, [each.record for each in every], summary=flags["step_summary"], annotate=flags["annotate"])
    except InferbenchError as error:
        raise click.UsageError(redact_text(str(error))) from error
    if flags["as_json"]:
        click.echo(json.dumps(compared_json(found), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _show(found)
    raise click.exceptions.Exit(found.exit_code)


def _for_github(found: Compared, records: Sequence[Record], *, summary: Path | None, annotate: bool) -> None:
    from pytest_inferbench.reporting.ci_summary import github_annotations, step_summary, write_step_summary  # noqa: PLC0415 - as above

    if summary is not None:
        write_step_summary(summary, step_summary(records, found.comparisons, baseline=found.baseline, notes=found.notes))
    for line in github_annotations(records, found.comparisons) if annotate else ():
        click.echo(line, err=True)


def _show(found: Compared) -> None:
    from pytest_inferbench.reporting.comparison_table import comparison_lines, outcome_line  # noqa: PLC0415 - as above
    from pytest_inferbench.reporting.figures import printable  # noqa: PLC0415 - as above

    colours = {"red": "red", "green": "green", "yellow": "yellow"}
    for line in comparison_lines(found.comparisons):
        click.echo(
            "".join(
                click.style(text, fg=next((colours[each] for each in marks if each in colours), None)) for text, marks in line
            )
        )
    for note in found.notes:
        click.echo(f"note: {printable(redact_text(note))}")
    click.echo(f"{outcome_line(found.comparisons)}; baseline {printable(found.baseline)}")


def _json(found: Comparison) -> dict[str, Any]:
    def plain(value: float) -> float | None:
        return value if isfinite(value) else None

    return {
        "case": found.case_id,
        "figure": found.tolerance.name,
        "unit": found.tolerance.definition.unit,
        "tolerated": found.tolerance.amount_text,
        "change": found.change.value,
        "old": plain(found.old),
        "new": plain(found.new),
        "effect": plain(found.effect),
        "effect_low": plain(found.low),
        "effect_high": plain(found.high),
        "p_adjusted": plain(found.p),
        "runs": list(found.runs),
        "reason": redact_text(found.reason),
        "waived": redact_text(found.waived) or None,
    }
