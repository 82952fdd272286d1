"""
Runs in the database: kept, and forgotten.

Rule: keeping is idempotent. The same run again changes nothing, a result that changed takes the place of the old one, and rows
that were made earlier never replace later ones, in whatever order they arrive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pytest_inferbench.records.codec import encode
from pytest_inferbench.records.history.database import columns_of, writing
from pytest_inferbench.records.history.rows import ResultRow, RunRows, digest_of
from pytest_inferbench.records.history.schema import CONDITIONS, FIGURES, RESULTS, RUNS, SERIES, figures_table

_AT_ONCE = 500


def keep(url: str, rows: RunRows) -> None:
    """
    Bring a run into the history.

    Raises:
        ConfigError: the driver is missing, or the URL is wrong.
        RecordError: the database cannot be reached or written, or a newer version has written it.
    """
    writing(url, lambda connection: write_run(connection, rows))


def forget(url: str, run_ids: Sequence[str]) -> int:
    """
    Take runs out of the history; how many were there.

    Raises:
        ConfigError: the driver is missing, or the URL is wrong.
        RecordError: the database cannot be reached or written, or a newer version has written it.
    """
    return writing(url, lambda connection: _forget(connection, run_ids))


def write_run(connection: sa.Connection, rows: RunRows) -> None:
    """Bring a run into the history, in the transaction of a connection."""
    run = _run(connection, rows)
    if run is None:
        return
    before = {
        place: (digest, key)
        for place, digest, key in connection.execute(
            sa.select(RESULTS.c.place, RESULTS.c.digest, RESULTS.c.id).where(RESULTS.c.run == run)
        )
    }
    digests = {row.place: row.digest for row in rows.results}
    _remove(connection, [key for place, (digest, key) in before.items() if digests.get(place) != digest])
    known = {place: digest for place, (digest, _) in before.items()}
    _add(connection, run, [(row, digests[row.place]) for row in rows.results if known.get(row.place) != digests[row.place]])


def _run(connection: sa.Connection, rows: RunRows) -> int | None:
    """The key of the run, whose row is locked from here on; None where newer rows of it are there."""
    facts = {name: _storable(value) for name, value in asdict(rows.facts).items()}
    facts["commit_hash"] = facts.pop("commit")
    values = {"run_id": rows.run_id, "started_us": rows.started_us, "written_us": rows.written_us, **facts}
    insert = _insert(connection)(RUNS).values(values)
    # What an import does not know, such as the host, stays as it was told by whoever did.
    kept = {name: sa.func.coalesce(insert.excluded[name], RUNS.c[name]) for name in facts}
    newer = {"started_us": insert.excluded.started_us, "written_us": insert.excluded.written_us, **kept}
    upsert = insert.on_conflict_do_update(
        index_elements=["run_id"], set_=newer, where=RUNS.c.written_us <= insert.excluded.written_us
    )
    return connection.execute(upsert.returning(RUNS.c.id)).scalar()


def _add(connection: sa.Connection, run: int, rows: Sequence[tuple[ResultRow, str]]) -> None:
    if not rows:
        return
    series = _keys(connection, SERIES, [row.series for row, _ in rows])
    conditions = _keys(connection, CONDITIONS, [row.conditions for row, _ in rows])
    columns = columns_of(connection)
    results = []
    figures = []
    for (row, digest), of_series, of_conditions in zip(rows, series, conditions, strict=True):
        # A figure that this version has no column for came from a newer one, through the spool.
        unknown = {name: repr(value) for name, value in row.figures.items() if name not in columns}
        more = json.dumps({**row.more, **unknown}) if row.more or unknown else None
        texts = {name: _storable(value) for name, value in row.texts.items()}
        results.append(
            {"run": run, "series": of_series, "conditions": of_conditions, "digest": digest, "started_us": row.started_us}
            | {"place": row.place, "judgements": json.dumps(row.judgements), "more": more, **texts}
        )
        figures.append({name: row.figures.get(name) for name in columns})
    insert = sa.insert(RESULTS).returning(RESULTS.c.id, sort_by_parameter_order=True)
    keys = connection.execute(insert, results).scalars().all()
    both = [{"result_id": key, **values} for key, values in zip(keys, figures, strict=True)]
    connection.execute(sa.insert(figures_table(columns)), both)


def _keys(connection: sa.Connection, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> list[int]:
    """The keys of what results share, in order; what is not there yet is added."""
    clean = [{name: _storable(each) for name, each in value.items()} for value in values]
    digests = [digest_of(encode(each)) for each in clean]
    by_digest = dict(zip(digests, clean, strict=True))
    known = _known(connection, table, by_digest)
    new = [{"digest": digest, **by_digest[digest]} for digest in sorted(by_digest) if digest not in known]
    if new:
        # In one order everywhere, so that two writers never wait for each other.
        connection.execute(_insert(connection)(table).on_conflict_do_nothing(index_elements=["digest"]), new)
        known |= _known(connection, table, [each["digest"] for each in new])
    return [known[digest] for digest in digests]


def _known(connection: sa.Connection, table: sa.Table, digests: Iterable[str]) -> dict[str, int]:
    wanted = list(digests)
    found: dict[str, int] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        some = table.c.digest.in_(wanted[first : first + _AT_ONCE])
        found |= dict(connection.execute(sa.select(table.c.digest, table.c.id).where(some)).all())
    return found


def _forget(connection: sa.Connection, run_ids: Sequence[str]) -> int:
    found = connection.execute(sa.select(RUNS.c.id).where(RUNS.c.run_id.in_(run_ids))).scalars().all()
    keys = connection.execute(sa.select(RESULTS.c.id).where(RESULTS.c.run.in_(found))).scalars().all()
    _remove(connection, keys)
    connection.execute(sa.delete(RUNS).where(RUNS.c.id.in_(found)))
    return len(found)


def _remove(connection: sa.Connection, keys: Sequence[int]) -> None:
    figures = sa.table(FIGURES, sa.column("result_id"))
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        connection.execute(sa.delete(figures).where(figures.c.result_id.in_(some)))
        connection.execute(sa.delete(RESULTS).where(RESULTS.c.id.in_(some)))


def _insert(connection: sa.Connection) -> Any:
    """INSERT with ON CONFLICT, which both databases have and spell alike."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _storable(value: Any) -> Any:
    """Text without what a database refuses: NUL (PostgreSQL), and halves of characters that UTF-8 has no bytes for."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
