"""Cases to export in tests: requests whose figures are easy to compute by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.records.export.exportable import Exportable
from pytest_inferbench.records.results import write_results
from pytest_inferbench.records.writer import write_case
from tests.records.example import CASE, example_record, example_traces
from tests.traces import MS, Row, lost, streamed, traces_of

# Sent at 0: bytes at 100 ms with one token, then two at 140 and one at 200 ms; the stream ends at 210 ms. n = 4.
UNEVEN = Row(events=((100 * MS, 1), (140 * MS, 2), (200 * MS, 1)), end_ns=210 * MS, prompt_tokens=10)
# Intended at 1,000 ms, sent at 1,050; one token at 1,080 ms, and the stream ends with it. n = 1.
SINGLE = Row(intended_ns=1000 * MS, sent_ns=1050 * MS, events=((1080 * MS, 1),), prompt_tokens=20)


def uneven_traces() -> Traces:
    """The two of above, and one that failed."""
    return traces_of([UNEVEN, SINGLE, lost(sent_ns=300 * MS)])


def exportable(traces: Traces | None = None, *, case: Case = CASE, simulated: bool = False) -> Exportable:
    traces = example_traces() if traces is None else traces
    record = replace(example_record(traces, case=case), simulated=simulated)
    assert record.summary is not None
    return Exportable(record=record, traces=traces, summary=record.summary)


def several(*levels: int) -> list[Exportable]:
    """Cases that differ in concurrency only."""
    found = []
    for level in levels:
        case = replace(CASE, id=f"case-c{level}", load=replace(CASE.load, concurrency=level))
        requests = traces_of([streamed(50 + level, 10, tokens=12, sent_ns=place * 400 * MS) for place in range(6)])
        found.append(exportable(requests, case=case))
    return found


def write_run(folder: Path, cases: list[Exportable]) -> Path:
    """A run's folder with these cases."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        (folder / case.record.folder).mkdir()
        write_case(folder / case.record.folder, record=case.record, traces=case.traces)
    write_results(folder, [case.record for case in cases])
    return folder
