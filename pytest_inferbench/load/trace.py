"""
What was measured, decoded: one row a request, in columns.

Rule: times are CLOCK_MONOTONIC nanoseconds as int64, and `MISSING` where the thing never happened. Columns rather than
objects, so that a million requests fit in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

MISSING = -1

Ints = NDArray[np.int64]


class Outcome(IntEnum):
    """How a request ended; attempted = completed + failed + timed out + cancelled, always."""

    COMPLETED = 0
    FAILED = 1
    TIMED_OUT = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """
    The measured requests of one case (warm-up is kept in traces of its own), in the order of the plan.

    Shapes: n requests, m content events in all. Request ``i`` has events ``event_offset[i]`` to ``event_offset[i + 1]``.

    Attributes:
        request_id: n; what went out as ``X-Request-Id``.
        intended_send_ns: n; when the plan said to send (open loop), or when its user became free (closed loop).
        send_ns: n; taken just before the first byte was handed to the kernel.
        first_byte_ns: n; the first byte of the answer.
        first_token_ns: n; the first event with non-empty content, reasoning or tool call.
        last_token_ns: n; the last such event.
        first_content_ns: n; the first event with content, which is what a person reads.
        first_reasoning_ns: n; the first event with reasoning text.
        first_tool_ns: n; the first event with the text of a tool call.
        end_ns: n; the end of the answer, or when it failed or was given up.
        prompt_tokens: n; by the server's usage, else by the tokenizer's count; `MISSING` where neither is known.
        prompt_tokens_asked: n; tokens of the prompt by the plan, without the chat template.
        output_tokens: n; by usage, else the number of content events; `MISSING` where the request gave none, or nobody knows how
            many there are: a whole answer (not streamed) without a usage. 0 where the API makes none.
        output_tokens_asked: n; the limit sent with the request.
        cached_tokens: n; prompt tokens the server says it took from a cache, `MISSING` where it says nothing.
        bytes_received: n; bytes of the answer on the wire.
        status: n; HTTP status, 0 where no answer came.
        outcome: n; `Outcome` values.
        resends: n; times it was sent again because a pooled connection was already closed and no byte had come.
        cap_wait_ns: n; how long it waited, after the intended send, for its turn under the cap on requests in flight; 0 where it
            did not wait, or there is no cap.
        errors: by row, the reason of each request that did not complete, in the server's own words where it had any.
        event_offset: n + 1.
        event_ns: m; time of each content event.
        event_tokens: m; tokens of each content event; sums to ``output_tokens``. An answer that is not streamed has no event,
            and no time of a token: only its end.
        open_loop: latencies count from the intended send (no coordinated omission) rather than from the send.
        clock: ``kernel`` (receive stamps by the kernel) or ``userspace``.
        wall_offset_ns: add it to a time to get nanoseconds since the epoch; a label, never used in arithmetic of figures.
    """

    request_id: tuple[str, ...]
    intended_send_ns: Ints
    send_ns: Ints
    first_byte_ns: Ints
    first_token_ns: Ints
    last_token_ns: Ints
    first_content_ns: Ints
    first_reasoning_ns: Ints
    first_tool_ns: Ints
    end_ns: Ints
    prompt_tokens: Ints
    prompt_tokens_asked: Ints
    output_tokens: Ints
    output_tokens_asked: Ints
    cached_tokens: Ints
    bytes_received: Ints
    status: Ints
    outcome: Ints
    resends: Ints
    cap_wait_ns: Ints
    errors: Mapping[int, str]
    event_offset: Ints
    event_ns: Ints
    event_tokens: Ints
    open_loop: bool
    clock: str
    wall_offset_ns: int

    def __len__(self) -> int:
        return len(self.request_id)

    @property
    def start_ns(self) -> Ints:
        """Where latencies count from: the intended send in an open loop, the actual send in a closed one."""
        return self.intended_send_ns if self.open_loop else self.send_ns

    @property
    def completed(self) -> NDArray[np.bool_]:
        """Which requests completed; shape n."""
        return np.equal(self.outcome, Outcome.COMPLETED)
