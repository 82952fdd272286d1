from __future__ import annotations

from pathlib import Path

import pytest

from pytest_inferbench.attempt import Attempt, record_of
from pytest_inferbench.errors import EngineDied, LoadError
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.run_directory import RunDirectory
from tests.records.example import CASE

RUN = RunDirectory(path=Path("reports/runs/r"), run_id="r")


def broken_by(fault: BaseException) -> Attempt:
    folder = RUN.path / "case"
    return Attempt(case=CASE, node_id="n", again="pytest n", folder=folder, objectives=(), fault=fault)


@pytest.mark.parametrize(
    ("fault", "outlook", "words"),
    [
        (EngineDied("it was killed by SIGKILL"), Outlook.FAIL, "it was killed by SIGKILL"),
        (LoadError("the plan is empty"), Outlook.INVALID, "the plan is empty"),
        (ZeroDivisionError("division by zero"), Outlook.INVALID, "ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), Outlook.INVALID, "interrupted; what was measured until then is kept"),
    ],
)
def test_a_fault_of_the_server_fails_and_one_of_ours_says_nothing_of_it(
    fault: BaseException, outlook: Outlook, words: str
) -> None:
    record = record_of(broken_by(fault), RUN)
    assert (record.verdict.outlook, record.verdict.reasons, record.error) == (outlook, (words,), words)
    assert (record.summary, record.audit, record.served, record.planned) == (None, None, None, None)


def test_its_folder_is_told_from_the_run() -> None:
    assert record_of(broken_by(LoadError("x")), RUN).folder == "case"
