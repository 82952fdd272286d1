from __future__ import annotations

import pandas as pd
import pytest

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.reporting.site.series import history_of
from tests.reporting.site.made_up import commit_of, made_up_history


def rows(**changed: list[object]) -> pd.DataFrame:
    """Two results of one case, the newer one first, with some columns otherwise."""
    columns: dict[str, list[object]] = {
        "case": ["a-c4", "a-c4"],
        "run_id": ["second", "first"],
        "started_at": ["2026-11-02T06:00:00+00:00", "2026-11-01T06:00:00+00:00"],
        "verdict": ["pass", "pass"],
        "simulated": [False, False],
        "machine": ["Some CPU, 8 cores", "Some CPU, 8 cores"],
        "branch": ["main", "main"],
        "ttft_ms_p50": [110.0, 100.0],
    }
    return pd.DataFrame({**columns, **changed})


def test_runs_and_the_results_of_a_series_are_in_the_order_of_time() -> None:
    history = history_of(rows())
    assert [run.id for run in history.runs] == ["first", "second"]
    (series,) = history.series
    assert (series.runs, list(series.figures["ttft_ms_p50"])) == ((0, 1), [100.0, 110.0])
    assert history.runs[0].started_at == "2026-11-01T06:00:00Z"


@pytest.mark.parametrize(
    "unlike",
    [
        {"simulated": [True, False]},
        {"machine": ["Some CPU, 8 cores", "Another CPU, 64 cores"]},
        {"hardware": ["h100", "h200"]},
        {"clock": ["kernel", "userspace"]},
        {"traffic": ["D(32,16)", "D(64,16)"]},
    ],
)
def test_what_cannot_be_compared_is_never_in_one_series(unlike: dict[str, list[object]]) -> None:
    assert [len(each.runs) for each in history_of(rows(**unlike)).series] == [1, 1]


def test_engines_hosts_and_commits_may_differ_within_a_series() -> None:
    frame = rows(engine_version=["2", "1"], host=["ci-17", "ci-4"], commit=["b", "a"])
    (series,) = history_of(frame).series
    assert series.engines == ("1", "2")


def test_a_machine_that_is_not_known_is_told_by_its_name() -> None:
    history = history_of(rows(machine=[pd.NA, None], host=["one", "other"]))
    assert [each.axes["machine"] for each in history.series] == ["other", "one"] or {
        each.axes["machine"] for each in history.series
    } == {"one", "other"}


def test_a_series_keeps_its_name_as_the_history_grows() -> None:
    old, new = history_of(made_up_history(4)), history_of(made_up_history(9))
    assert {each.id for each in old.series} <= {each.id for each in new.series}
    assert len({each.id for each in new.series}) == len(new.series)


def test_times_are_utc_whatever_they_were_written_in() -> None:
    frame = rows(started_at=["2026-11-01T01:00:00+02:00", pd.Timestamp("2026-11-01T06:00:00", tz="UTC")])
    assert [(run.id, run.started_at) for run in history_of(frame).runs] == [
        ("second", "2026-10-31T23:00:00Z"),
        ("first", "2026-11-01T06:00:00Z"),
    ]


def test_the_trunk_is_the_branch_with_most_runs() -> None:
    history = history_of(made_up_history(20))
    assert history.trunk == "main"
    assert {run.branch for run in history.runs} == {"main", "prefix-cache"}
    assert history.runs[3].commit == commit_of(3)


def test_texts_are_shown_without_secrets_and_escapes() -> None:
    frame = rows(error=["curl -H 'Authorization: Bearer abcdef0123456789' failed\x1b[31m\u202e", None])
    (series,) = history_of(frame).series
    assert "abcdef0123456789" not in series.errors[1]
    assert series.errors[1].endswith("failed")
    assert series.errors[0] == ""


def test_missing_values_of_every_kind_are_nothing() -> None:
    frame = rows(rate=[float("nan"), float("nan")], tp=list(pd.array([pd.NA, 4], dtype="Int64")), engine_version=[pd.NA, None])
    (series,) = history_of(frame).series
    assert (series.axes["rate"], series.axes["tp"], series.engines) == ("", "", ("", ""))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"case": []}), "the history has no column run_id, started_at, verdict, simulated"),
        (rows().iloc[:0], "the history is empty: run pytest with a suite first, or name another database with --store"),
        (rows(started_at=["yesterday", "yesterday"]), "a row that started at 'yesterday', which is no time"),
    ],
)
def test_what_is_no_history_is_refused(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        history_of(frame)
