"""
Whether a server became slower, or faster, while it was measured: a mean over both says nothing of either.

Of the requests that ran within the steady part of a load (`steady`), those whose last token came in its first half are held
against those whose last token came in its second: halves of the time, as a slower server answers fewer requests in it. The time
per output token moved if its medians differ by more than `CHANGE_MIN`, and if one of the one half is slower than one of the other
more often than chance makes it: Mann and Whitney's U, ties counted half, more than `Z_MIN` standard deviations from its mean.

Each of the two alone would not do: a drift of a hundredth is sure with many requests and matters to nobody, and medians of a few
requests differ by chance.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from pytest_inferbench.load.finding import Finding
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.metric import Samples
from pytest_inferbench.metrics.output_token import has_second_token, tpot_ms
from pytest_inferbench.metrics.steady import steady_window, within

HALF_MIN = 8
"""Fewer requests in a half say nothing."""
CHANGE_MIN = 0.05
Z_MIN = 3.0
_SLOWER = "see the telemetry for heat, power caps and a cache that fills, and measure for longer: it may get slower still"
_FASTER = "send more warm-up requests: it was still getting ready"


def moved(traces: Traces) -> tuple[Finding, ...]:
    """That a server became slower or faster while it was measured; nothing where it did not, or too little is known."""
    window = steady_window(traces)
    if window is None:
        return ()
    steady = within(traces, window)
    is_early = steady.last_token_ns[has_second_token(steady)] < (window.start_ns + window.end_ns) // 2
    each_ms = tpot_ms(steady)
    before, after = each_ms[is_early], each_ms[~is_early]
    if min(len(before), len(after)) < HALF_MIN or not have_moved(before, after):
        return ()
    was_ms, is_ms = float(np.median(before)), float(np.median(after))
    slower = is_ms > was_ms
    what = (
        f"the server became {'slower' if slower else 'faster'} while it was measured: the time per output token was "
        f"{is_ms:.4g} ms in the second half of the steady load and {was_ms:.4g} ms in the first "
        f"(medians, {is_ms / was_ms - 1:+.1%})"
    )
    return (Finding(what=what, advice=_SLOWER if slower else _FASTER, invalidates=False),)


def have_moved(before: Samples, after: Samples) -> bool:
    """Whether two groups of values differ by more than chance and by enough to matter; see above."""
    was, now = float(np.median(before)), float(np.median(after))
    return was > 0 and abs(now / was - 1) > CHANGE_MIN and abs(_z(before, after)) > Z_MIN


def _z(before: Samples, after: Samples) -> float:
    """(U - n m / 2) / sqrt(n m (n + m + 1) / 12), where U counts pairs of which the later one is larger."""
    ordered = np.sort(before)
    smaller = np.searchsorted(ordered, after, side="left") + np.searchsorted(ordered, after, side="right")
    pairs = len(before) * len(after)
    return float((smaller.sum() / 2 - pairs / 2) / sqrt(pairs * (len(before) + len(after) + 1) / 12))
