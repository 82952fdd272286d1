"""
The tables of a history, as they are now; how they came to be stands in ``migrations``.

Rule: a run has results, a result has a row of figures, and what results share (the place in the matrix, the conditions) is kept
once. Instants are whole microseconds since the epoch, which every database can order and no time zone can move.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from pytest_inferbench.records.baselines import Fingerprint

REVISION = "0002"
"""The revision that these tables are; the newest one in ``migrations``."""
VERSION_TABLE = "inferbench_version"
FIGURES = "inferbench_figures"
CONDITIONS_NAMES = tuple(each.name for each in fields(Fingerprint))
AXES_TEXTS = ("suite", "hardware", "engine", "model", "traffic", "cache", "api", "sweep")
AXES_WHOLE = ("tp", "concurrency")
AXES_NUMBERS = ("rate", "time_scale")
METADATA = MetaData()

RUNS = Table(
    "inferbench_runs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("started_us", BigInteger, nullable=False),
    Column("commit_hash", Text),
    Column("branch", Text),
    Column("dirty", Boolean),
    Column("host", Text),
    Column("plugin_version", Text),
    Column("command", Text),
    Column("exit_code", Integer),
    Column("written_us", BigInteger, nullable=False),
    Index("inferbench_runs_by_start", "started_us"),
)
SERIES = Table(
    "inferbench_series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(32), nullable=False, unique=True),
    Column("case_id", Text, nullable=False),
    Column("simulated", Boolean, nullable=False),
    *(Column(name, Text) for name in AXES_TEXTS),
    *(Column(name, Integer) for name in AXES_WHOLE),
    *(Column(name, Double) for name in AXES_NUMBERS),
    Index("inferbench_series_of_case", "case_id"),
)
CONDITIONS = Table(
    "inferbench_conditions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(32), nullable=False, unique=True),
    *(Column(name, Text) for name in CONDITIONS_NAMES),
)
RESULTS = Table(
    "inferbench_results",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, ForeignKey("inferbench_runs.id", ondelete="CASCADE"), nullable=False),
    Column("series", Integer, ForeignKey("inferbench_series.id"), nullable=False),
    Column("conditions", Integer, ForeignKey("inferbench_conditions.id"), nullable=False),
    Column("place", Text, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("node_id", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False),
    *(Column(name, Text) for name in ("missed", "reasons", "error", "judgements", "more")),
    UniqueConstraint("run", "place", name="inferbench_one_result_a_place"),
    Index("inferbench_results_of_series", "series", "started_us"),
)


def figures_table(names: Iterable[str]) -> Table:
    """
    The table of figures with a column for each of ``names``.

    A column a figure, since most questions are about one figure of many results. No revision lists them: `database` adds the
    columns of figures that are new, which changes nothing that is there.
    """
    key = Column("result_id", Integer, ForeignKey(RESULTS.c.id, ondelete="CASCADE"), primary_key=True)
    return Table(FIGURES, MetaData(), key, *(Column(name, Double) for name in names))
