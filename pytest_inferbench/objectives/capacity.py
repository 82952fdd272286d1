"""
The highest level of load at which objectives are met, found by asking about few levels: the search, and what it found.

Rule: nothing here drives a load. `Search.next` says which level to ask about and with how many requests, `Search.told` hears the
answer, and what was found can be asked for at any time.

Only sure answers bound what is found. A first look at a level is short; where it is not sure it still leans one way, and that is
enough to say where to look next, until there are levels that lean each way. The outermost of them are looked at again, each time
with `GROWTH` times as many requests, until they are sure: from then on there is an answer, and bisection makes it narrower. A
level that stays unsure with as many requests as there may be is neither: the search goes on at both sides of it.

Each look errs with at most an equal part of half of 1 - confidence, as many as one level may have; half, as there are two ends.
Only levels next to the true capacity err as often as that, so nothing is taken off for the number of levels. That the interval
holds the truth as often as it says is measured (suites/calibration/capacity.py), and not proven.

That what fails at one level fails above it, and what passes passes below, is taken for granted while searching, and looked at
afterwards: a sure pass above a sure fail is a contradiction, and one level well outside on each side is asked where none was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, isinf, log, nan

from pytest_inferbench.metrics.capacity import SEARCHED
from pytest_inferbench.objectives.verdict import Judgement, Objective, Outlook
from pytest_inferbench.units import format_quantity

GROWTH = 3
STEP_MAX = 4.0
"""While nothing bounds the answer on one side, the next level is at most so many times as high or low."""
LEVELS_MAX = 10_000
UNSURE_MAX = 3
"""Where so many levels stay unsure, those next to them would, too, and no more are asked about."""
_SIZES_MAX = 12
_DECIDED = (Outlook.PASS, Outlook.FAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One objective's figure at one level: what was seen, and what it lies between for sure; in the metric's unit."""

    objective: str
    limit: float
    actual: float
    low: float = nan
    high: float = nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """
    One load at one level.

    Attributes:
        level: requests a second, or users.
        requests: as many as were measured.
        outlook: what is sure of the level.
        leaning: pass or fail, by the figures alone; None where there are none.
        reason: why it is neither, in words.
        folder: where its record is, below the case's own.
    """

    level: float
    requests: int
    outlook: Outlook
    leaning: Outlook | None
    reason: str = ""
    folder: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to find out next: whether objectives are met at a level, with so many requests."""

    level: float
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """
    What a search found.

    Attributes:
        metric: ``max_rate`` or ``max_concurrency``.
        low: the highest level that passes for sure; NaN where none does.
        high: the lowest level that fails for sure; infinite where none does.
        confidence: with which the true capacity lies from ``low`` to ``high``; 0: by the figures as they were seen.
        looks: every load, in order.
        requests_used: of all of them.
        requests_of_grid: what it would have taken to ask about every level of the range once.
        monotone: no level passes above one that fails.
        reason: why ``low`` and ``high`` are further apart than asked for, or are not to be believed; empty where all is well.
    """

    metric: str
    low: float
    high: float
    confidence: float
    looks: tuple[Look, ...]
    requests_used: int
    requests_of_grid: int
    monotone: bool
    reason: str = ""

    @property
    def value(self) -> float:
        """The capacity, as objectives are held against it: the highest level that was seen to hold; NaN where none was."""
        return self.low if self.monotone else nan


def levels_between(low: float, high: float, *, within: float, whole: bool, also: Sequence[float] = ()) -> tuple[float, ...]:
    """
    Levels from ``low`` to ``high``, neighbours at most the share ``within`` apart; whole numbers of users are at least 1 apart.

    ``also`` are levels that somebody asks about: those within the range are among them.

    Raises:
        ValueError: the range is empty, or there would be more than `LEVELS_MAX`.
    """
    if not 0 < low < high or isinf(high) or not 0 < within < 10:
        raise ValueError(f"levels go from a lower to a higher one, not from {low:g} to {high:g} within {within:g}")
    steps = log(high / low) / log(1 + within)
    if steps > LEVELS_MAX:
        raise ValueError(f"{steps:,.0f} levels between {low:g} and {high:g} are more than {LEVELS_MAX}; ask for less precision")
    # As many equal steps as keep neighbours close enough; a millionth is rounding.
    count = max(1, -int(-(steps - 1e-6) // 1))
    spread = [low * (high / low) ** (i / count) for i in range(count + 1)]
    found = {float(round(each)) if whole else float(f"{each:.3g}") for each in spread}
    inside = {float(each) for each in (low, high, *also) if low <= each <= high and (not whole or float(each).is_integer())}
    return tuple(sorted({each for each in found if low <= each <= high} | inside))


def sizes_between(least: int, most: int) -> tuple[int, ...]:
    """Numbers of requests of the looks at one level, each `GROWTH` times the one before, up to ``most``."""
    sizes = [min(least, most)]
    while sizes[-1] < most and len(sizes) < _SIZES_MAX:
        sizes.append(min(sizes[-1] * GROWTH, most))
    return tuple(sizes)


@dataclass(slots=True)
class _Known:
    """What is known of one level: how often it was looked at, and the last answer that says something."""

    looks: int = 0
    size: int = 0
    broken: int = 0
    outlook: Outlook = Outlook.INCONCLUSIVE
    leaning: Outlook = Outlook.FAIL

    @property
    def sure(self) -> bool:
        return self.outlook in _DECIDED


@dataclass(slots=True, kw_only=True)
class Search:
    """
    A search over levels.

    Attributes:
        metric: what is searched for.
        levels: what may be asked about, lowest first.
        sizes: numbers of requests of a first, a second ... look.
        start: the level to ask about first: the one that somebody wants to hold; None: the middle.
        budget: requests that may be used in all; the look that would use more is not taken.
        confidence: see `Capacity`.
        looks: every answer so far.
    """

    metric: str
    levels: tuple[float, ...]
    sizes: tuple[int, ...]
    start: float | None = None
    budget: int
    confidence: float = 0.95
    looks: list[Look] = field(default_factory=list)
    _known: dict[int, _Known] = field(default_factory=dict)
    _last: int | None = None
    _stopped: str = ""

    @property
    def look_confidence(self) -> float:
        """How sure each look must be; 0 where the figures as seen count, whatever they are worth."""
        if not self.confidence:
            return 0.0
        return 1 - (1 - self.confidence) / 2 / len(self.sizes)

    @property
    def requests_used(self) -> int:
        """Of every look so far."""
        return sum(look.requests for look in self.looks)

    def next(self) -> Ask | None:
        """What to ask about now; None where nothing is left to ask."""
        place = None if self._stopped or self._contradiction() else self._place()
        if place is None:
            return None
        known = self._known.get(place) or _Known()
        size = self.sizes[known.size]
        if self.requests_used + size > self.budget:
            self._stopped = f"{size} more requests would be more than the {self.budget} that the search may use"
            return None
        self._known[place], self._last = known, place
        return Ask(level=self.levels[place], requests=size)

    def told(self, look: Look) -> None:
        """
        Hear what was found at the level that `next` asked for.

        Raises:
            ValueError: it is about another level.
        """
        if self._last is None or self.levels[self._last] != look.level:
            raise ValueError(f"asked about {None if self._last is None else self.levels[self._last]}, and told of {look.level}")
        self.looks.append(look)
        known = self._known[self._last]
        known.looks += 1
        if look.outlook is Outlook.INVALID:
            # Once may be bad luck. Twice is no answer, and whatever spoils a measurement spoils it more at a higher level.
            known.broken += 1
            known.size = known.size if known.broken < 2 else len(self.sizes)
            return
        known.size += 1
        known.outlook = look.outlook
        known.leaning = look.leaning or Outlook.FAIL

    @property
    def found(self) -> Capacity:
        """What is known so far."""
        low, high = self._bounds()
        contradiction = self._contradiction()
        return Capacity(
            metric=self.metric,
            low=self.levels[low] if low >= 0 else nan,
            high=self.levels[high] if high < len(self.levels) else inf,
            confidence=self.confidence,
            looks=tuple(self.looks),
            requests_used=self.requests_used,
            requests_of_grid=len(self.levels) * self.sizes[0],
            monotone=not contradiction,
            reason=contradiction or "; ".join(self._shortcomings()),
        )

    # -- where to look ------------------------------------------------------------------------------------------------

    def _bounds(self) -> tuple[int, int]:
        """The highest place that passes for sure and the lowest that fails for sure; -1 and one too many where there is none."""
        passing = [place for place, known in self._known.items() if known.outlook is Outlook.PASS]
        failing = [place for place, known in self._known.items() if known.outlook is Outlook.FAIL]
        return max(passing, default=-1), min(failing, default=len(self.levels))

    def _may_ask(self, place: int) -> bool:
        """Whether a level that was looked at may be looked at again."""
        known = self._known[place]
        return not known.sure and known.size < len(self.sizes)

    def _place(self) -> int | None:
        """Where to look next: for a bracket, at its ends until they are sure, between them, and at last to check."""
        if not self._known:
            return self.levels.index(self.start) if self.start in self.levels else len(self.levels) // 2
        again = [place for place, known in self._known.items() if known.broken == 1 and not known.size]
        if again:
            return again[0]
        low, high = self._bounds()
        for step in (self._bracket, self._between, self._check):
            place = step(low, high)
            if place is not None:
                return place
        return None

    def _bracket(self, low: int, high: int) -> int | None:
        """While one bound is missing: further out until levels lean both ways, then at the outermost until it is sure."""
        lowest, highest = min(self._known), max(self._known)
        if low < 0 and lowest and self._known[lowest].leaning is Outlook.FAIL:
            return self._down(lowest)
        if high == len(self.levels) > highest + 1 and self._known[highest].leaning is Outlook.PASS:
            return self._up(highest)
        if low < 0 and self._may_ask(lowest):
            return lowest
        if low < 0 < lowest:
            return self._down(lowest)
        if high == len(self.levels) and self._may_ask(highest):
            return highest
        return self._up(highest) if high == len(self.levels) > highest + 1 else None

    def _between(self, low: int, high: int) -> int | None:
        """The middle of the widest gap next to a bound; levels that stay unsure are no bounds, and lie between the gaps."""
        inside = sorted(place for place in self._known if low < place < high)
        again = [place for place in inside if self._may_ask(place)]
        if again:
            return again[0]
        if sum(self._known[place].broken < 2 for place in inside) >= UNSURE_MAX:
            return None
        gaps = [(low, inside[0]), (inside[-1], high)] if inside else [(low, high)]
        first, last = max(gaps, key=lambda gap: gap[1] - gap[0])
        return (first + last) // 2 if last - first > 1 else None

    def _check(self, low: int, high: int) -> int | None:
        """A place well outside what was found, where nobody has looked that far out: more load must not make it better."""
        if low < 0 or high == len(self.levels):
            return None
        below = max(low // 2, self._down(low)) if low else 0
        if below < min(self._known):
            return below
        above = min((high + len(self.levels)) // 2, self._up(high)) if high + 1 < len(self.levels) else high
        return above if above > max(self._known) else None

    def _down(self, place: int) -> int:
        least = self.levels[place] / STEP_MAX
        return next(each for each in range(place) if self.levels[each] >= least or each == place - 1)

    def _up(self, place: int) -> int:
        most = self.levels[place] * STEP_MAX
        return next(
            each for each in reversed(range(place + 1, len(self.levels))) if self.levels[each] <= most or each == place + 1
        )

    # -- what to say of it --------------------------------------------------------------------------------------------

    def _contradiction(self) -> str:
        low, high = self._bounds()
        if low < high:
            return ""
        unit = SEARCHED[self.metric].unit
        return (
            f"{format_quantity(self.levels[low], unit)} passes for sure and {format_quantity(self.levels[high], unit)}, which is "
            "less, fails for sure: more load made it better, or the server changed meanwhile, so there is no highest level; see "
            "both records"
        )

    def _shortcomings(self) -> Iterator[str]:
        low, high = self._bounds()
        unit = SEARCHED[self.metric].unit
        if self._stopped:
            yield self._stopped
        if low < 0:
            lowest = format_quantity(self.levels[0], unit)
            yield f"no level passes for sure, down to {lowest}" if self.looks else "nothing was measured"
        if high >= len(self.levels) and self.looks:
            yield f"no level fails for sure, up to {format_quantity(self.levels[-1], unit)}"
        unsure = [place for place, known in self._known.items() if low < place < high and known.looks and not known.sure]
        last = {
            place: next(look for look in reversed(self.looks) if look.level == self.levels[place]) for place in sorted(unsure)
        }
        for what, invalid in (("cannot tell", False), ("cannot be believed", True)):
            looks = [look for look in last.values() if (look.outlook is Outlook.INVALID) is invalid]
            if looks:
                yield f"at {_levels(looks, unit)} {max(look.requests for look in looks)} requests {what}"


def _levels(looks: Sequence[Look], unit: str) -> str:
    first, last = (format_quantity(look.level, unit) for look in (looks[0], looks[-1]))
    return first if len(looks) == 1 else f"{len(looks)} levels from {first} to {last}"


def judged(objective: Objective, found: Capacity) -> Judgement:
    """
    An objective on a capacity, such as ``max_rate >= 40 req/s``.

    It passes where the limit passed for sure, or a level above it; it fails where the limit failed for sure, or one below it.
    """
    unit = SEARCHED[objective.metric].unit
    limit, strict = objective.limit, objective.operator == ">"
    outlook = Outlook.INCONCLUSIVE
    if found.monotone and (found.low > limit or (found.low == limit and not strict)):
        outlook = Outlook.PASS
    elif found.monotone and found.high <= limit:
        outlook = Outlook.FAIL
    reason = found.reason if outlook is Outlook.INCONCLUSIVE else ""
    if outlook is Outlook.INCONCLUSIVE and not reason:
        reason = f"it lies between {format_quantity(found.low, unit)} and {format_quantity(found.high, unit)}"
    return Judgement(objective=objective, outlook=outlook, actual=found.value, unit=unit, reason=reason)
