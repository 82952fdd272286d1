"""The first tables: runs, what was measured under which conditions, results and their figures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out, and not taken from the schema of now: a revision never changes.
_CONDITIONS = (
    "hardware", "machine", "model", "tensor_parallel", "traffic", "load", "api", "client", "clock", "simulated", "driver",
    "engine", "engine_version", "image", "image_digest", "revision",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables."""
    _runs()
    _series()
    op.create_table(
        "inferbench_conditions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(32), nullable=False, unique=True),
        *(sa.Column(name, sa.Text) for name in _CONDITIONS),
    )
    _results()
    op.create_table(
        "inferbench_figures",
        sa.Column("result_id", sa.Integer, sa.ForeignKey("inferbench_results.id", ondelete="CASCADE"), primary_key=True),
    )


def _runs() -> None:
    op.create_table(
        "inferbench_runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False, unique=True),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("commit_hash", sa.Text),
        sa.Column("branch", sa.Text),
        sa.Column("dirty", sa.Boolean),
        sa.Column("host", sa.Text),
        sa.Column("plugin_version", sa.Text),
        sa.Column("command", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.Column("written_us", sa.BigInteger, nullable=False),
    )


def _series() -> None:
    op.create_table(
        "inferbench_series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(32), nullable=False, unique=True),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("suite", "hardware", "engine", "model", "traffic", "cache", "api", "sweep")),
        *(sa.Column(name, sa.Integer) for name in ("tp", "concurrency")),
        *(sa.Column(name, sa.Double) for name in ("rate", "time_scale")),
    )
    op.create_index("inferbench_series_of_case", "inferbench_series", ["case_id"])


def _results() -> None:
    op.create_table(
        "inferbench_results",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.Integer, sa.ForeignKey("inferbench_runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("series", sa.Integer, sa.ForeignKey("inferbench_series.id"), nullable=False),
        sa.Column("conditions", sa.Integer, sa.ForeignKey("inferbench_conditions.id"), nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("node_id", sa.Text, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("missed", "reasons", "error", "judgements")),
        sa.UniqueConstraint("run", "place", name="inferbench_one_result_a_place"),
    )
    op.create_index("inferbench_results_of_series", "inferbench_results", ["series", "started_us"])
