"""
The sums that throughput and ratios are made of, and the window they are divided by.

Rule: `window_s` is the only definition of a case's length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from pytest_inferbench.load.trace import MISSING, Outcome, Traces
from pytest_inferbench.metrics.steady import steady_window, tokens_within
from pytest_inferbench.metrics.summary import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """
    Sums over the completed requests of a case.

    Attributes:
        counts: where every request went.
        window_s: see `window_s`.
        prompt_tokens: of completed requests whose number is known.
        output_tokens: of completed requests whose number is known; one that gave no token counts 0.
        prompt_tokens_unknown: completed requests whose number of prompt tokens nobody told.
        output_tokens_unknown: completed requests whose answer came whole, and whose tokens nobody counted.
        good: completed requests that meet every per-request limit.
        steady_window_s: length of the steady window (see `metrics.steady`); NaN where the load never was steady.
        steady_output_tokens: that came in it; None where there is none, or some answers did not come token by token.
    """

    counts: Counts
    window_s: float
    prompt_tokens: int
    output_tokens: int
    prompt_tokens_unknown: int
    output_tokens_unknown: int
    good: int
    steady_window_s: float = nan
    steady_output_tokens: int | None = None

    def per_s(self, amount: float) -> float:
        """``amount`` over the window, a second; NaN where the window has no length."""
        return amount / self.window_s if self.window_s > 0 else nan


def count(traces: Traces) -> Counts:
    """Where every request went, each outcome counted by itself, so that the books can be checked."""
    number = {outcome: int(np.count_nonzero(np.equal(traces.outcome, outcome))) for outcome in Outcome}
    return Counts(
        attempted=len(traces),
        completed=number[Outcome.COMPLETED],
        failed=number[Outcome.FAILED],
        timed_out=number[Outcome.TIMED_OUT],
        cancelled=number[Outcome.CANCELLED],
    )


def window_s(traces: Traces) -> float:
    """
    How long the measured load lasted, in seconds: what throughput is divided by.

    (last end_ns - first send_ns) / 1e9; see `window_ns`. NaN where nothing was sent.
    """
    window = window_ns(traces)
    return nan if window is None else (window[1] - window[0]) / 1e9


def window_ns(traces: Traces) -> tuple[int, int] | None:
    """
    First send_ns and last end_ns of all measured requests, whatever became of them; None where nothing was sent.

    Ramp-up and drain are inside, warm-up is not.
    """
    sent = np.not_equal(traces.send_ns, MISSING)
    ended = sent & np.not_equal(traces.end_ns, MISSING)
    if not ended.any():
        return None
    return int(np.min(traces.send_ns[sent])), int(np.max(traces.end_ns[ended]))


def total(traces: Traces, *, good: int) -> Totals:
    """Add up what `Totals` names; ``good`` comes from `goodput.good_requests`."""
    completed, steady = traces.completed, steady_window(traces)
    prompt = traces.prompt_tokens[completed]
    output = traces.output_tokens[completed]
    known, counted = np.not_equal(prompt, MISSING), np.not_equal(output, MISSING)
    return Totals(
        counts=count(traces),
        window_s=window_s(traces),
        prompt_tokens=int(prompt[known].sum()),
        output_tokens=int(output[counted].sum()),
        prompt_tokens_unknown=int(np.count_nonzero(~known)),
        output_tokens_unknown=int(np.count_nonzero(~counted)),
        good=good,
        steady_window_s=steady.length_s if steady else nan,
        steady_output_tokens=tokens_within(traces, steady) if steady else None,
    )
