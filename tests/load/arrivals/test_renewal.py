"""Blocks of running sums."""

from __future__ import annotations

from itertools import chain, islice

import numpy as np

from pytest_inferbench.load.arrivals.renewal import BLOCK, renewals


def test_the_sum_runs_on_from_block_to_block() -> None:
    blocks = list(islice(renewals(lambda count: np.full(count, 2.0)), 3))
    assert [len(block) for block in blocks] == [BLOCK] * 3
    assert list(chain(*blocks)) == [2.0 * (place + 1) for place in range(3 * BLOCK)]
