"""
Other systems' configurations as suite files of this project.

Rule: a converted file holds exactly what the reader made of the original, so both make the same cases; what is not carried over
stands in it as comments.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.formats.format import Imported
from pytest_inferbench.cases.formats.registry import format_of, read_foreign
from pytest_inferbench.cases.formats.yaml_text import yaml_text

_RELATIVE = ("./", "../")


def converted(
    path: str | Path,
    *,
    lenient: bool = False,
    overrides: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    gpus: int = 0,
) -> str:
    """
    The text of a suite file (YAML) that makes the cases of another system's file.

    ``folder`` is where the text will lie, for the paths in it that begin from the file's folder; None: beside the original.

    Raises:
        ConfigError: no format recognises the file, or something in it is wrong.
    """
    path = Path(path)
    found = read_foreign(path, lenient=lenient, overrides=overrides, gpus=gpus)
    moved = [_moved(dict(one.suite), path.parent, Path(folder or path.parent)) for one in found]
    known = format_of(path)
    head = f"# From {path.name}{f' ({known.title})' if known else ''} by inferbench convert.\n"
    if len(found) == 1:
        return head + _comments(found[0].notes) + yaml_text({"suite": found[0].name, **moved[0]})
    return head + _parts(found, moved)


def _parts(found: tuple[Imported, ...], suites: list[dict[str, Any]]) -> str:
    shared = [note for note in found[0].notes if all(note in one.notes for one in found)]
    text = _comments(shared) + yaml_text({"suite": found[0].name}) + "parts:\n"
    for one, suite in zip(found, suites, strict=True):
        text += _comments((note for note in one.notes if note not in shared), indent=2)
        own = suite if one.name == found[0].name else {"suite": one.name, **suite}
        text += f"  - {yaml_text(own, 4)[4:]}"
    return text


def _comments(notes: Iterable[str], indent: int = 0) -> str:
    return "".join(f"{' ' * indent}# {' '.join(note.split())}.\n" for note in notes)


def _moved(suite: dict[str, Any], origin: Path, target: Path) -> dict[str, Any]:
    """The suite with its relative paths as they are from another folder."""
    if origin.absolute() == target.absolute():
        return suite

    def path(text: Any) -> Any:
        here = isinstance(text, str) and not text.startswith(("/", "~"))
        return _dotted(os.path.relpath(origin / text, target)) if here else text

    def volume(text: Any) -> Any:
        source, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
        return f"{path(source)}{colon}{rest}" if source.startswith(_RELATIVE) else text

    def inside(part: Any, change: Mapping[str, Any]) -> Any:
        return {key: change[key](value) if key in change else value for key, value in part.items()}

    def each(change: Any) -> Any:
        return lambda value: [change(one) for one in value] if isinstance(value, list) else change(value)

    def model(text: Any) -> Any:
        return path(text) if isinstance(text, str) and (text.startswith(_RELATIVE) or text.endswith(".gguf")) else text

    def mapping(change: Mapping[str, Any]) -> Any:
        return lambda value: inside(value, change) if isinstance(value, dict) else value

    engine = each(mapping({"volumes": each(volume)}))
    matrix = {"model": each(model), "engine": engine}
    changed: dict[str, Any] = inside(
        suite,
        {
            "engine": engine,
            "matrix": mapping(matrix),
            "tool": mapping({"volumes": each(volume)}),
            "dataset": mapping({"path": path}),
            "load": mapping({"trace": path}),
            "ca_file": path,
        },
    )
    return changed


def _dotted(text: str) -> str:
    """A relative path that cannot be taken for a name."""
    return text if text.startswith("..") else f"./{text}"
