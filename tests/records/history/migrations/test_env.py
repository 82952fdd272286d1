from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from pytest_inferbench.records.history.database import upgrade
from pytest_inferbench.records.history.schema import VERSION_TABLE


def test_revisions_run_in_the_transaction_of_the_caller_and_go_with_it(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'h.sqlite'}")

    @sa.event.listens_for(engine, "connect")
    def _own_transactions(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3's connection

    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with engine.connect() as connection:
        upgrade(connection, "head")
        assert sa.inspect(connection).has_table(VERSION_TABLE)
        connection.rollback()
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
