"""LLM-serving benchmarks as parametrized pytest tests."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.measure import Measure

if TYPE_CHECKING:
    from pytest_inferbench.library import LoadedRun, load_history, load_run
    from pytest_inferbench.result import Result

__all__ = ["Case", "InferbenchError", "LoadedRun", "Measure", "Result", "load_history", "load_run"]

# These bring NumPy or more with them, which collecting a suite has no use for.
_LATE = {"Result": "result", "LoadedRun": "library", "load_history": "library", "load_run": "library"}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
