from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pytest_inferbench.records.history import database
from pytest_inferbench.records.history.schema import METADATA, REVISION, VERSION_TABLE, figures_table


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_the_tables_are_those_of_the_newest_revision() -> None:
    assert _script().get_heads() == [REVISION]


def test_revisions_sort_by_their_names_so_that_a_newer_one_is_known_as_such() -> None:
    found = [each.revision for each in _script().walk_revisions("base", "heads")]
    assert found == sorted(found, reverse=True)
    assert len(found) == 2


def test_the_revisions_lead_to_the_tables_of_now(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'h.sqlite'}")
    with engine.begin() as connection:
        database.upgrade(connection, "head")
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        figures_table(()).to_metadata(METADATA)
        try:
            assert compare_metadata(context, METADATA) == []
        finally:
            METADATA.remove(METADATA.tables["inferbench_figures"])
    engine.dispose()
