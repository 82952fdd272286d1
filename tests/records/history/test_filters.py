from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.objectives.tolerance import FIGURES
from pytest_inferbench.records.history import filters, store
from pytest_inferbench.records.history.database import reading
from pytest_inferbench.records.history.filters import Filter, figure_column, finite, parse_filter, why_nothing
from pytest_inferbench.records.history.queries import run_lines
from pytest_inferbench.records.history.rows import figure_columns, microseconds
from tests.records.history.example_runs import EIGHT, FIRST, FOUR, fill, record_of, rows_from, sqlite_in

DOCS = Path(__file__).parents[3] / "docs" / "history.md"
NOW = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)


def parsed(*where: str, words: str = "", since: str | None = None, branch: str | None = None) -> Filter:
    return parse_filter(where, words=words, since=since, branch=branch, now=NOW)


def runs_with(url: str, *where: str, words: str = "", since: str | None = None, branch: str | None = None) -> list[str]:
    with reading(url) as connection:
        found = run_lines(connection, parsed(*where, words=words, since=since, branch=branch), limit=99)
    return [line.run_id for line in found]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three runs of two cases, and one on another branch, host and day, that has only the first case; nobody writes it."""
    url = sqlite_in(tmp_path_factory.mktemp("filled"))
    fill(url, days=3)
    other = record_of(FOUR, "run-9", day=8, ttft_ms=900)
    store.keep(url, rows_from([other], branch="100%_sure", host=None, commit="beef"))
    return url


EVERY = ["run-9", "run-3", "run-2", "run-1"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((), EVERY),
        (("hardware=h100",), EVERY[1:]),
        (("hardware=H100", "tp=1"), EVERY[1:]),
        (("hardware=h100", "verdict=fail"), []),
        (("verdict=fail",), ["run-9"]),
        (("concurrency=8",), EVERY[1:]),
        (("rate=none",), EVERY),
        (("simulated=no",), EVERY),
        (("simulated=true",), []),
        (("commit=commit*",), EVERY[1:]),
        (("commit=commit",), []),
        (("case=*-c8",), EVERY[1:]),
        (("machine=some cpu*",), EVERY),
        (("engine_version=b7010",), EVERY),
        (("branch=100%_sure",), ["run-9"]),
        (("branch=100xysure",), []),
        (("host=none",), ["run-9"]),
        (("run_id=run-2",), ["run-2"]),
    ],
)
def test_runs_are_found_by_any_axis(filled: str, where: tuple[str, ...], expected: list[str]) -> None:
    assert runs_with(filled, *where) == expected


def test_words_are_all_in_the_id_whatever_their_case(filled: str) -> None:
    assert runs_with(filled, words="LLAMACPP c8") == EVERY[1:]
    assert runs_with(filled, words="c8 nowhere") == []
    assert runs_with(filled, words="%") == []


def test_branch_and_time_narrow_it_down(filled: str) -> None:
    assert runs_with(filled, branch="main") == EVERY[1:]
    assert runs_with(filled, since="2026-11-03") == ["run-9", "run-3"]
    assert runs_with(filled, since="2d") == ["run-9"]
    assert runs_with(filled, since="1h") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("36h", NOW - timedelta(hours=36)),
        ("2 w", NOW - timedelta(weeks=2)),
        ("30min", NOW - timedelta(minutes=30)),
        ("2026-11-01", FIRST.replace(hour=0)),
        ("2026-11-01T06:00:00+02:00", FIRST - timedelta(hours=2)),
    ],
)
def test_a_time_is_how_long_ago_or_a_date(text: str, expected: datetime) -> None:
    assert parsed(since=text).since_us == microseconds(expected)


@pytest.mark.parametrize("text", ["yesterday", "", "7", "7y", "999999w", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    words = f"--since: {text!r} is no time; write how long ago (36h, 7d, 2w) or a date such as 2026-11-01"
    with pytest.raises(ConfigError, match=re.escape(words)):
        parsed(since=text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("h100", "--where: 'h100' is no filter; write a field and a value, such as model=llama* or tp=8"),
        ("model=", "--where: 'model=' is no filter"),
        ("modell=x", "--where: 'modell' is no field; did you mean model?"),
        ("zzz=x", "--where: 'zzz' is no field; fields: case, suite, hardware, engine, model"),
        ("tp=two", "--where: tp is a number, and not 'two'"),
        ("simulated=maybe", "--where: simulated is true or false, and not 'maybe'"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_would_be_one(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        parsed(text)


def test_a_value_may_hold_anything(filled: str) -> None:
    assert runs_with(filled, "traffic=D(128,64)") == EVERY
    assert runs_with(filled, "model='; DROP TABLE inferbench_runs; --") == []


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_objectives_has_its_column(name: str) -> None:
    found = figure_column(name)
    assert (found.name, found.column in figure_columns()) == (name, True)
    assert figure_column(found.column) == found


def test_a_figure_says_its_unit_and_which_direction_is_better() -> None:
    found = [figure_column(name) for name in ("ttft_p99", "output_throughput", "error_rate", "attempted", "wall_s")]
    assert [each.unit for each in found] == ["ms", "tok/s", "1", "requests", "s"]
    assert [each.smaller_is_better for each in found] == [True, False, True, None, None]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ttfp_p99", "'ttfp_p99' is no figure of the history; did you mean ttft_p99 or"),
        ("qqq", "'qqq' is no figure of the history; such as ttft_p99, tpot_p50, output_throughput or wall_s"),
    ],
)
def test_what_is_no_figure_is_refused_and_the_nearest_named(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        figure_column(name)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (parsed("model=foo"), "no result has model=foo; there are: smollm2-135m"),
        (parsed("hardware=h200"), "no result has hardware=h200; there are: cpu, h100"),
        (parsed("host=x"), "no result has host=x; there are: "),
        (parsed(words="zzz c4"), "no case has 'zzz' and 'c4' in its id; inferbench history show latest shows some"),
        (parsed("hardware=h100", since="1h"), "no result matches --where hardware=h100 --since; leave a part of it out"),
        (parsed(since="1h"), "no result matches --since; leave a part of it out"),
    ],
)
def test_where_nothing_is_found_it_says_what_there_is(filled: str, asked: Filter, words: str) -> None:
    with reading(filled) as connection:
        assert why_nothing(connection, asked).startswith(words)


def test_an_empty_history_says_how_to_fill_it(url: str) -> None:
    store.forget(url, [])
    with reading(url) as connection:
        told = why_nothing(connection, Filter())
    assert told == "the history holds no run yet: run a suite, or bring runs in with inferbench history import RUN"


def test_many_values_are_cut_short(url: str) -> None:
    for i in range(12):
        store.keep(url, rows_from([record_of(EIGHT, f"run-{i}")], host=f"host-{i:02d}"))
    with reading(url) as connection:
        told = why_nothing(connection, parsed("host=x"))
    assert told.endswith("host-08, host-09, ...")


@pytest.mark.parametrize("field", filters._FIELDS)
def test_the_documentation_names_every_field(field: str) -> None:
    assert f"`{field}`" in DOCS.read_text()


@given(st.floats())
def test_only_numbers_can_be_computed_with(value: float) -> None:
    assert finite(value) == (value if abs(value) < float("inf") else None)
    assert finite(None) is None
