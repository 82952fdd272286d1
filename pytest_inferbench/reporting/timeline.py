"""
What happened when: a bar a request with its phases, how many were under way, and what GPUs and server did, on one axis of time.

Rule: a phase is called what the client can know of it. Between sending and the first token the server queues and prefills, and no
answer tells which took how long; the server's own count of waiting requests stands below, on the same axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.records.record import Record
from pytest_inferbench.reporting.case_charts import floats, throughput_chart
from pytest_inferbench.reporting.chart import FAILURE_COLOUR, PALETTE, Axis, Chart, Series
from pytest_inferbench.reporting.figures import count, number, printable
from pytest_inferbench.reporting.per_request import Floats, in_flight, origin_ns, peaks

LINK = "time"
_ROWS_MAX = 120
_SLOWEST = 20
_STEPS_MAX = 160
_BEFORE, _UNTIL_FIRST, _DECODE = "waiting to be sent", "queue and prefill on the server", "decode"
_TIME = Axis(title="time since the first request", unit="s")


def timeline_charts(record: Record, traces: Traces, lanes: tuple[Chart, ...] = ()) -> tuple[Chart, ...]:
    """Charts to stand below each other: requests, how many at once, tokens, and ``lanes`` of telemetry; empty ones left out."""
    charts = (
        requests_chart(record, traces),
        in_flight_chart(record, traces),
        throughput_chart(record, traces, link=LINK),
        *lanes,
    )
    return tuple(chart for chart in charts if not chart.empty)


def requests_chart(record: Record, traces: Traces) -> Chart:
    """A row a request, in order of sending, with a span for each of its phases."""
    chosen = drawn_rows(traces, _ROWS_MAX)
    rows = np.arange(1, len(chosen) + 1, dtype=np.float64)
    words = _request_words(traces, chosen)
    begin, send, first, last = _instants(traces, chosen)
    completed = traces.completed[chosen]
    end = (traces.end_ns[chosen] - origin_ns(traces)) / 1e9
    gave_up = ~completed & ~np.isnan(begin)
    phases = (
        (_BEFORE, begin, send, completed, PALETTE[7]),
        (_UNTIL_FIRST, send, first, completed, PALETTE[0]),
        (_DECODE, first, last, completed, PALETTE[2]),
        ("answer, not streamed", send, np.where(np.isnan(first), end, np.nan), completed, PALETTE[0]),
        ("did not complete", begin, end, gave_up, FAILURE_COLOUR),
    )
    series = []
    for name, start, stop, where, colour in phases:
        shown = np.flatnonzero(where & (stop > start))
        hover = tuple(words[place] for place in shown)
        x, to, y = (floats(values[shown]) for values in (start, stop, rows))
        series.append(Series(name=name, x=x, to=to, y=y, style="spans", colour=colour, hover=hover))
    attempted = len(traces)
    note = ""
    if len(chosen) < attempted:
        note = f"{count(len(chosen))} of {count(attempted)} requests are drawn: every so many, and the {_SLOWEST} slowest."
    return Chart(
        title="Requests",
        x=_TIME,
        y=Axis(title="requests, by time of sending", ticks=(1.0, float(max(len(chosen), 1)))),
        series=tuple(series),
        note=note,
        simulated=record.simulated,
        link=LINK,
    )


def drawn_rows(traces: Traces, limit: int) -> NDArray[np.intp]:
    """Which requests to draw, in order of sending: all, or evenly chosen ones and the slowest."""
    begun = np.flatnonzero(traces.start_ns != MISSING)
    begun = begun[np.argsort(traces.start_ns[begun], kind="stable")]
    if len(begun) <= limit:
        return begun
    took_ns = traces.end_ns[begun] - traces.start_ns[begun]
    slowest = np.argsort(took_ns, kind="stable")[-_SLOWEST:]
    even = np.linspace(0, len(begun) - 1, limit - _SLOWEST).astype(np.intp)
    return begun[np.union1d(slowest, even)]


def _instants(traces: Traces, chosen: NDArray[np.intp]) -> tuple[Floats, Floats, Floats, Floats]:
    """When each was to be sent, was sent, and had its first and last token, in seconds since the first; NaN where never."""
    began_ns = origin_ns(traces)

    def seconds(column: NDArray[np.int64]) -> Floats:
        values = column[chosen]
        return np.where(values == MISSING, np.nan, (values - began_ns) / 1e9)

    begin, send, first, last = map(seconds, (traces.start_ns, traces.send_ns, traces.first_token_ns, traces.last_token_ns))
    return begin, send, first, last


def _request_words(traces: Traces, chosen: NDArray[np.intp]) -> list[str]:
    words = []
    for row in chosen.tolist():
        outcome = Outcome(int(traces.outcome[row]))
        said = "" if outcome is Outcome.COMPLETED else f": {printable(traces.errors.get(row, outcome.name.lower()))[:120]}"
        tokens = int(traces.output_tokens[row])
        out = f", {count(tokens)} tokens out" if tokens != MISSING else ""
        took = number((int(traces.end_ns[row]) - int(traces.start_ns[row])) / 1e6)
        words.append(f"{printable(traces.request_id[row])}: {took} ms{out}{said}")
    return words


def in_flight_chart(record: Record, traces: Traces) -> Chart:
    """How many requests were under way."""
    at_s, counts = in_flight(traces)
    values = counts.astype(np.float64)
    chosen = peaks(at_s, values, _STEPS_MAX)
    note = "" if len(chosen) == len(at_s) else f"The most of each of {_STEPS_MAX} lengths of time."
    line = Series(name="in flight", x=floats(at_s[chosen]), y=floats(values[chosen]), style="steps", colour=PALETTE[3])
    return Chart(
        title="Requests in flight, seen from the client",
        x=_TIME,
        y=Axis(title="requests"),
        series=(line,),
        note=note,
        simulated=record.simulated,
        link=LINK,
        flat=True,
    )
