"""What the newest requests were like: at little cost, and never as a figure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from pytest_inferbench.load import recent as module
from pytest_inferbench.load.api import api_named
from pytest_inferbench.load.recent import Latest, Recent
from pytest_inferbench.load.recording import Ending, pack
from tests.load.answers import MS, events, recording, streamed

S = 1000 * MS
NOTHING = Latest()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


def recent(file: int, *, warmup: int = 0, open_loop: bool = False) -> Recent:
    return Recent([file], api=api_named("chat"), warmup=warmup, open_loop=open_loop)


def put(file: int, row: int, *, tokens: int, sent_ns: int, intended_ns: int | None = None) -> None:
    """An answer whose first token comes 3 ms after it was sent and each other one 1 ms later."""
    one = recording(streamed(events(["x"] * tokens)), row=row, sent_ns=sent_ns)
    os.write(file, pack(replace(one, intended_send_ns=sent_ns if intended_ns is None else intended_ns)))


def test_it_is_the_median_of_those_that_ended_in_the_last_seconds(file: int) -> None:
    looking = recent(file)
    assert looking.look(S, limit_s=inf) == NOTHING
    put(file, 0, tokens=5, sent_ns=S)
    put(file, 1, tokens=3, sent_ns=S)
    assert looking.look(2 * S, limit_s=inf) == Latest(ttft_ms=3.0, tpot_ms=1.0, output_tokens_per_s=8.0)
    put(file, 2, tokens=4, sent_ns=2 * S)
    assert looking.look(3 * S, limit_s=inf).output_tokens_per_s == 6.0
    assert looking.look(5 * S, limit_s=inf).output_tokens_per_s == 12 / 4
    assert looking.look(6 * S, limit_s=inf).output_tokens_per_s == 4 / 4
    assert looking.look(7 * S, limit_s=inf) == NOTHING


def test_it_looks_at_most_twice_a_second(file: int) -> None:
    looking = recent(file)
    looking.look(S, limit_s=inf)
    put(file, 0, tokens=2, sent_ns=S)
    assert looking.look(S + 499 * MS, limit_s=inf) == NOTHING
    assert looking.look(S + 500 * MS, limit_s=inf).ttft_ms == 3.0


def test_latencies_count_as_in_the_cases_own_figures(file: int) -> None:
    put(file, 0, tokens=2, sent_ns=S, intended_ns=S - 7 * MS)
    assert recent(file, open_loop=False).look(2 * S, limit_s=inf).ttft_ms == 3.0
    assert recent(file, open_loop=True).look(2 * S, limit_s=inf).ttft_ms == 10.0


def test_of_many_only_the_newest_are_read_and_stand_for_the_rest(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    looking = recent(file)
    looking.look(S, limit_s=inf)
    for row in range(10):
        put(file, row, tokens=9 if row < 8 else 3, sent_ns=S + 20 * row * MS)
    assert looking.look(2 * S, limit_s=inf) == Latest(ttft_ms=3.0, tpot_ms=1.0, output_tokens_per_s=30.0)


def test_it_takes_no_longer_than_it_may(file: int) -> None:
    looking = recent(file)
    looking.look(S, limit_s=inf)
    for row in range(10):
        put(file, row, tokens=9 if row < 9 else 3, sent_ns=S + 20 * row * MS)
    # The newest is read in any case.
    assert looking.look(2 * S, limit_s=0).output_tokens_per_s == 30.0


def test_warm_up_and_what_did_not_complete_are_left_out(file: int) -> None:
    looking = recent(file, warmup=1)
    looking.look(S, limit_s=inf)
    put(file, 0, tokens=5, sent_ns=S)
    assert looking.look(2 * S, limit_s=inf) == NOTHING
    os.write(file, pack(recording([], row=1, ending=Ending.RESET, sent_ns=S)))
    assert looking.look(3 * S, limit_s=inf) == NOTHING
    put(file, 2, tokens=1, sent_ns=3 * S)
    assert looking.look(4 * S, limit_s=inf) == Latest(ttft_ms=3.0, tpot_ms=None, output_tokens_per_s=1 / 2)


def test_answers_that_come_whole_have_no_first_token(file: int) -> None:
    looking = Recent([file], api=api_named("embeddings"), warmup=0, open_loop=False)
    looking.look(S, limit_s=inf)
    put(file, 0, tokens=2, sent_ns=S)
    assert looking.look(2 * S, limit_s=inf) == NOTHING
