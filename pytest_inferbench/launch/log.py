"""A server's log file: its last lines, as they may be shown."""

from __future__ import annotations

import re
from pathlib import Path

_TAIL_BYTES = 65536
_LINE_CHARACTERS_MAX = 500
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def tail(path: Path, *, lines: int, start: int = 0) -> str:
    """The last lines of a log from byte ``start`` on, without terminal codes; empty where there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(start, file.tell() - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    kept = [_shown(line) for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return "\n".join(kept[-lines:]) if lines > 0 else ""


def _shown(line: str) -> str:
    line = _ANSI.sub("", line).rstrip()
    line = "".join(character if character.isprintable() or character == "\t" else "?" for character in line)
    return line if len(line) <= _LINE_CHARACTERS_MAX else f"{line[:_LINE_CHARACTERS_MAX]}..."
