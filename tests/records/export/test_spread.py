from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest

from pytest_inferbench.records.export.spread import Spread


def test_statistics_are_those_of_the_samples_that_are_known() -> None:
    spread = Spread.of(np.array([1.0, nan, 2.0, 4.0]))
    assert (spread.count, spread.total, spread.least, spread.most) == (3, 7.0, 1.0, 4.0)
    assert spread.mean == pytest.approx(7 / 3)
    # Population deviation: the mean square is 7, the square of the mean 49/9.
    assert spread.std == pytest.approx((7 - 49 / 9) ** 0.5)
    assert spread.percentile(75) == pytest.approx(3.0)


def test_nothing_has_no_statistics() -> None:
    spread = Spread.of(np.array([nan]))
    assert (spread.count, spread.total) == (0, 0.0)
    assert all(isnan(value) for value in (spread.mean, spread.std, spread.least, spread.most, spread.percentile(50)))
