"""
How much less a series of requests tells than as many independent ones would: requests share a queue and a batch.

The variance of the mean of n values is larger than that of n independent ones by the factor tau = 1 + 2 (sum of their
autocorrelations), so they count as n / tau. Values stand in order of arrival.

Three things are estimated here. `Seen.tau` sums the autocorrelations up to the first lag that is at least 5 times the sum so
far (A. Sokal, *Monte Carlo methods in statistical mechanics*, in: Functional integration, 1997). It looks at whether values are
over the series' own median, its p75 and its p90, and takes the largest of the three: shares are bounded, so one huge value does
not hide what the others do. It says how long a batch must be.

A sum of what was seen knows nothing of a burst that has not come yet, and queues that burst look quiet most of the time. What
they show even then is that the largest values come in a few lumps. `Seen.burstiness` measures it: the variance of a sample
variance is (kurtosis - 1) / 2 times what it is for normal values (H. Cramér, *Mathematical methods of statistics*, 1946, 27.4; G.
Box, *Non-normality and tests on variances*, Biometrika 40, 1953), so that many times as many requests are needed to know tau as
well. The kurtosis is that of the means of up to 60 batches of being over the p75, the p90 and the p95, less what chance alone
gives; the largest counts. Whether a series is long enough to be judged is a matter of both (`Seen.telling`).

`Batches` holds means of equal, consecutive batches of at least 10 tau each. Their spread says how sure the mean is; where
neighbours are still alike, with correlation phi, the variance is multiplied by (1 + phi) / (1 - phi), as in N-Skart (Tafazzoli,
Steiger, Wilson, *N-Skart: a nonsequential skewness- and autoregression-adjusted batch-means procedure for simulation analysis*,
IEEE Trans. Automatic Control 56, 2011). phi is an estimate as well, with variance (1 - phi^2) / batches, which adds 4 / batches
or more to the relative variance 2 / (batches - 1) of the error's square; what both leave of the degrees of freedom is 2 / their
sum (F. Satterthwaite, *An approximate distribution of estimates of variance components*, Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

LEVELS = (0.5, 0.75, 0.9)
REACH = 5.0
GROUPS_MAX = 4096
BATCHES_MIN, BATCHES_MAX = 10, 32
BATCH_MEMORIES = 10
LIKENESS_MAX = 0.8
BURST_LEVELS = (0.75, 0.9, 0.95)
BURST_BATCHES_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    A series in order of arrival, and what is asked of it again and again.

    Attributes:
        values: in order of arrival.
        ordered: in order of size.
        tau: how many of them count as one.
        burstiness: how many times as many it takes to know tau as well as of values without bursts; at least 1.
    """

    values: Series
    ordered: Series
    tau: float
    burstiness: float = 1.0

    @property
    def batches(self) -> int:
        """Into how many batches it is best divided."""
        return batches_fitting(len(self.values), self.tau)

    @property
    def telling(self) -> float:
        """As how many independent values, without bursts, they count where it is asked whether they are enough."""
        return len(self.values) / (self.tau * self.burstiness)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Means of equal consecutive batches of a series: how many, their mean, how sure it is, and how lopsided they are."""

    count: int
    mean: float
    error: float
    """Standard error of the mean."""
    freedom: float
    """Degrees of freedom of the error."""
    skewness: float


def seen(values: Series) -> Seen:
    """A series with what is asked of it again and again; infinite values may be among them."""
    ordered = np.sort(values)
    over = {level: _over(values, ordered, level) for level in {*LEVELS, *BURST_LEVELS}}
    tau = max(inflation(over[level]) for level in LEVELS)
    return Seen(values=values, ordered=ordered, tau=tau, burstiness=max(burstiness(over[level]) for level in BURST_LEVELS))


def _over(values: Series, ordered: Series, level: float) -> Series:
    marks: Series = (values > ordered[int(level * (len(ordered) - 1))]).astype(np.float64)
    return marks


def burstiness(marks: Series) -> float:
    """
    (kurtosis - 1) / 2 of the means of batches of marks, 1 or 0, less what independent marks have by themselves; at least 1.

    Of m independent marks, of which a share p is 1, the mean has the kurtosis 3 + (1 - 6 p (1 - p)) / (m p (1 - p)).
    """
    batches = min(max(len(marks) // BATCHES_MIN, 1), BURST_BATCHES_MAX)
    squares = (_means(marks, batches) - marks.mean()) ** 2
    square = float(squares.mean())
    if not square:
        return 1.0
    by_chance = (1 / float(marks.var()) - 6) * batches / len(marks)
    return max(1.0, (float((squares**2).mean()) / square**2 - by_chance - 1) / 2)


def inflation(series: Series) -> float:
    """
    1 + 2 (sum of autocorrelations) of a series, at least 1.

    A long series is averaged over groups of neighbours first, 4,096 at most; what they share then shows in the groups' variance.
    """
    variance = float(series.var())
    if not variance:
        return 1.0
    size = ceil(len(series) / GROUPS_MAX)
    groups = _means(series, len(series) // size)
    spread = float(groups.var()) * size / variance
    return max(1.0, spread * _summed_correlation(groups)) if spread else 1.0


def batches_fitting(requests: int, tau: float) -> int:
    """How many batches of at least 10 tau there are in so many requests; between 10 and 32."""
    return int(min(max(requests / (BATCH_MEMORIES * tau), BATCHES_MIN), BATCHES_MAX))


def in_batches(series: Series, count: int) -> Batches:
    """The series in ``count`` equal batches. The first few values are left out where they do not fit."""
    means = _means(series, count)
    centre, variance, likeness = float(means.mean()), float(means.var(ddof=1)), _likeness(means)
    unsure = 2 / (count - 1) + (4 / count if likeness > 1 else 0.0)
    error = sqrt(variance / count * likeness)
    return Batches(count=count, mean=centre, error=error, freedom=2 / unsure, skewness=_skewness(means))


def _means(series: Series, count: int) -> Series:
    size = len(series) // count
    means: Series = series[len(series) - size * count :].reshape(count, size).mean(axis=1)
    return means


def _summed_correlation(series: Series) -> float:
    """1 + 2 (sum of autocorrelations), up to the first lag that is at least `REACH` times half of it."""
    centred = series - series.mean()
    length = 1 << (2 * len(series) - 1).bit_length()
    covariance = np.fft.irfft(np.abs(np.fft.rfft(centred, length)) ** 2, length)[: len(series)]
    sums = 2 * np.cumsum(covariance / covariance[0]) - 1
    far_enough = np.flatnonzero(np.arange(len(sums)) >= REACH * sums / 2)
    return float(sums[far_enough[0]]) if len(far_enough) else float(sums[-1])


def _likeness(means: Series) -> float:
    """(1 + phi) / (1 - phi) where phi, the correlation of neighbours, is more than 0; phi is corrected by 1 / count."""
    centred = means - means.mean()
    squares = float((centred**2).sum())
    if not squares:
        return 1.0
    phi = min(float((centred[1:] * centred[:-1]).sum()) / squares + 1 / len(means), LIKENESS_MAX)
    return (1 + phi) / (1 - phi) if phi > 0 else 1.0


def _skewness(means: Series) -> float:
    """Sample skewness, corrected for the number of values: sqrt(n (n - 1)) / (n - 2) times m3 / m2^1.5."""
    centred, count = means - means.mean(), len(means)
    square = float((centred**2).mean())
    if not square:
        return 0.0
    return sqrt(count * (count - 1)) / (count - 2) * float((centred**3).mean()) / (square * sqrt(square))
