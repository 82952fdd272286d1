"""How a load that ended early says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_inferbench.load.stopped import Stopped

EARLY = Stopped(at=2300, of=20_000, at_s=41.4, of_s=None, looks=12, why="sure at 95 % that ttft_p99 <= 500ms is met")


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (EARLY, "stopped after 2,300 of 20,000 requests: "),
        (replace(EARLY, of_s=60.0), "stopped after 2,300 of 20,000 requests: "),
        (replace(EARLY, of=None, of_s=300.0), "stopped after 41 of 300 s (2,300 requests): "),
        (replace(EARLY, of=None), "stopped after 41 s (2,300 requests): "),
    ],
)
def test_it_says_after_how_much_of_what_and_why(stopped: Stopped, words: str) -> None:
    assert stopped.words == words + EARLY.why
