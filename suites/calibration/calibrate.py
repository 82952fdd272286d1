"""
Whether verdicts keep their word: intervals and decisions of `pytest_inferbench.objectives` on queues of which the truth is known.

    python -m suites.calibration.calibrate [--part intervals] [--part verdicts] [--part shortcuts] [--queue M/G/8] [--load 0.3]
                                           [--replications 1000] [--seed 1] [--keep FOLDER]

A piece is one part for one queue at one load. What it found is kept as a JSON file in the folder, and a piece that is there is
not computed again: stop and start it at will. Then the Markdown tables of docs/verdicts.md are printed, of all that was asked.
One core; docs/verdicts.md says how long it takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from suites.calibration import intervals, shortcuts, verdicts
from suites.calibration.pieces import Piece, Row, Truth, truth_of
from suites.calibration.simulated_queues import LOADS, OTHERS, QUEUES

Measure = Callable[[Piece, Truth], list[Row]]
Text = Callable[[list[tuple[Piece, list[Row]]]], str]

PARTS: dict[str, tuple[Measure, Text]] = {
    "intervals": (intervals.measure, intervals.text),
    "verdicts": (verdicts.measure, verdicts.text),
    "shortcuts": (shortcuts.measure, shortcuts.text),
}
LOADS_OF = {"intervals": LOADS, "verdicts": (0.3, 0.5, 0.7, 0.9), "shortcuts": (0.5, 0.7, 0.9)}


def main(arguments: Sequence[str]) -> None:
    """Compute the pieces that are asked for and not there yet, and print the tables."""
    asked = _asked(arguments)
    folder = Path(asked.keep)
    folder.mkdir(parents=True, exist_ok=True)
    for part in asked.part or PARTS:
        found = [(piece, kept(part, piece, folder)) for piece in pieces(part, asked)]
        sys.stdout.write(f"\n{PARTS[part][1](found)}")


def pieces(part: str, asked: argparse.Namespace) -> Iterator[Piece]:
    """The pieces of a part that are asked for."""
    for queue in (*QUEUES, *OTHERS):
        for load in LOADS_OF[part]:
            if asked.queue in queue.name and load in (asked.load or LOADS):
                yield Piece(queue=queue, load=load, replications=asked.replications, seed=asked.seed)


def kept(part: str, piece: Piece, folder: Path) -> list[Row]:
    """What was found of a piece: read, or computed and written."""
    file = folder / f"{part}_{piece.slug}.json"
    if not file.exists():
        started = time.monotonic()
        rows = PARTS[part][0](piece, _truth(piece, folder))
        _write(file, rows)
        sys.stderr.write(f"{file.name}: {time.monotonic() - started:.0f} s\n")
    found: list[Row] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _truth(piece: Piece, folder: Path) -> Truth:
    name = piece.slug.rpartition("_")[0]
    file = folder / f"truth_{name}.json"
    if not file.exists():
        _write(file, truth_of(piece.queue, piece.load))
    found: Truth = json.loads(file.read_text(encoding="utf-8"))
    return found


def _write(file: Path, found: object) -> None:
    """All of it or nothing, since a file that is there is believed."""
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps(found, indent=1), encoding="utf-8")
    draft.replace(file)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--queue", default="", help="only queues whose name holds this")
    parser.add_argument("--load", action="append", type=float, help="only this load")
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", default="calibration", help="folder of what was found (calibration)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
