"""The loopback server keeps its schedule."""

from __future__ import annotations

import pytest

from pytest_inferbench.errors import LoadError
from pytest_inferbench.load.loopback import Loopback, Schedule
from tests.load.loopback.talk import (
    COMPLETIONS,
    events,
    post,
    texts,
)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        (Schedule(ttft_ms=-1), "waits must be at least 0 ms: ttft -1 ms, itl 20 ms"),
        (Schedule(itl_ms=float("inf")), "waits must be at least 0 ms: ttft 100 ms, itl inf ms"),
        (Schedule(tokens=0), "there must be at least 1 token in an answer and in a chunk: 0 and 1"),
        (Schedule(jitter=1.0), "jitter must be at least 0 and below 1, not 1"),
    ],
)
def test_an_impossible_schedule_is_an_error_that_says_why(schedule: Schedule, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        Loopback.start(schedule)


def test_a_role_event_may_come_first() -> None:
    with Loopback.start(Schedule(ttft_ms=1, itl_ms=0, tokens=2, role_chunk=True)) as server:
        chat, text = post(server), post(server, COMPLETIONS)
    assert events(chat)[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert texts(chat) == ["", " word", " word"]
    assert texts(text) == [" word", " word"]


def test_several_tokens_may_share_an_event() -> None:
    with Loopback.start(Schedule(ttft_ms=1, itl_ms=2, tokens=8, tokens_per_chunk=3)) as server:
        assert texts(post(server)) == [" word" * 3, " word" * 3, " word" * 2]
    sent = server.log.sent["r-1"]
    assert (sent.tokens, len(sent.token_ns), len(set(sent.token_ns))) == (8, 8, 3)
    assert sent.token_ns[3] - sent.received_ns >= 7_000_000


def test_no_token_leaves_before_it_is_due_and_lateness_is_what_the_log_says() -> None:
    schedule = Schedule(ttft_ms=5, itl_ms=3, tokens=10)
    with Loopback.start(schedule) as server:
        post(server)
    sent = server.log.sent["r-1"]
    late_ns = [at_ns - (sent.received_ns + 5_000_000 + k * 3_000_000) for k, at_ns in enumerate(sent.token_ns)]
    assert min(late_ns) >= 0
    assert max(late_ns) == sent.late_ns_max
    assert (sent.first_token_ns, sent.last_token_ns, sent.tokens) == (sent.token_ns[0], sent.token_ns[-1], 10)
    assert sent.connected_ns < sent.received_ns < sent.first_token_ns


def test_jitter_only_makes_tokens_later_and_keeps_their_order() -> None:
    with Loopback.start(Schedule(ttft_ms=5, itl_ms=3, tokens=10, jitter=0.9)) as server:
        post(server)
    sent = server.log.sent["r-1"]
    assert list(sent.token_ns) == sorted(sent.token_ns)
    assert all(at_ns >= sent.received_ns + 5_000_000 + k * 3_000_000 for k, at_ns in enumerate(sent.token_ns))
