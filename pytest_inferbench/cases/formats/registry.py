"""
Which formats of other systems are read, and the way in: a file becomes suites.

Rule: a format is one module, and one line of ``FORMATS``. The first that recognises a file reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

from pytest_inferbench.cases.formats.format import Format, Imported, Source
from pytest_inferbench.cases.formats.overrides import chosen_tool, overridden
from pytest_inferbench.cases.readers import Document, read_text
from pytest_inferbench.cases.suite import SUFFIXES, Suite, suite_of_document
from pytest_inferbench.errors import ConfigError

# By module, each with a constant FORMAT: a module is imported when a file of unknown kind is looked at, and not before.
FORMATS: tuple[str, ...] = (
    "benchflow",
    "nm_vllm",
    "vllm_ci",
    "vllm_omni",
    "gie",
    "dynamo",
    "dynamo_command",
    "genai_bench",
    "guidellm",
    "vllm_bench",
    "aiperf",
    "inferx",
    "inference_perf",
)
ENDINGS = (".json", ".yaml", ".yml", ".pbtxt", ".textproto", ".txtpb", ".txt", ".sh", ".toml")
"""Endings of files that may hold another system's configuration."""


def formats() -> tuple[Format, ...]:
    """Every format that is known, in the order in which they are asked."""
    return tuple(cast("Format", import_module(f"pytest_inferbench.cases.formats.{name}").FORMAT) for name in FORMATS)


def format_of(path: str | Path) -> Format | None:
    """
    The format that recognises a file; None where none does, and where it is no text.

    Suite files of this project's own are of no format.
    """
    path = Path(path)
    if path.name.endswith(SUFFIXES) or path.suffix.lower() not in ENDINGS:
        return None
    try:
        return _recognised(path, read_text(path))
    except ConfigError:
        return None


def read_foreign(
    path: str | Path, *, lenient: bool = False, overrides: Mapping[str, str] | None = None, gpus: int = 0
) -> tuple[Imported, ...]:
    """
    What a file of another system describes, with overrides laid over it; ``gpus`` is how many this machine has.

    Raises:
        ConfigError: no format recognises it, or something in it is wrong.
    """
    path = Path(path)
    text = read_text(path)
    known = _recognised(path, text)
    if known is None:
        titles = ", ".join(one.title for one in formats())
        raise ConfigError(f"is none of the formats that can be read: {titles}", file=str(path))
    found = known.read(Source(path=str(path), text=text, gpus=gpus), lenient=lenient)
    laid = overrides or {}
    chosen = tuple(overridden(one, laid) for one in chosen_tool(found, laid))
    return _told_apart(chosen) if laid else chosen


def suites_of(
    path: str | Path, *, lenient: bool = False, overrides: Mapping[str, str] | None = None, gpus: int = 0
) -> tuple[tuple[str, Suite], ...]:
    """
    The suites of a file of another system, each with its name, in the file's order.

    Raises:
        ConfigError: no format recognises it, or something in it is wrong.
    """
    found = read_foreign(path, lenient=lenient, overrides=overrides, gpus=gpus)
    return tuple((one.name, suite_of(one)) for one in found)


def suite_of(imported: Imported) -> Suite:
    """
    The suite that an imported one describes; its messages point into the original file.

    Raises:
        ConfigError: it describes none.
    """
    origin = imported.origin
    lines = dict(imported.lines) if origin.line is None else {(): origin.line, **imported.lines}
    return suite_of_document(Document(file=origin.file, data=dict(imported.suite), lines=lines), name=imported.name)


def _told_apart(found: tuple[Imported, ...]) -> tuple[Imported, ...]:
    """
    Suites without those that overrides made the same as another; of others with ids in common, the later have a number.

    What an id had of a suite may be what was overridden, such as its rate.
    """
    kept: list[Imported] = []
    taken: set[str] = set()
    for one in found:
        if any(one.suite == other.suite for other in kept):
            continue
        label, number, chosen = one.suite.get("label"), 1, one
        while taken & (ids := {case.id for case in suite_of(chosen).cases()}):
            number += 1
            text = f"{label}-{number}" if label else str(number)
            chosen = replace(one, suite={**one.suite, "label": text})
        taken |= ids
        kept.append(chosen)
    if not (dropped := len(found) - len(kept)):
        return tuple(kept)
    note = f"{dropped} of the file's {len(found)} suites are left out: with these overrides they are the same as others"
    return (replace(kept[0], notes=(*kept[0].notes, note)), *kept[1:])


def _recognised(path: Path, text: str) -> Format | None:
    return next((one for one in formats() if one.recognises(path, text)), None)
