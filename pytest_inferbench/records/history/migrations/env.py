"""What alembic runs: the revisions, in the transaction of the connection that `database` hands over."""

from __future__ import annotations

from alembic import context

from pytest_inferbench.records.history.schema import METADATA, VERSION_TABLE


def migrate() -> None:
    """Run the revisions that are asked for; who opened the transaction commits it, with the lock it holds."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    context.run_migrations()


migrate()
