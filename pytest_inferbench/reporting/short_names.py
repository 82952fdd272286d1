"""Names of groups, short enough for a legend or the side of a table."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_inferbench.reporting.figures import middle_cut

PART = " · "
"""What stands between the parts of a group's name."""


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Names of at most ``width`` letters: parts that fewest differ in go first, as long as the rest tells all names apart."""
    parts = [tuple(name.split(PART)) for name in names]
    if len({len(each) for each in parts}) == 1:
        for place in sorted(range(len(parts[0])), key=lambda place: len({each[place] for each in parts})):
            shorter = [tuple("" if at == place else part for at, part in enumerate(each)) for each in parts]
            if _longest(parts) > width and len(set(shorter)) == len(set(parts)):
                parts = shorter
    return [middle_cut(_joined(each), width) for each in parts]


def _longest(parts: Sequence[tuple[str, ...]]) -> int:
    return max(len(_joined(each)) for each in parts)


def _joined(parts: tuple[str, ...]) -> str:
    return PART.join(filter(None, parts))
