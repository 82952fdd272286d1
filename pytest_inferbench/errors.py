"""
Every error this project raises, as one tree.

InferbenchError
├── ConfigError           what a person wrote is wrong: names file, line and field
├── DeviceError           hardware is not there, or somebody else holds it
├── EngineError           a model server's fault
│   ├── EngineNotReady    it did not become ready within its limit
│   └── EngineDied        it was ready, and ended
├── LoadError             the load could not be planned or driven
├── MeasurementInvalid    load was driven, but its figures must not be believed
└── RecordError           a record could not be written or read

A missed objective is not an error but a failed assertion.
"""

from __future__ import annotations


class InferbenchError(Exception):
    """Base of everything raised on purpose; its text is made for people."""


class ConfigError(InferbenchError):
    """
    Something a person wrote is wrong.

    Args:
        problem: what is wrong and what would be right.
        file: where it was written; a path, or a flag such as ``--traffic``.
        line: its line, counted from 1.
        field: dotted path of the field, such as ``matrix.model``.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        self.field = field
        super().__init__(self._text())

    def _text(self) -> str:
        place = self.file or ""
        if self.file and self.line is not None:
            place += f":{self.line}"
        return ": ".join(part for part in (place, self.field, self.problem) if part)


class DeviceError(InferbenchError):
    """Hardware is not there, or somebody else holds it."""


class EngineError(InferbenchError):
    """A model server did something wrong; carries its own last words where there are any."""


class EngineNotReady(EngineError):
    """A model server did not become ready within its limit."""


class EngineDied(EngineError):
    """A model server that was ready has ended."""


class LoadError(InferbenchError):
    """The load could not be planned or driven."""


class MeasurementInvalid(InferbenchError):
    """Load was driven, but its figures must not be believed; says why and what to do."""


class RecordError(InferbenchError):
    """A record could not be written or read."""
