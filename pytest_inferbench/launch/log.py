"""A server's log file: its last lines, as they may be shown, and the part of it that is a case's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_inferbench.redaction import redact_text

PART_FILE = "server.log"
"""What a server has logged for a case, in the case's folder."""
PART_BYTES_MAX = 8 * 2**20
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """What a server logs while it is a case's: its log from byte ``start`` on."""

    case_id: str
    path: Path
    start: int = 0


def part_from_now(case_id: str, path: Path | None) -> LogPart | None:
    """What will be logged from now on; None where there is no log."""
    if path is None or not path.is_file():
        return None
    return LogPart(case_id=case_id, path=path, start=path.stat().st_size)


def write_part(part: LogPart, to: Path) -> None:
    """
    Write a part into a file of its own, line by line without what looks like a secret; nothing where nothing was logged.

    Of more than ``PART_BYTES_MAX`` the end is written, and how much is left out.

    Raises:
        OSError: it cannot be read or written.
    """
    with part.path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        start = max(part.start, end - PART_BYTES_MAX)
        file.seek(start)
        lines = file.read(end - start).decode(errors="replace").splitlines(keepends=True)
    if not lines:
        return
    left_out = start - part.start
    if left_out:
        lines[0] = f"[inferbench: {left_out + len(lines[0].encode())} bytes are left out here; they are in {part.path}]\n"
    beside = to.with_name(f".{to.name}.part")
    beside.write_text("".join(map(redact_text, lines)), newline="")
    beside.replace(to)


def _shown(line: str) -> str:
    line = _ANSI.sub("", line).rstrip()
    line = "".join(character if character.isprintable() or character == "\t" else "?" for character in line)
    return line if len(line) <= _LINE_CHARACTERS_MAX else f"{line[:_LINE_CHARACTERS_MAX]}..."
