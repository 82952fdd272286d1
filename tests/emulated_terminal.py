"""What a terminal shows after all that was written to it: as much of one as pytest and live progress use."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[(?P<count>\d*)(?P<code>[A-Za-z])|(?P<end>[\r\n])|(?P<text>[^\x1b\r\n]+)")


def rows_of(text: str, *, width: int = 120) -> list[str]:
    """The rows, without blanks at their ends and below them all."""
    rows, row, place = [""], 0, 0
    for piece in _PIECE.finditer(text):
        if (code := piece["code"]) is not None:
            count = int(piece["count"] or 1)
            row -= count if code == "A" else 0
            place = min(place + count, width - 1) if code == "C" else place
            rows[row] = rows[row][:place] if code in "KJ" else rows[row]
            del rows[row + 1 if code == "J" else len(rows) :]
            assert code in "ACJKm", f"this is no terminal for {piece[0]!r}"
        elif piece["end"] == "\n":
            row, place = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif piece["end"] == "\r":
            place = 0
        else:
            rows[row] = rows[row].ljust(place)[:place] + piece["text"] + rows[row][place + len(piece["text"]) :]
            place += len(piece["text"])
            assert place <= width, "no line wraps here"
    shown = [each.rstrip() for each in rows]
    while shown and not shown[-1]:
        shown.pop()
    return shown
