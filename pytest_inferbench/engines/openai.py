"""Anything with an OpenAI-compatible API that is already running: nothing to start, only an endpoint to measure."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines.engine import ServerSpec
from pytest_inferbench.errors import EngineError


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIEngine:
    """An endpoint that somebody else runs."""

    name: str = "openai"

    def server(self, case: Case) -> ServerSpec:
        """
        Nothing can be started for this engine.

        Raises:
            EngineError: always; says how to name the endpoint.
        """
        raise EngineError(
            f"{case.id}: the engine 'openai' measures an endpoint that is already there; say where it is: "
            "--inferbench-endpoint URL",
        )
