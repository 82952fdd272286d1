"""LLM-serving benchmarks as parametrized pytest tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.errors import InferbenchError
from pytest_inferbench.measure import Measure

if TYPE_CHECKING:
    from pytest_inferbench.result import Result

__all__ = ["Case", "InferbenchError", "Measure", "Result"]


def __getattr__(name: str) -> Any:
    # Result brings NumPy with it, which collecting a suite has no use for.
    if name == "Result":
        from pytest_inferbench.result import Result  # noqa: PLC0415 - see above

        return Result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
