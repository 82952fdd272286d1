"""
What came of measuring two sides in turns: the runs of whole blocks, held against each other.

Rule: nothing that differs between the sides unasked is averaged over; what was changed on purpose is what is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from pytest_inferbench.ab import Turns
from pytest_inferbench.ab_session import same_gpus
from pytest_inferbench.compare_command import Compared, compared_json
from pytest_inferbench.objectives.gates import NOISE, Comparison, signed
from pytest_inferbench.objectives.paired import BLOCKS_MIN, Paired, compare_blocks
from pytest_inferbench.objectives.tolerance import Tolerated
from pytest_inferbench.records.baselines import Baseline, BaselineCase, Fingerprint, Measured, baseline_of, match

_NO_BLOCK = "no block of it was measured whole"
# `match` names the sides as those of a baseline are.
_IN_A, _IN_B = "in the baseline: ", "in the new run: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Both sides held against each other: ``paired`` in the order of ``compared.comparisons``."""

    compared: Compared
    paired: tuple[Paired, ...]


def hold(turns: Turns[Measured], case_ids: Sequence[str], tolerated: Tolerated, *, names: tuple[str, str]) -> Held:
    """
    Compare B with A, case by case, by the blocks that are whole.

    ``names`` are what A and B are called. A case of which no block is whole, or that was lost, cannot be told.
    """
    old, new = (_baseline(turns, case_ids, side=side, name=name) for side, name in enumerate(names))
    new, notes = _as_asked(old, new)
    matched = match(old, new, tolerated)
    pairs = [replace(pair, doubt=pair.doubt.removeprefix(_IN_A).removeprefix(_IN_B)) for pair in matched.pairs]
    paired = compare_blocks(pairs, noise=NOISE)
    notes += matched.notes
    if any(0 < each.blocks < BLOCKS_MIN and isfinite(each.decided.effect) for each in paired):
        notes.append(f"fewer than {BLOCKS_MIN} whole blocks: decided by all runs of each side, among which drift counts as noise")
    comparisons = tuple(each.decided for each in paired)
    return Held(compared=Compared(baseline=f"A ({names[0]})", comparisons=comparisons, notes=tuple(notes)), paired=paired)


def held_json(held: Held) -> dict[str, Any]:
    """As plain JSON types: that of ``inferbench compare``, and for each figure what the pooled test says beside it."""
    found = compared_json(held.compared)
    pooled = compared_json(replace(held.compared, comparisons=tuple(each.pooled for each in held.paired)))["comparisons"]
    kept = ("change", "effect", "effect_low", "effect_high", "p_adjusted")
    for each, paired, beside in zip(found["comparisons"], held.paired, pooled, strict=True):
        each["blocks"] = paired.blocks
        each["decided_by"] = "blocks" if paired.by_blocks else "all runs"
        each["all_runs"] = {name: beside[name] for name in kept}
    return found


def known_so_far(turns: Turns[Measured], case_ids: Sequence[str], tolerated: Tolerated) -> str:
    """One line for who waits: ``tpot_p50 +3.1 % (-0.4 % to +6.7 %)`` of each figure of the first case; empty without any."""
    held = hold(turns, case_ids[:1], tolerated, names=("A", "B"))
    told = (each for each in held.compared.comparisons if isfinite(each.effect))
    return ", ".join(f"{one.tolerance.name} {signed(one, one.effect)} ({_interval(one)})" for one in told)


def _interval(found: Comparison) -> str:
    return f"{signed(found, found.low)} to {signed(found, found.high)}"


def _baseline(turns: Turns[Measured], case_ids: Sequence[str], *, side: int, name: str) -> Baseline:
    every = [each for case_id in case_ids for each in turns.whole(case_id)[side]]
    by_id = baseline_of(every, name=name).by_id
    cases = tuple(_case(by_id.get(case_id), turns, case_id) for case_id in case_ids)
    runs = tuple(dict.fromkeys(each.record.run_id for each in every))
    return Baseline(name=name, runs=runs, cases=cases)


def _case(found: BaselineCase | None, turns: Turns[Measured], case_id: str) -> BaselineCase:
    """The case, or why there is none of it to compare."""
    a, b = turns.whole(case_id)
    doubt = turns.lost.get(case_id, "") or (found.doubt if found else _NO_BLOCK) or same_gpus([*a, *b])
    if found is None:
        return BaselineCase(id=case_id, fingerprint=Fingerprint(), counts=(), figures={}, doubt=doubt)
    return replace(found, doubt=doubt)


def _as_asked(old: Baseline, new: Baseline) -> tuple[Baseline, list[str]]:
    """The new side as if its models were the old ones', since they were changed on purpose; and what was, in sentences."""
    cases, notes = [], []
    for before, after in zip(old.cases, new.cases, strict=True):
        was, now = before.fingerprint.model, after.fingerprint.model
        if was and now and was != now:
            notes.append(f"{after.id}: model {was} -> {now}, as asked; tokens of the one may not be those of the other")
            after = replace(after, fingerprint=replace(after.fingerprint, model=was))  # noqa: PLW2901 - the same case, seen so
        cases.append(after)
    return replace(new, cases=tuple(cases)), notes
