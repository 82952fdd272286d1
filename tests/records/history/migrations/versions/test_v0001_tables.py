from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from pytest_inferbench.records.history.database import upgrade
from pytest_inferbench.records.history.schema import METADATA


def test_it_makes_the_tables_of_a_history(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'h.sqlite'}")
    with engine.begin() as connection:
        upgrade(connection, "0001")
    found = sa.inspect(engine).get_table_names()
    assert sorted(found) == sorted([*METADATA.tables, "inferbench_figures", "inferbench_version"])
    engine.dispose()
