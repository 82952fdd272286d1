"""What is exported: a case with its requests, and the facts that several formats write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from math import inf, isfinite
from typing import Any

import numpy as np

from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.records.record import Record
from pytest_inferbench.records.run_directory import safe_name

TOOL = "pytest-inferbench"
SIMULATED = "simulated-"
"""Stands before the name of a case whose server was simulated, wherever a format has a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFile:
    """One file to write; ``path`` is relative, with ``/``. ``content`` is text, or plain JSON types."""

    path: str
    content: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What a format makes of a run: files, and what it has no place for, in sentences."""

    files: tuple[ExportFile, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exportable:
    """A case that was measured: its record and its requests; ``gpu_csv`` is the text of its ``gpu_memory.csv``."""

    record: Record
    traces: Traces
    summary: Summary
    gpu_csv: str | None = None

    @property
    def name(self) -> str:
        """The case's folder as a file name, unique in its run; begins with ``simulated-`` where nothing real was measured."""
        name = safe_name(self.record.folder or self.record.case.id)
        return SIMULATED + name if self.record.simulated and not name.startswith(SIMULATED) else name

    @property
    def model(self) -> str:
        """The model, as the server calls it where that is known."""
        return self.record.served.model if self.record.served else self.record.case.model

    @property
    def engine(self) -> str:
        """The engine's name, as suites write it."""
        return self.record.case.engine.name

    @property
    def engine_version(self) -> str | None:
        """As the server told it; None where it did not."""
        return self.record.served.engine_version if self.record.served else None

    @property
    def started(self) -> datetime:
        """When the case began."""
        return datetime.fromisoformat(self.record.started_at)

    @property
    def ended(self) -> datetime:
        """When the case ended, its server's start and warm-up within."""
        return self.started + timedelta(seconds=self.record.wall_s)

    @property
    def stamp(self) -> str:
        """When it started, as most tools put it into names of files: ``20261122-074501``."""
        return f"{self.started:%Y%m%d-%H%M%S}"

    @property
    def rate_per_s(self) -> float:
        """Requests a second asked for; infinite in a closed loop and where all are sent at once."""
        rate = self.record.case.load.rate_per_s
        if rate is not None:
            return rate
        audit = self.record.audit
        asked = audit.rate_asked_per_s if audit and self.record.case.load.open_loop else None
        return inf if asked is None else asked

    @property
    def gpu(self) -> str:
        """The hardware, marked where it was simulated."""
        return SIMULATED + self.record.case.hardware if self.record.simulated else self.record.case.hardware


def own_version() -> str:
    """This plugin's own version."""
    return version(TOOL)


def plain(value: Any) -> Any:
    """Plain JSON types: a number that is none (NaN, infinite) is null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, ending in Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
