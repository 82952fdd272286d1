"""A small builder of `Traces` for tests: one `Row` a request in, columns out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from pytest_inferbench.load.trace import MISSING, Ints, Outcome, Traces

MS = 1_000_000
WALL_OFFSET_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One request; times in nanoseconds.

    ``events`` are (time, tokens) of the content events. What is None follows from them: sent as intended, the first byte at
    the first event, the end at the last event (or at the send), output tokens as the events sum to. All text is content, unless
    ``reasoning_ns`` or ``tool_ns`` say when the first text of that kind came; content then came after it, where there is any.
    """

    sent_ns: int = 0
    intended_ns: int | None = None
    events: tuple[tuple[int, int], ...] = ()
    end_ns: int | None = None
    output_tokens: int | None = None
    output_tokens_asked: int = 8
    prompt_tokens: int = 16
    outcome: Outcome = Outcome.COMPLETED
    error: str | None = None
    reasoning_ns: int | None = None
    tool_ns: int | None = None
    cap_wait_ns: int = 0

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.events) if self.output_tokens is None else self.output_tokens

    @property
    def ended_ns(self) -> int:
        return self.end_ns if self.end_ns is not None else max((self.sent_ns, *(at_ns for at_ns, _ in self.events)))


def lost(outcome: Outcome = Outcome.FAILED, error: str = "HTTP 500: out of memory", *, sent_ns: int = 0) -> Row:
    """A request that did not complete."""
    return Row(sent_ns=sent_ns, end_ns=sent_ns + MS, outcome=outcome, error=error)


def streamed(ttft_ms: float = 100, itl_ms: float = 20, *, tokens: int = 8, sent_ns: int = 0) -> Row:
    """A request that completed, with one token an event at even gaps."""
    first_ns = sent_ns + round(ttft_ms * MS)
    return Row(sent_ns=sent_ns, events=tuple((first_ns + round(i * itl_ms * MS), 1) for i in range(tokens)))


def traces_of(rows: Sequence[Row], *, open_loop: bool = False) -> Traces:
    """The rows as `Traces`, in their order."""

    def column(value: Callable[[Row], int]) -> Ints:
        return np.array([value(row) for row in rows], dtype=np.int64)

    events = [event for row in rows for event in row.events]
    return Traces(
        request_id=tuple(f"r{i}" for i in range(len(rows))),
        intended_send_ns=column(lambda row: row.sent_ns if row.intended_ns is None else row.intended_ns),
        send_ns=column(lambda row: row.sent_ns),
        first_byte_ns=column(lambda row: row.events[0][0] if row.events else MISSING),
        first_token_ns=column(lambda row: row.events[0][0] if row.events else MISSING),
        last_token_ns=column(lambda row: row.events[-1][0] if row.events else MISSING),
        first_content_ns=column(_first_content_ns),
        first_reasoning_ns=column(lambda row: MISSING if row.reasoning_ns is None else row.reasoning_ns),
        first_tool_ns=column(lambda row: MISSING if row.tool_ns is None else row.tool_ns),
        end_ns=column(lambda row: row.ended_ns),
        prompt_tokens=column(lambda row: row.prompt_tokens),
        prompt_tokens_asked=np.full(len(rows), 16),
        output_tokens=column(lambda row: row.tokens),
        output_tokens_asked=column(lambda row: row.output_tokens_asked),
        cached_tokens=np.full(len(rows), MISSING),
        bytes_received=column(lambda row: 100 * len(row.events)),
        status=column(lambda row: 200 if row.outcome is Outcome.COMPLETED else 500),
        outcome=column(lambda row: int(row.outcome)),
        resends=np.zeros(len(rows), dtype=np.int64),
        cap_wait_ns=column(lambda row: row.cap_wait_ns),
        errors={i: row.error for i, row in enumerate(rows) if row.error is not None},
        event_offset=np.cumsum([0, *(len(row.events) for row in rows)], dtype=np.int64),
        event_ns=np.array([at_ns for at_ns, _ in events], dtype=np.int64),
        event_tokens=np.array([tokens for _, tokens in events], dtype=np.int64),
        open_loop=open_loop,
        clock="kernel",
        wall_offset_ns=WALL_OFFSET_NS,
    )


def _first_content_ns(row: Row) -> int:
    earlier = max((at_ns for at_ns in (row.reasoning_ns, row.tool_ns) if at_ns is not None), default=-1)
    return next((at_ns for at_ns, _ in row.events if at_ns > earlier), MISSING)


@st.composite
def completed_rows(draw: st.DrawFn, *, most_events: int = 12, most_tokens: int = 4) -> Row:
    """Any request that completed: events of any size at any gaps, sent at or after the time intended."""
    intended_ns = draw(st.integers(0, 10**12))
    sent_ns = intended_ns + draw(st.integers(0, 10**9))
    at_ns, events = sent_ns, []
    for gap_ns, tokens in draw(
        st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, most_tokens)), min_size=1, max_size=most_events)
    ):
        at_ns += gap_ns
        events.append((at_ns, tokens))
    end_ns = at_ns + draw(st.integers(1, 10**6))
    prompt_tokens = draw(st.integers(1, 4096))
    return Row(sent_ns=sent_ns, intended_ns=intended_ns, events=tuple(events), end_ns=end_ns, prompt_tokens=prompt_tokens)


@st.composite
def lost_rows(draw: st.DrawFn) -> Row:
    """Any request that did not complete, with whatever had come before."""
    row = draw(completed_rows())
    outcome = draw(st.sampled_from([Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED]))
    events = row.events[: draw(st.integers(0, len(row.events)))]
    error = draw(st.sampled_from(["reset by peer", "HTTP 503: overloaded", "no first token within 300 s"]))
    return Row(sent_ns=row.sent_ns, intended_ns=row.intended_ns, events=events, end_ns=row.ended_ns, outcome=outcome, error=error)


def rows() -> st.SearchStrategy[Row]:
    """Any request at all."""
    return completed_rows() | lost_rows()


def any_traces() -> st.SearchStrategy[Traces]:
    """Any few requests."""
    return st.builds(
        lambda found, open_loop: traces_of(found, open_loop=open_loop), st.lists(rows(), min_size=1, max_size=12), st.booleans()
    )
