"""
A case whose load another tool drives: run beside the server, its results read back as far as they mean the same as ours.

Rule: nothing of it is measured here, and its record says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_inferbench.cases.case import Case, Tool
from pytest_inferbench.errors import ConfigError, LoadError
from pytest_inferbench.launch.docker_tool import ToolOrder, ToolRun, run_tool
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.records.imports.foreign import ForeignResult
from pytest_inferbench.records.imports.registry import read_results

LIMIT_LEAST_S = 3600.0
"""A tool warms up, draws and writes beside its load, and nobody knows for how long."""
_FILES_SHOWN_MAX = 10


def order_of(case: Case, tool: Tool, *, folder: Path, run_id: str) -> ToolOrder:
    """What is to be run for a case; ``folder`` is the case's."""
    limit_s = (case.load.duration_s or 0.0) + max(case.limits.total_s, LIMIT_LEAST_S)
    return ToolOrder(tool=tool, folder=folder, run_id=run_id, limit_s=limit_s)


def drive(order: ToolOrder, server: Server, *, progress: Callable[[str], None]) -> ForeignResult:
    """
    Run a tool to its end, and read what it left.

    Raises:
        EngineError: it could not be started, took too long, or its server died.
        LoadError: it failed, or left no results that can be read, or several where a case has one.
    """
    tool = order.tool
    progress(f"{tool.name} drives the load")
    found = run_tool(order, server, progress=progress)
    if found.failed is not None:
        raise LoadError(f"{tool.name} failed: {found.failed}")
    return result_of(tool, found)


def result_of(tool: Tool, run: ToolRun) -> ForeignResult:
    """
    The one result that a tool left, in whatever folder of its own.

    Raises:
        LoadError: there is none that can be read, or several.
    """
    results: list[ForeignResult] = []
    troubles: list[str] = []
    for folder in _folders(run.results):
        try:
            results += read_results(folder)
        except ConfigError as error:
            troubles.append(str(error))
    if len(results) == 1:
        return results[0]
    if results:
        names = ", ".join(result.name for result in results)
        raise LoadError(
            f"{tool.name} left {len(results)} results where a case has one: {names}; split them into cases of their own"
        )
    left = [path.relative_to(run.results).as_posix() for path in run.results.rglob("*") if path.is_file()]
    shown = ", ".join(sorted(left)[:_FILES_SHOWN_MAX]) or "nothing"
    why = f" ({'; '.join(troubles)})" if troubles and left else ""
    raise LoadError(f"{tool.name} left no results that can be read in {tool.results}, but {shown}{why}; its log: {run.log}")


def _folders(top: Path) -> Iterator[Path]:
    """The folders that have files, each of them a place for results."""
    for folder in (top, *sorted(path for path in top.rglob("*") if path.is_dir())):
        if any(path.is_file() for path in folder.iterdir()):
            yield folder
