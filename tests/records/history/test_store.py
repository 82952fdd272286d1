from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.database import reading
from pytest_inferbench.records.history.schema import CONDITIONS, FIGURES, RESULTS, SERIES
from tests.records.history.example_runs import FOUR, fill, record_of, rows_from
from tests.records.history.store_checks import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_in_sqlite(check: Callable[[str], None], url: str) -> None:
    check(url)


def test_what_results_share_is_kept_once(url: str) -> None:
    fill(url, days=5)
    with reading(url) as connection:
        counts = [connection.execute(sa.select(sa.func.count()).select_from(each)).scalar() for each in (SERIES, CONDITIONS)]
    assert counts == [2, 2]


def test_nothing_is_left_of_a_run_that_is_forgotten(url: str) -> None:
    fill(url, days=1)
    store.forget(url, ["run-1"])
    with reading(url) as connection:
        tables = (RESULTS, sa.table(FIGURES))
        counts = [connection.execute(sa.select(sa.func.count()).select_from(each)).scalar() for each in tables]
    assert counts == [0, 0]


def test_a_run_of_many_cases_is_kept_whole(url: str) -> None:
    run = rows_from([record_of(FOUR, "run-1")])
    many = [replace(run.results[0], place=f"place-{i}") for i in range(1_200)]
    store.keep(url, replace(run, results=many))
    assert _results(url) == 1_200
    store.keep(url, replace(run, results=many[:3], written_us=run.written_us + 1))
    assert _results(url) == 3


def _results(url: str) -> int | None:
    with reading(url) as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(RESULTS)).scalar()
