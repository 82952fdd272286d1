"""
Which of ordered candidates is the first that is worse, by questions whose answers may be wrong.

Rule: nothing here measures. Whoever asks says for each answer how often such an answer is wrong.

**How.** Candidate 0 is good. A hypothesis is a first worse candidate (1, 2, ..., n - 1), or that there is none; at first all are
alike likely. Of candidate i "worse" speaks for every hypothesis up to i, and "same" for those behind it; the likelihood of an
answer that fits is 1 - error, of one that does not error (Bayes' rule). The next question is about the candidate that splits what
is still believed most evenly, which may be one that was asked about before. M. Horstein, *Sequential transmission using noiseless
feedback*, IEEE Trans. Inf. Theory 9, 1963; M. Burnashev, K. Zigangirov, *An interval estimation problem for controlled
observations*, 1974.

It is assumed that what is worse once stays worse (*monotone*), and that answers are wrong independently of each other. Where a
change was taken back and came again, answers contradict the result, and `Found.against` says how many do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import ceil, log2

CONFIDENCE = 0.95


class Answer(StrEnum):
    """What is said of a candidate beside candidate 0."""

    WORSE = "worse"
    SAME = "same"
    CANNOT_TELL = "cannot tell"
    """Also after all repeats: it is not asked about again."""
    BROKEN = "broken"
    """It cannot be measured at all, and is not asked about again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and its answer; ``error`` is how often such an answer is wrong at most, below 0.5."""

    candidate: int
    answer: Answer
    error: float

    @property
    def told(self) -> bool:
        """Whether it says anything of the candidate."""
        return self.answer in (Answer.WORSE, Answer.SAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    What is believed: the first worse candidate is one from ``first`` to ``last``, both included.

    Several where those between cannot be measured or told. ``first`` is None where none is worse. ``confidence`` is the chance of
    that, ``against`` how many answers contradict it.
    """

    first: int | None
    last: int | None
    confidence: float
    against: int


def next_question(asked: Sequence[Question], *, candidates: int, confidence: float = CONFIDENCE) -> int | None:
    """
    The candidate to ask about next; None where enough is known, no question is left, or too many were asked.

    The last candidate comes first: where nobody can tell whether it is worse, there is nothing to find.
    """
    open_ones = _open(asked, candidates)
    if candidates - 1 not in open_ones or len(asked) >= questions_max(candidates):
        return None
    if not asked:
        return candidates - 1
    if found(asked, candidates=candidates).confidence >= confidence:
        return None
    below = list(accumulate(_believed(asked, candidates)))
    # ``below[i - 1]`` is the belief that the first worse one is i or one before it.
    return min(open_ones, key=lambda i: (abs(below[i - 1] - 0.5), i))


def found(asked: Sequence[Question], *, candidates: int) -> Found:
    """What is believed after these answers: the likeliest of what can be told apart."""
    believed = _believed(asked, candidates)
    groups = _groups(_open(asked, candidates), candidates)
    chances = [sum(believed[i - 1] for i in group) for group in groups]
    best = max(range(len(groups)), key=chances.__getitem__)
    group = groups[best]
    against = sum(each.told and (each.answer is Answer.WORSE) != (group[-1] <= each.candidate) for each in asked)
    if group[-1] == candidates:
        return Found(first=None, last=None, confidence=chances[best], against=against)
    return Found(first=group[0], last=group[-1], confidence=chances[best], against=against)


def questions_left(asked: Sequence[Question], *, candidates: int, confidence: float = CONFIDENCE) -> int:
    """
    About how many questions are left: the entropy of what is believed, in bits, over what an answer tells; at least 1.

    An answer that is wrong with chance e tells 1 + e log2(e) + (1 - e) log2(1 - e) bits (the capacity of a binary symmetric
    channel); e is taken as 1 - ``confidence``.
    """
    error = 1 - confidence
    bits_each = 1 + error * log2(error) + confidence * log2(confidence)
    bits = -sum(chance * log2(chance) for chance in _believed(asked, candidates) if chance > 0)
    return max(1, ceil(bits / max(bits_each, 0.01)))


def questions_max(candidates: int) -> int:
    """The most questions, those without an answer included: 3 ceil(log2(n)) + 6."""
    return 3 * ceil(log2(max(candidates, 2))) + 6


def _open(asked: Sequence[Question], candidates: int) -> list[int]:
    """Those that may be asked about."""
    closed = {each.candidate for each in asked if not each.told}
    return [i for i in range(1, candidates) if i not in closed]


def _groups(open_ones: Sequence[int], candidates: int) -> list[list[int]]:
    """Hypotheses 1, ..., n (n: none is worse) that no question tells apart: from behind one that can be asked to the next."""
    groups: list[list[int]] = [[]]
    for i in range(1, candidates + 1):
        groups[-1].append(i)
        if i in open_ones:
            groups.append([])
    return groups


def _believed(asked: Sequence[Question], candidates: int) -> list[float]:
    """The belief in each hypothesis 1, ..., n; together 1."""
    weights = [1.0] * candidates
    for each in asked:
        if not each.told:
            continue
        for i in range(1, candidates + 1):
            fits = (i <= each.candidate) == (each.answer is Answer.WORSE)
            weights[i - 1] *= 1 - each.error if fits else each.error
        total = sum(weights)
        weights = [weight / total for weight in weights]
    total = sum(weights)
    return [weight / total for weight in weights]
