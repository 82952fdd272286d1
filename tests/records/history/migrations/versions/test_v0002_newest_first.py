from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from pytest_inferbench.records.history import store
from pytest_inferbench.records.history.database import reading, upgrade
from pytest_inferbench.records.history.frames import load_history
from tests.records.history.example_runs import FOUR, record_of, rows_from, sqlite_in

_OLD = """
INSERT INTO inferbench_runs (id, run_id, started_us, branch, written_us) VALUES (1, 'old-run', 1000000, 'main', 1000000);
INSERT INTO inferbench_series (id, digest, case_id, simulated, suite, tp) VALUES (1, 'a', 'some-case', 0, 'cpu', 1);
INSERT INTO inferbench_conditions (id, digest, engine_version) VALUES (1, 'b', 'b7010');
INSERT INTO inferbench_results (id, run, series, conditions, place, digest, node_id, folder, started_us, verdict)
    VALUES (1, 1, 1, 1, 'some-case', 'c', 'a::some-case', 'some-case', 1000000, 'pass');
ALTER TABLE inferbench_figures ADD COLUMN ttft_ms_p50 DOUBLE;
INSERT INTO inferbench_figures (result_id, ttft_ms_p50) VALUES (1, 12.5);
"""


def _old_history(tmp_path: Path) -> str:
    """A history as the first version left it, with a result."""
    engine = sa.create_engine(sqlite_in(tmp_path))
    with engine.begin() as connection:
        upgrade(connection, "0001")
    engine.dispose()
    with sqlite3.connect(tmp_path / "history.sqlite") as raw:
        raw.executescript(_OLD)
    raw.close()
    return sqlite_in(tmp_path)


def test_a_history_of_the_first_revision_is_brought_up_with_what_is_in_it(tmp_path: Path) -> None:
    url = _old_history(tmp_path)
    store.keep(url, rows_from([record_of(FOUR, "new-run")]))
    found = load_history(url)
    assert list(found["run_id"]) == ["old-run", "new-run"]
    assert list(found["ttft_ms_p50"]) == [12.5, 100.0]
    assert list(found["engine_version"]) == ["b7010", "b7010"]


def test_reading_alone_brings_it_up_too(tmp_path: Path) -> None:
    url = _old_history(tmp_path)
    assert list(load_history(url)["ttft_ms_p50"]) == [12.5]
    with reading(url) as connection:
        found = {each["name"] for each in sa.inspect(connection).get_indexes("inferbench_runs")}
    assert "inferbench_runs_by_start" in found
