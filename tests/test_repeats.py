"""Cases that are measured several times."""

from __future__ import annotations

import pytest

from pytest_inferbench.repeats import repeated
from tests.records.example import example_record

CASES = (example_record().case,)


def test_once_is_the_case_itself() -> None:
    assert repeated(CASES, 1, restart=False) == CASES


def test_all_cases_come_once_before_any_comes_again() -> None:
    (case,) = CASES
    found = repeated((case, case), 2, restart=False)
    assert [each.id for each in found] == [f"{case.id}-rep1", f"{case.id}-rep1", f"{case.id}-rep2", f"{case.id}-rep2"]
    assert {each.base_id for each in found} == {case.id}
    assert {each.server_key for each in found} == {case.server_key}


@pytest.mark.parametrize("times", [1, 3])
def test_a_restart_asks_for_a_server_that_answered_nobody(times: int) -> None:
    found = repeated(CASES, times, restart=True)
    assert all(each.fresh_server for each in found)
    assert len({each.id for each in found}) == times
