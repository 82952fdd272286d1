"""
The regression gate of a session: what it is held against, and what came of it.

Rule: a baseline is read before anything starts, so that a wrong name costs no GPU time; what is decided stands in
`objectives.gates`, and how it is shown in `reporting`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.junitxml import xml_key

from pytest_inferbench.compare_command import FAIL_ON, NO_REGRESSION, REGRESSION, Compared, compared_json, hold_against
from pytest_inferbench.errors import ConfigError

if TYPE_CHECKING:
    from pytest_inferbench.objectives.gates import Comparison
    from pytest_inferbench.objectives.tolerance import Tolerance
    from pytest_inferbench.options import Options
    from pytest_inferbench.records.baselines import Baseline
    from pytest_inferbench.records.record import Record

COMPARISON_FILE = "comparison.json"
_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_ACTIONS_VARIABLE = "GITHUB_ACTIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    What the cases of a session are held against.

    Attributes:
        baseline: the figures of before.
        tolerances: how much worse each figure may get, whatever the suites say; None: as they say, else `FAIL_ON`.
        noise: between runs, as a share, where it has to be assumed.
        root: where ``reports/baselines`` lies, and its waivers.
    """

    baseline: Baseline
    tolerances: tuple[Tolerance, ...] | None
    noise: float
    root: Path


def gate_of(options: Options, *, root: Path) -> Gate | None:
    """
    The gate that was asked for; None where none was.

    Raises:
        ConfigError: there is no such baseline, or what it is compared by cannot be read; names the option.
        RecordError: the run to compare with cannot be read.
    """
    if options.compare is None:
        return None
    from pytest_inferbench.objectives.tolerance import parse_fail_on, parse_noise  # noqa: PLC0415 - few sessions compare
    from pytest_inferbench.records.baseline_files import find  # noqa: PLC0415 - as above

    try:
        baseline = find(options.compare, root=root)
    except ConfigError as error:
        raise ConfigError(error.problem, field="--inferbench-compare") from error
    tolerances = None if options.fail_on is None else parse_fail_on(options.fail_on)
    return Gate(baseline=baseline, tolerances=tolerances, noise=parse_noise(options.noise), root=root)


def held(gate: Gate, records: Sequence[Record], run_dir: Path) -> Compared:
    """
    Hold the records of a run against the baseline, and write ``comparison.json`` into its folder.

    Raises:
        ConfigError: a suite's tolerances, or the file of waivers, are wrong; or the baseline is this run.
        RecordError: a record's requests cannot be read, or the file cannot be written.
    """
    from pytest_inferbench.objectives.tolerance import Tolerated, parse_fail_on  # noqa: PLC0415 - few sessions compare
    from pytest_inferbench.records.baseline_files import measured_of  # noqa: PLC0415 - as above
    from pytest_inferbench.records.baselines import baseline_of  # noqa: PLC0415 - as above
    from pytest_inferbench.records.files import write_json  # noqa: PLC0415 - as above

    new = baseline_of(measured_of(records, run_dir), name=records[0].run_id if records else "this run")
    usual = gate.tolerances or parse_fail_on(FAIL_ON)
    own: Mapping[str, tuple[Tolerance, ...]] = {}
    if gate.tolerances is None:
        own = {each.case.base_id: _own(each) for each in records if each.case.fail_on}
    found = hold_against(gate.baseline, new, Tolerated(usual=usual, own=own), noise=gate.noise, root=gate.root)
    write_json(run_dir / COMPARISON_FILE, compared_json(found))
    return found


def misses(found: Compared, *, inconclusive: str) -> bool:
    """Whether a session fails for it: by a regression that counts, and by what cannot be told unless that may be."""
    return found.exit_code == REGRESSION or (found.exit_code != NO_REGRESSION and inconclusive == "fail")


def tell_junit(config: pytest.Config, found: Compared) -> None:
    """Add each comparison to the properties of JUnit's suite, under the id of its case."""
    from pytest_inferbench.reporting.ci_summary import comparison_properties  # noqa: PLC0415 - few sessions compare

    file = config.stash.get(xml_key, None)
    if file is None:
        return
    by_case: dict[str, list[Comparison]] = {}
    for each in found.comparisons:
        by_case.setdefault(each.case_id, []).append(each)
    for case_id, comparisons in by_case.items():
        for name, value in comparison_properties(comparisons):
            file.add_global_property(f"{case_id}.{name}", value)


def tell_github(records: Sequence[Record], found: Compared | None) -> list[str]:
    """
    Add a summary to that of the step where GitHub names a file for it, and return the lines that annotate the code.

    Raises:
        RecordError: the summary could not be written.
    """
    summary, annotate = os.environ.get(_SUMMARY_VARIABLE), os.environ.get(_ACTIONS_VARIABLE)
    if not records or not (summary or annotate):
        return []
    from pytest_inferbench.reporting.ci_summary import github_annotations, step_summary, write_step_summary  # noqa: PLC0415 - as above

    comparisons, notes = ((), ()) if found is None else (found.comparisons, found.notes)
    if summary:
        text = step_summary(records, comparisons, baseline="" if found is None else found.baseline, notes=notes)
        write_step_summary(Path(summary), text)
    return github_annotations(records, comparisons) if annotate else []


def _own(record: Record) -> tuple[Tolerance, ...]:
    from pytest_inferbench.objectives.tolerance import tolerances_of  # noqa: PLC0415 - few sessions compare

    origin = record.case.origin
    return tolerances_of(record.case.fail_on, file=origin.file if origin else None)
