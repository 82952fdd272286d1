"""
Every format of results that can be read.

Rule: a format is a module with ``recognises`` and ``read``, and one line here; files are known by what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from pytest_inferbench.errors import ConfigError
from pytest_inferbench.records.imports import (
    aiperf,
    genai_bench,
    gie,
    guidellm,
    inference_perf,
    inferx,
    llm_d,
    lpg,
    nm_vllm,
    vllm,
)
from pytest_inferbench.records.imports.foreign import ForeignResult
from pytest_inferbench.records.imports.source import Source, open_source

READERS: Mapping[str, ModuleType] = {
    "vllm": vllm,
    "genai-bench": genai_bench,
    "guidellm": guidellm,
    "aiperf": aiperf,
    "inference-perf": inference_perf,
    "lpg": lpg,
    "nm-vllm": nm_vllm,
    "llm-d": llm_d,
    "inferx": inferx,
    "gie": gie,
}
_SUFFIXES = (".json", ".csv", ".yaml", ".yml", ".pbtxt", ".textproto", ".txtpb", ".textpb")


def read_results(path: Path) -> tuple[ForeignResult, ...]:
    """
    What another tool measured, from one of its files, or from a folder of them.

    Raises:
        ConfigError: no tool that is known here wrote it, or it is broken; names file and field.
    """
    if path.is_dir():
        return _of_folder(path)
    source = open_source(path)
    reader = _reader(source)
    if reader is None:
        known = ", ".join(READERS)
        raise ConfigError(f"it holds results of no tool that is known here ({known})", file=str(path))
    found: tuple[ForeignResult, ...] = reader.read(source)
    return found


def _of_folder(folder: Path) -> tuple[ForeignResult, ...]:
    """All results in a folder, whatever else is in it; not those of folders within."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if any(path.name.startswith("stage_") for path in paths):
        # A summary adds up its stages, and would count each request twice.
        paths = [path for path in paths if path.name != inference_perf.SUMMARY]
    found: list[ForeignResult] = []
    for path in paths:
        source = open_source(path)
        reader = _reader(source)
        if reader is not None:
            found += reader.read(source)
    if not found:
        raise ConfigError(f"no file in it holds results of a tool that is known here ({', '.join(READERS)})", file=str(folder))
    return tuple(found)


def _reader(source: Source) -> ModuleType | None:
    return next((reader for reader in READERS.values() if reader.recognises(source)), None)
