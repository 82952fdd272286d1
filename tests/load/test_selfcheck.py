"""The client's figures about itself, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load import selfcheck
from pytest_inferbench.load.audit import Audit
from pytest_inferbench.load.decode import Decoded
from pytest_inferbench.load.selfcheck import WorkerCounts, audit_of, steal_ticks
from pytest_inferbench.load.trace import Outcome, Traces
from pytest_inferbench.load.wire import LAG_BUCKET_NS
from tests.load.cases import case_of
from tests.traces import MS, Row, lost, streamed, traces_of

CLOSED = case_of(requests=2)
OPEN = case_of(rate_per_s=10.0, requests=2)


def audited(traces: Traces, counts: WorkerCounts | None = None, *, case: Case = CLOSED, counted: int = 0) -> Audit:
    known = np.ones(len(traces), dtype=np.bool_)
    decoded = Decoded(
        measured=traces,
        warmup=traces_of([]),
        counted_by_server=counted,
        prompt_counted=known,
        cached_expected=np.zeros(len(traces), dtype=np.int64),
        connect_wait_ns=np.zeros(len(traces), dtype=np.int64),
    )
    return audit_of(case, decoded, counts or WorkerCounts(), token_source="tokenizer", steal=((10, 100), (30, 200)))


def test_what_a_worker_says_becomes_counts() -> None:
    said: dict[str, Any] = {"sent": 3, "done": 2, "reads": 9, "userspace_reads": 1, "resends": 1, "starved_ns": 4}
    said |= {"drift_ns": 5, "busy_s": 0.5, "wall_s": 2.0}
    assert WorkerCounts.of({"state": "progress", **said}) == WorkerCounts(**said)
    assert WorkerCounts.of({**said, "read_lag": {"0": 5, "7": 1}}).read_lag == {0: 5, 7: 1}


def test_counts_become_an_audit() -> None:
    counts = WorkerCounts(busy_s=0.5, wall_s=2.0, resends=3, starved_ns=4 * MS, drift_ns=2 * MS)
    audit = audited(traces_of([streamed()]), counts, counted=1)
    assert (audit.loop_busy_share, audit.resends, audit.starved_ms, audit.clock_drift_ms) == (0.25, 3, 4.0, 2.0)
    assert (audit.steal_share, audit.clock, audit.workers, audit.token_source) == (0.2, "kernel", 1, "tokenizer")
    assert (audit.usage_share, audit.rate_asked_per_s) == (1.0, None)


def test_counts_of_several_processes_are_those_of_one_load() -> None:
    one = WorkerCounts(sent=5, done=4, reads=40, userspace_reads=1, resends=2, starved_ns=7, drift_ns=3, busy_s=1.0, wall_s=4.0)
    other = WorkerCounts(sent=1, done=1, reads=2, resends=1, drift_ns=9, busy_s=1.5, wall_s=3.0, read_lag={0: 1, 6: 2})
    assert WorkerCounts.together([one]) == one
    assert WorkerCounts.together([replace(one, read_lag={0: 4, 5: 1}), other]) == WorkerCounts(
        sent=6,
        done=5,
        reads=42,
        userspace_reads=1,
        resends=3,
        starved_ns=7,
        drift_ns=9,
        busy_s=1.5,
        wall_s=3.0,
        workers=2,
        read_lag={0: 5, 5: 1, 6: 2},
    )


def test_the_audit_tells_the_busiest_of_several_processes() -> None:
    idle, busy = WorkerCounts(busy_s=0.1, wall_s=1.0), WorkerCounts(busy_s=0.7, wall_s=1.0)
    audit = audited(traces_of([streamed()]), WorkerCounts.together([idle, busy, idle]))
    assert (audit.loop_busy_share, audit.workers) == (0.7, 3)


def test_send_lag_is_that_of_an_open_loop_only() -> None:
    rows = [Row(intended_ns=0, sent_ns=i * MS) for i in range(101)]
    audit = audited(traces_of(rows, open_loop=True), case=OPEN)
    assert (audit.send_lag_ms_p50, audit.send_lag_ms_p99, audit.rate_asked_per_s) == (50.0, 99.0, 10.0)
    audit = audited(traces_of(rows))
    assert (audit.send_lag_ms_p50, audit.send_lag_ms_p99) == (0.0, 0.0)


def test_the_rate_of_conversations_is_that_of_all_their_turns() -> None:
    talking = replace(OPEN, traffic=replace(OPEN.traffic, turns=2))
    rows = [Row(intended_ns=i * 50 * MS, sent_ns=i * 50 * MS) for i in range(9)]
    audit = audited(traces_of(rows, open_loop=True), case=talking)
    assert (audit.rate_asked_per_s, audit.rate_achieved_per_s) == (20.0, 20.0)
    closed = replace(CLOSED, traffic=replace(CLOSED.traffic, turns=2))
    assert audited(traces_of(rows), case=closed).rate_asked_per_s is None


def test_the_wait_for_a_cap_is_told_on_its_own_and_is_no_lag() -> None:
    capped = case_of(rate_per_s=10.0, requests=101, max_in_flight=4)
    rows = [Row(intended_ns=0, sent_ns=(3 * i + 1) * MS, cap_wait_ns=3 * i * MS) for i in range(101)] + [lost(sent_ns=-1)]
    audit = audited(traces_of(rows, open_loop=True), case=capped)
    assert (audit.send_lag_ms_p50, audit.send_lag_ms_p99) == (1.0, 1.0)
    assert (audit.cap_wait_ms_p50, audit.cap_wait_ms_p99, audit.cap_waited_share) == (150.0, 297.0, 100 / 101)
    assert audited(traces_of(rows, open_loop=True), case=OPEN).cap_wait_ms_p50 is None
    nothing = audited(traces_of([lost(sent_ns=-1)], open_loop=True), case=capped)
    assert (nothing.cap_wait_ms_p50, nothing.cap_wait_ms_p99, nothing.cap_waited_share) == (0.0, 0.0, 0.0)


def test_the_rate_planned_is_that_of_the_instants_that_were_drawn_and_of_the_cap() -> None:
    rows = [Row(intended_ns=i * 125 * MS, sent_ns=i * 125 * MS) for i in range(9)]
    audit = audited(traces_of(rows, open_loop=True), case=OPEN)
    assert (audit.rate_asked_per_s, audit.rate_planned_per_s, audit.rate_achieved_per_s) == (10.0, 8.0, 8.0)
    capped = [replace(row, sent_ns=2 * row.sent_ns, cap_wait_ns=row.sent_ns) for row in rows]
    audit = audited(traces_of(capped, open_loop=True), case=OPEN)
    assert (audit.rate_planned_per_s, audit.rate_achieved_per_s) == (4.0, 4.0)
    assert audited(traces_of(rows)).rate_planned_per_s is None


@pytest.mark.parametrize(
    "load", [{"rate_per_s": 100.0, "arrival": "linear"}, {"trace": "t.csv", "arrival": "trace", "concurrency": None}]
)
def test_the_rate_asked_of_a_load_that_changes_is_the_mean_of_its_instants(load: dict[str, Any]) -> None:
    rows = [Row(intended_ns=i * 100 * MS, sent_ns=i * 200 * MS) for i in range(5)]
    audit = audited(traces_of(rows, open_loop=True), case=case_of(requests=5, **load))
    assert (audit.rate_asked_per_s, audit.rate_achieved_per_s) == (10.0, 5.0)


def test_a_request_that_was_never_sent_has_no_lag_and_no_part_in_the_rate() -> None:
    rows = [Row(intended_ns=0, sent_ns=i * 100 * MS) for i in range(3)] + [lost(sent_ns=-1)]
    audit = audited(traces_of(rows, open_loop=True), case=OPEN)
    assert audit.send_lag_ms_p50 == 100.0
    assert audit.rate_achieved_per_s == 10.0


@pytest.mark.parametrize("rows", [[], [Row()]])
def test_fewer_than_two_requests_have_no_rate(rows: list[Row]) -> None:
    assert audited(traces_of(rows)).rate_achieved_per_s == 0.0


def test_events_that_share_a_stamp_within_their_request_are_merged() -> None:
    a = Row(events=((1, 1), (5, 1), (5, 1), (5, 1), (9, 1)), end_ns=9)
    b = Row(events=((9, 1), (12, 1), (12, 1)), end_ns=12)
    assert audited(traces_of([a, b])).merged_reads_share == 5 / 8
    assert audited(traces_of([a])).merged_reads_share == 3 / 5
    assert audited(traces_of([Row(events=((9, 1),)), lost(), Row(events=((9, 1),))])).merged_reads_share == 0.0
    assert audited(traces_of([])).merged_reads_share == 0.0


def test_the_read_lag_is_the_upper_end_of_its_bucket() -> None:
    counts = WorkerCounts(read_lag={0: 98, 10: 1, 50: 1})
    assert audited(traces_of([]), counts).read_lag_ms_p99 == 11 * LAG_BUCKET_NS / 1e6
    assert audited(traces_of([])).read_lag_ms_p99 == 0.0


def test_cached_tokens_are_a_share_of_the_prompts_where_the_server_says() -> None:
    traces = traces_of([streamed(), streamed(), lost()])
    assert audited(traces).cached_share is None
    assert audited(replace(traces, cached_tokens=np.array([8, -1, 16]))).cached_share == 0.5


def test_short_answers_are_a_share_of_the_completed() -> None:
    traces = traces_of([streamed(tokens=8), streamed(tokens=7), lost()])
    assert audited(traces).output_short_share == 0.5
    assert audited(traces_of([lost()])).output_short_share == 0.0


def test_usage_is_a_share_of_the_completed_and_no_matter_where_none_is() -> None:
    traces = traces_of([streamed(), streamed(), lost(Outcome.TIMED_OUT)])
    assert audited(traces, counted=1).usage_share == 0.5
    assert audited(traces_of([lost()])).usage_share == 1.0


def test_steal_is_unknown_where_the_system_does_not_say() -> None:
    decoded = Decoded(
        measured=traces_of([]),
        warmup=traces_of([]),
        counted_by_server=0,
        prompt_counted=np.array([], dtype=np.bool_),
        cached_expected=np.array([], dtype=np.int64),
        connect_wait_ns=np.array([], dtype=np.int64),
    )
    for steal in ((None, (1, 2)), ((1, 2), None), ((1, 2), (1, 2))):
        assert audit_of(CLOSED, decoded, WorkerCounts(), token_source="", steal=steal).steal_share is None


def test_steal_is_the_eighth_number_of_the_systems_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "stat"
    monkeypatch.setattr(selfcheck, "Path", lambda _: file)
    assert steal_ticks() is None
    file.write_text("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1\n")
    assert steal_ticks() == (8, 36)
    file.write_text("cpu 1 2 3\n")
    assert steal_ticks() is None


def test_a_load_of_a_few_milliseconds_is_not_called_busy() -> None:
    assert WorkerCounts(busy_s=0.019, wall_s=0.02).busy_share == 0.019
    assert WorkerCounts(busy_s=3.0, wall_s=4.0).busy_share == 0.75
    assert WorkerCounts().busy_share == 0.0
