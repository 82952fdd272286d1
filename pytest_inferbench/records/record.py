"""What is kept of a case: everything that its result needs to be believed."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_inferbench.cases.case import Case
from pytest_inferbench.load.audit import Audit, Finding
from pytest_inferbench.load.stopped import Stopped
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.metrics.telemetry.telemetry import Telemetry
from pytest_inferbench.objectives.capacity import Capacity
from pytest_inferbench.objectives.verdict import Verdict

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """
    Who answered: what is known of the server, secrets taken out.

    ``image_digest`` is that of its container's image; ``gpus`` are the uuids of those it held, empty on a CPU and where it was
    already there.
    """

    engine: str
    engine_version: str | None
    model: str
    url: str
    command: tuple[str, ...]
    log: str | None
    started_in_s: float | None
    image_digest: str | None = None
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was to be sent, so that it can be sent again: the same seed and salt give the same bytes at the same instants."""

    seed: int
    salt: int
    sha256: str
    requests: int | None
    tokenizer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """
    Where a result that was not measured here comes from.

    ``figures`` are (name, value) pairs of those whose definition is the tool's own, under its own names (``lpg_tpot_ms_mean``);
    figures that mean the same as here stand in the record's summary.
    """

    tool: str
    version: str | None
    file: str
    figures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One case's result.

    ``summary``, ``audit``, ``served`` and ``planned`` are None where the case broke before they existed; ``error`` then says how.
    ``folder`` is relative to the run's directory. ``simulated`` is True where no figure was measured on real hardware.
    ``again`` is the command that runs just this case again. ``started_at`` is ISO 8601 with a zone. ``telemetry`` is what GPUs
    and server did meanwhile; None where nobody looked. ``imported`` says of which tool's file the result was read; None where it
    was measured here. ``stopped`` says that its load ended early, since enough was seen. ``capacity`` is what a case found that
    searches for its level; the other figures are then those of the load at that level.
    """

    run_id: str
    node_id: str
    case: Case
    simulated: bool
    verdict: Verdict
    summary: Summary | None
    audit: Audit | None
    findings: tuple[Finding, ...]
    served: Served | None
    planned: Planned | None
    folder: str
    started_at: str
    wall_s: float
    error: str | None
    again: str
    telemetry: Telemetry | None = None
    imported: Imported | None = None
    stopped: Stopped | None = None
    capacity: Capacity | None = None
