"""Statistics of samples."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_inferbench.metrics.distribution import distribution
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.summary import Distribution

_samples = arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1e9))


@given(_samples)
def test_percentiles_are_monotone_and_within_the_samples(samples: Samples) -> None:
    each = distribution(samples)
    assert samples.min() <= each.p50 <= each.p90 <= each.p95 <= each.p99 <= each.max == samples.max()
    assert each.count == samples.size
    assert each.mean == pytest.approx(samples.mean())


@given(_samples, st.integers(0, 2**32))
def test_the_order_of_samples_changes_nothing(samples: Samples, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(samples)
    there, here = distribution(samples), distribution(shuffled)
    assert (there.p50, there.p90, there.p95, there.p99, there.max) == (here.p50, here.p90, here.p95, here.p99, here.max)
    assert there.mean == pytest.approx(here.mean)


def test_no_samples_have_a_count_and_nothing_else() -> None:
    assert repr(distribution(np.array([]))) == repr(Distribution(count=0, mean=nan, p50=nan, p90=nan, p95=nan, p99=nan, max=nan))
