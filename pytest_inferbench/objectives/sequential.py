"""
Looking while requests still come, and stopping as soon as it is sure.

Whoever looks often enough sees anything by chance. So a claim is decided only at a few numbers of requests that are fixed
beforehand, each half as large again as the one before (the geometric epochs of Howard, Ramdas, McAuliffe, Sekhon, *Time-uniform,
nonparametric, nonasymptotic confidence sequences*, Annals of Statistics 49, 2021), and each may err with an equal part of
1 - confidence (alpha spending, Lan and DeMets, *Discrete sequential boundaries for clinical trials*, Biometrika 70, 1983; equal
parts as Bonferroni's, which holds however much one look has to do with another one). `Sequential.look` may be called after every
request: between those numbers it does not look.

Each look judges the whole series from its first request (`decide`), so what is said there of requests that are alike holds here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_inferbench.objectives.decide import ENOUGH, Claim, Decision, decide
from pytest_inferbench.objectives.dependence import Series
from pytest_inferbench.objectives.verdict import Outlook

GROWTH = 1.5


def looks_between(least: int, most: int, *, growth: float = GROWTH) -> tuple[int, ...]:
    """
    The numbers of requests to look at: ``most``, and that divided by ``growth`` again and again, down to ``least``.

    Raises:
        ValueError: ``least`` is not between 1 and ``most``.
    """
    if not 1 <= least <= most:
        raise ValueError(f"stopping when sure needs 1 <= least <= most requests, not least {least} and most {most}")
    looks = set()
    count = float(most)
    while count >= least:
        looks.add(round(count))
        count /= growth
    return tuple(sorted(looks))


@dataclass(slots=True, kw_only=True)
class Sequential:
    """
    A claim that is looked at while values come.

    Attributes:
        claim: what ought to be.
        confidence: a pass, whenever it is said, is wrong with at most the chance 1 - confidence; and so is a fail.
        least: no decision with fewer values; fewer than `ENOUGH` never decide.
        most: with so many values the last word is said, which may be inconclusive.
        decision: the last one, None before the first look.
    """

    claim: Claim
    confidence: float = 0.95
    least: int = ENOUGH
    most: int = 20_000
    decision: Decision | None = None
    _ahead: list[int] = field(init=False)
    _confidence: float = field(init=False)

    def __post_init__(self) -> None:
        """Fix when to look, and how sure to be each time."""
        self._ahead = list(looks_between(self.least, self.most))
        self._confidence = 1 - (1 - self.confidence) / len(self._ahead)

    @property
    def decided(self) -> bool:
        """Whether no more values are needed: it is sure, or there were as many as there may be."""
        return not self._ahead

    @property
    def next_look(self) -> int | None:
        """The number of values at which it will look again; None where it is decided."""
        return self._ahead[0] if self._ahead else None

    def look(self, values: Series) -> bool:
        """
        Whether it is decided, given all values so far, in order of arrival.

        A request that still runs ends the series, whatever came after it: those that are quick must not be judged before those
        that are not.
        """
        if not self._ahead or len(values) < self._ahead[0]:
            return self.decided
        self._ahead = [count for count in self._ahead if count > len(values)]
        self.decision = decide(self.claim, values, confidence=self._confidence)
        if self.decision.outlook is not Outlook.INCONCLUSIVE:
            self._ahead = []
        return self.decided
