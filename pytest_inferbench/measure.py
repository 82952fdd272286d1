"""The type of the ``measure`` fixture, for annotations in suites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_inferbench.cases.case import Case

if TYPE_CHECKING:
    from pytest_inferbench.result import Result


class Measure(Protocol):
    """What the ``measure`` fixture gives: call it with a case to have it measured."""

    def __call__(self, case: Case) -> Result:
        """
        Start the server that the case needs, drive its load, judge it, and keep the record.

        Raises:
            InferbenchError: the server, the client or the config is at fault, or the figures must not be believed.
        """
        ...
