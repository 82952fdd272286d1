"""An index for the newest runs, and a place for columns of ``results.csv`` that are neither figures nor known here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; results that are there have no such columns."""
    op.create_index("inferbench_runs_by_start", "inferbench_runs", ["started_us"])
    op.add_column("inferbench_results", sa.Column("more", sa.Text))
