"""
Inter-token latency, and the gaps between events that it is not.

Rule: an event is not a token. A server may send several tokens in one event (speculative decoding, batched detokenisation), so
the gap before such an event is shared by its tokens; the raw gaps between events have a name of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.metric import Better, Kind, Latency, Mask, Samples


def itl_ms(traces: Traces) -> Samples:
    """
    The wait for each token after the first event, pooled over the completed requests, in milliseconds.

    An event of k tokens that comes g after the one before adds k values of g / k. An event that the server counted no token
    for adds its wait to the next one, so that a request's values add up to its last_token_ns - first_token_ns.
    """
    first, completed = _first_of_request(traces), _of_completed(traces)
    counted = completed & (first | np.greater(traces.event_tokens, 0))
    gaps_ns, tokens = _gaps(traces, counted, first=first)
    gaps_ms = gaps_ns / tokens / 1e6
    # Most servers send one token an event; then there is nothing to repeat, and no memory to spend on it.
    return gaps_ms if not gaps_ms.size or tokens.max() == 1 else np.repeat(gaps_ms, tokens)


def inter_chunk_ms(traces: Traces) -> Samples:
    """
    The gaps between successive content events of a request, pooled over the completed requests, in milliseconds.

    (event_ns[j] - event_ns[j - 1]) / 1e6
    """
    gaps_ns, _ = _gaps(traces, _of_completed(traces), first=_first_of_request(traces))
    return gaps_ns / 1e6


def _first_of_request(traces: Traces) -> Mask:
    first = np.zeros(len(traces.event_ns), dtype=np.bool_)
    first[traces.event_offset[:-1][np.diff(traces.event_offset) > 0]] = True
    return first


def _of_completed(traces: Traces) -> Mask:
    return np.repeat(traces.completed, np.diff(traces.event_offset))


def _gaps(traces: Traces, chosen: Mask, *, first: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The gap before each chosen event that is not its request's first, in nanoseconds, and the event's tokens."""
    event_ns, tokens, starts = traces.event_ns[chosen], traces.event_tokens[chosen], first[chosen]
    follows = ~starts[1:]
    return np.diff(event_ns)[follows], tokens[1:][follows]


def has_second_event(traces: Traces) -> Mask:
    """Which completed requests had two content events or more; shape n."""
    return traces.completed & np.greater_equal(np.diff(traces.event_offset), 2)


ITL = Latency(
    name="itl",
    title="inter-token latency",
    unit="ms",
    formula="event of k tokens, g after the previous content event: k values of g / k / 1e6; pooled over tokens",
    better=Better.SMALLER,
    kind=Kind.PER_TOKEN,
    compute=itl_ms,
    has=has_second_event,
)
INTER_CHUNK = Latency(
    name="inter_chunk",
    title="gap between content events",
    unit="ms",
    formula="(event_ns[j] - event_ns[j - 1]) / 1e6; pooled over events",
    better=Better.SMALLER,
    kind=Kind.PER_EVENT,
    compute=inter_chunk_ms,
    has=has_second_event,
)
