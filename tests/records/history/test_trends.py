from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.history import store, trends
from pytest_inferbench.records.history.database import reading
from pytest_inferbench.records.history.filters import Filter, figure_column
from pytest_inferbench.records.history.trends import FlakyLine, Trend
from pytest_inferbench.records.record import Record
from tests.records.history.example_runs import EIGHT, FOUR, broken_of, fill, record_of, rows_from

TTFT = figure_column("ttft_p50")


def trends_of(url: str, filter_: Filter | None = None, *, newest: int = 99) -> list[Trend]:
    with reading(url) as connection:
        return trends.trends(connection, TTFT, filter_ or Filter(), newest=newest)


def flaky(url: str) -> list[FlakyLine]:
    with reading(url) as connection:
        return trends.flakiest(connection, Filter(), limit=9)


def invalid(record: Record) -> Record:
    return replace(record, verdict=replace(record.verdict, outlook=Outlook.INVALID))


def test_a_trend_has_the_figures_of_a_case_oldest_first(url: str) -> None:
    fill(url, days=3, ttft_ms=[100, 300, 450])
    four, eight = sorted(trends_of(url), key=lambda each: each.case)
    assert (four.case, four.values, four.unit) == (FOUR.id, (100.0, 300.0, 450.0), "ms")
    assert eight.case == EIGHT.id
    point = four.points[1]
    assert (point.run_id, point.started_at, point.commit, point.verdict) == ("run-2", "2026-11-02T06:00:00Z", "commit2", "pass")


def test_the_last_one_is_held_against_the_median_of_those_before(url: str) -> None:
    fill(url, days=4, ttft_ms=[100, 100, 400, 150])
    found = trends_of(url)[0]
    assert found.before == 100.0
    assert found.change_percent == pytest.approx(50.0)


def test_one_result_has_nothing_to_compare_with(url: str) -> None:
    fill(url, days=1)
    found = trends_of(url)[0]
    assert (found.before, found.change_percent) == (None, None)


def test_only_the_newest_are_looked_at(url: str) -> None:
    fill(url, days=5)
    assert [point.run_id for point in trends_of(url, newest=2)[0].points] == ["run-4", "run-5"]


def test_filters_hold_before_the_newest_are_taken(url: str) -> None:
    fill(url, days=3)
    store.keep(url, rows_from([record_of(FOUR, "other", day=9)], branch="side"))
    found = trends_of(url, Filter(where=(("branch", "main"),), words=("c4",)), newest=1)
    assert [point.run_id for each in found for point in each.points] == ["run-3"]


def test_what_is_invalid_or_broke_has_no_figure_and_is_counted(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "a", day=0)]))
    store.keep(url, rows_from([invalid(record_of(FOUR, "b", day=1, ttft_ms=1))]))
    store.keep(url, rows_from([broken_of(FOUR, "c", day=2)]))
    (found,) = trends_of(url)
    assert [point.value for point in found.points] == [100.0, None, None]
    assert found.values == (100.0,)


def test_a_case_that_moved_to_another_suite_goes_on(url: str) -> None:
    store.keep(url, rows_from([record_of(FOUR, "a", day=0, ttft_ms=1)]))
    store.keep(url, rows_from([record_of(replace(FOUR, suite="other"), "b", day=1, ttft_ms=2)]))
    (found,) = trends_of(url)
    assert found.values == (1.0, 2.0)


def test_the_slowest_have_the_worst_medians(url: str) -> None:
    for day, (four, eight) in enumerate([(100, 50), (300, 450), (200, 60)]):
        run = [record_of(FOUR, f"run-{day}", day=day, ttft_ms=four), record_of(EIGHT, f"run-{day}", day=day, ttft_ms=eight)]
        store.keep(url, rows_from(run))
    first, second = trends.slowest(trends_of(url), TTFT, limit=9)
    assert (first.case, first.median, first.worst, first.last, first.results) == (FOUR.id, 200.0, 300.0, 200.0, 3)
    assert (second.case, second.median, second.worst) == (EIGHT.id, 60.0, 450.0)
    assert len(trends.slowest(trends_of(url), TTFT, limit=1)) == 1


def test_where_more_is_better_the_smallest_are_the_slowest(url: str) -> None:
    throughput = figure_column("output_throughput")
    store.keep(url, rows_from([record_of(FOUR, "a", ttft_ms=900), record_of(EIGHT, "a", ttft_ms=1)]))
    with reading(url) as connection:
        found = trends.slowest(trends.trends(connection, throughput, Filter(), newest=9), throughput, limit=9)
    assert [line.case for line in found] == [FOUR.id, EIGHT.id]
    assert found[0].median < found[1].median


def test_cases_without_a_figure_are_not_among_the_slowest(url: str) -> None:
    store.keep(url, rows_from([broken_of(FOUR, "a")]))
    assert trends.slowest(trends_of(url), TTFT, limit=9) == []


def keep_verdicts(url: str, verdicts: str, *, commit: str = "one", **facts: str | bool | None) -> None:
    """A run a day of one case: p for a pass, f for a fail, b for one that broke."""
    made = {"p": lambda run, day: record_of(FOUR, run, day=day), "f": lambda run, day: record_of(FOUR, run, day=day, ttft_ms=900)}
    made["b"] = lambda run, day: broken_of(FOUR, run, day=day)
    for day, verdict in enumerate(verdicts):
        store.keep(url, rows_from([made[verdict](f"{commit}-{day}", day)], commit=commit, **facts))


def test_verdicts_that_change_within_one_commit_are_flaky(url: str) -> None:
    keep_verdicts(url, "pfppp")
    (line,) = flaky(url)
    assert (line.case, line.commit, line.results, line.changes, line.changes_percent) == (FOUR.id, "one", 5, 2, 50.0)
    assert (line.verdicts, line.last_started_at) == ("4 pass, 1 fail", "2026-11-05T06:00:00Z")


def test_a_verdict_that_changes_with_the_commit_is_not(url: str) -> None:
    keep_verdicts(url, "ppp", commit="one")
    keep_verdicts(url, "fff", commit="two")
    assert flaky(url) == []


def test_a_server_that_sometimes_does_not_come_up_is_flaky(url: str) -> None:
    keep_verdicts(url, "pbp")
    (line,) = flaky(url)
    assert line.changes == 2


def test_another_version_of_the_engine_is_another_matter(url: str) -> None:
    for i, (version, value) in enumerate([("b1", 100), ("b2", 900), ("b1", 100), ("b2", 900)]):
        record = record_of(FOUR, f"run-{i}", day=i, ttft_ms=value)
        assert record.served is not None
        store.keep(url, rows_from([replace(record, served=replace(record.served, engine_version=version))]))
    assert flaky(url) == []


def test_the_flakiest_come_first(url: str) -> None:
    keep_verdicts(url, "ppppf", commit="calm")
    keep_verdicts(url, "pfpf", commit="wild")
    assert [line.commit for line in flaky(url)] == ["wild", "calm"]
