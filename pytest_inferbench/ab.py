"""
Two sides measured in turns: the plan of blocks A B B A, B A A B, and the run of it.

Rule: nothing here knows what is measured or how long it takes; whoever measures is passed in, and so is the clock. In each block
both sides have the same middle in time, so what drifts evenly moves both alike. Blocks are turned round in turn, so that neither
side always comes first, and no two blocks share a start of a server.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from pytest_inferbench.errors import InferbenchError

M = TypeVar("M")


class Side(StrEnum):
    """What is measured in turns."""

    A = "A"
    B = "B"


_BLOCKS = ((Side.A, Side.B, Side.B, Side.A), (Side.B, Side.A, Side.A, Side.B))
PER_SIDE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """
    One turn of a side: its block and its place there, from 0.

    ``pair`` counts neighbours A B or B A from the first block on: both of a pair send requests of the same lengths at the same
    instants.
    """

    block: int
    place: int
    side: Side

    @property
    def pair(self) -> int:
        """Two a block."""
        return self.block * PER_SIDE + self.place // PER_SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Generic[M]):
    """What one turn gave for one case."""

    case_id: str
    slot: Slot
    measured: M


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """How far it is: ``done`` of ``total`` turns (cases counted), and the time left as those before let expect; None: no idea."""

    slot: Slot
    case_id: str
    blocks: int
    done: int
    total: int
    left_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns(Generic[M]):
    """
    What was measured, in its order.

    ``lost`` says of cases that could not be measured to the end why; ``interrupted`` that somebody pressed Ctrl-C.
    """

    taken: tuple[Turn[M], ...]
    lost: Mapping[str, str]
    interrupted: bool = False

    def whole(self, case_id: str) -> tuple[list[M], list[M]]:
        """A's and B's runs of a case in the blocks that are whole, in their order; a block that was cut short is left out."""
        mine = [each for each in self.taken if each.case_id == case_id]
        counts = Counter(each.slot.block for each in mine)
        whole = [each for each in mine if counts[each.slot.block] == len(_BLOCKS[0])]
        a, b = ([each.measured for each in whole if each.slot.side is side] for side in Side)
        return a, b


def plan(blocks: int, *, first: int = 0) -> tuple[Slot, ...]:
    """The turns of so many blocks, from block ``first`` on: A B B A, B A A B, ..."""
    return tuple(
        Slot(block=block, place=place, side=side)
        for block in range(first, first + blocks)
        for place, side in enumerate(_BLOCKS[block % len(_BLOCKS)])
    )


def run(
    slots: Sequence[Slot],
    case_ids: Sequence[str],
    *,
    measure: Callable[[Slot, str], M],
    told: Callable[[Where, Sequence[Turn[M]]], None] = lambda _, __: None,
    clock_s: Callable[[], float] = time.monotonic,
) -> Turns[M]:
    """
    Measure every case in each slot; in a slot all cases of its side one after the other.

    A case whose measurement raises an `InferbenchError` is lost: it is not measured again, and the others are. With Ctrl-C what
    was measured until then is what there is. ``told`` hears before each run where it is, and what was measured by then.
    """
    taken: list[Turn[M]] = []
    lost: dict[str, str] = {}
    began_s = clock_s()
    total = len(slots) * len(case_ids)
    steps = [(slot, case_id) for slot in slots for case_id in case_ids]
    try:
        for done, (slot, case_id) in enumerate(steps):
            if case_id in lost:
                continue
            left_s = (clock_s() - began_s) / done * (total - done) if done else None
            where = Where(slot=slot, case_id=case_id, blocks=slots[-1].block + 1, done=done, total=total, left_s=left_s)
            told(where, tuple(taken))
            try:
                taken.append(Turn(case_id=case_id, slot=slot, measured=measure(slot, case_id)))
            except InferbenchError as error:
                lost[case_id] = f"{slot.side} in block {slot.block + 1}: {error}"
    except KeyboardInterrupt:
        return Turns(taken=tuple(taken), lost=lost, interrupted=True)
    return Turns(taken=tuple(taken), lost=lost)


def joined(parts: Sequence[Turns[M]]) -> Turns[M]:
    """Blocks that were measured one after the other, as one."""
    lost = {case_id: why for part in parts for case_id, why in part.lost.items()}
    taken = tuple(turn for part in parts for turn in part.taken)
    return Turns(taken=taken, lost=lost, interrupted=any(part.interrupted for part in parts))
