"""
One case on its way through the stages, and the record that is made of however far it came.

Rule: nothing here starts, sends or writes anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_inferbench.capacity import Searching
from pytest_inferbench.cases.case import Case
from pytest_inferbench.devices.gpu import Gpu
from pytest_inferbench.errors import EngineError, InferbenchError
from pytest_inferbench.launch.endpoint import Server
from pytest_inferbench.load.audit import Finding, findings
from pytest_inferbench.load.drive import Driven
from pytest_inferbench.load.plan import PlanFile
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.metrics.steady import unsteady
from pytest_inferbench.metrics.summarise import summarise
from pytest_inferbench.metrics.telemetry.lateness import lateness_findings
from pytest_inferbench.metrics.telemetry.telemetry import Telemetry
from pytest_inferbench.metrics.telemetry.throttling import throttling_findings
from pytest_inferbench.metrics.telemetry.watch import Watch
from pytest_inferbench.metrics.totals import total, window_ns
from pytest_inferbench.metrics.trend import moved
from pytest_inferbench.objectives.judge import Sureness, judge, judge_summary
from pytest_inferbench.objectives.limits import goodput_limits, tightest_latency_limit_ms
from pytest_inferbench.objectives.verdict import Objective, Outlook, Verdict
from pytest_inferbench.records.imports.foreign import ForeignResult
from pytest_inferbench.records.imports.store import origin_of, summary_of
from pytest_inferbench.records.record import Planned, Record, Served
from pytest_inferbench.records.run_directory import RunDirectory
from pytest_inferbench.redaction import redact_url
from pytest_inferbench.result import Result


@dataclass(slots=True)
class Attempt:
    """
    What is known of a case while it runs; becomes its record, however far it came.

    ``folder`` is where its files go; ``again`` the command that runs just this case again; ``gpus`` are its server's; ``watched``
    is what was seen of these and of the server while the load ran; ``foreign`` what another tool measured in our place;
    ``searching`` how far the search for its level came.
    """

    case: Case
    node_id: str
    again: str
    folder: Path
    objectives: tuple[Objective, ...]
    started_at: str = ""
    started_s: float = 0.0
    server: Server | None = None
    planned: Planned | None = None
    driven: Driven | None = None
    gpus: tuple[Gpu, ...] = ()
    watched: Watch | None = None
    foreign: ForeignResult | None = None
    searching: Searching | None = None
    fault: BaseException | None = None
    result: Result | None = None

    def __post_init__(self) -> None:
        self.begin()

    @property
    def simulated(self) -> bool:
        """Whether no figure of it is a measurement of hardware: the case asks for that, or whoever answers says so."""
        return self.case.simulated or (self.server is not None and self.server.endpoint.simulated)

    def begin(self) -> None:
        """Let its time count from now: waiting for others is no part of it."""
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.started_s = time.monotonic()


def record_of(attempt: Attempt, run: RunDirectory) -> Record:
    """The record of a case: judged, as far as it was measured."""
    driven, telemetry = attempt.driven, _telemetry_of(attempt)
    summary = audit = None
    found: tuple[Finding, ...] = ()
    verdict = Verdict(outlook=_outlook_of(attempt.fault), judgements=())
    if driven is not None:
        summary = summarise(driven.measured, goodput_limits=goodput_limits(attempt.objectives))
        audit = driven.audit
        found = (
            *spoiling(attempt, driven),
            *unsteady(driven.measured),
            *moved(driven.measured),
            *throttling_findings(telemetry),
        )
        sureness = Sureness(confidence=attempt.case.confidence, looks=driven.looks)
        verdict = judge(attempt.objectives, driven.measured, summary=summary, findings=found, sureness=sureness)
    foreign = attempt.foreign
    if foreign is not None:
        summary = summary_of(foreign)
        verdict = judge_summary(attempt.objectives, summary, told_by=foreign.tool)
    return Record(
        run_id=run.run_id,
        node_id=attempt.node_id,
        case=attempt.case,
        simulated=attempt.simulated,
        verdict=_overruled(verdict, attempt.fault),
        summary=summary,
        audit=audit,
        findings=found,
        served=None if attempt.server is None else served_by(attempt.server, attempt.gpus),
        planned=attempt.planned,
        folder=str(attempt.folder.relative_to(run.path)),
        started_at=attempt.started_at,
        wall_s=time.monotonic() - attempt.started_s,
        error=_words(attempt.fault) if attempt.fault is not None else None,
        again=attempt.again,
        telemetry=telemetry,
        imported=None if foreign is None else origin_of(foreign),
        stopped=None if driven is None else driven.sure,
    )


def spoiling(attempt: Attempt, driven: Driven) -> tuple[Finding, ...]:
    """What the client, and a simulated server, found out about themselves; some of it may invalidate the case."""
    limit_ms = tightest_latency_limit_ms(attempt.objectives)
    return (*findings(driven.audit, tightest_limit_ms=limit_ms), *_late(attempt))


def _late(attempt: Attempt) -> tuple[Finding, ...]:
    """What a simulated server says of its own schedule."""
    window = None if attempt.watched is None or attempt.driven is None else window_ns(attempt.driven.measured)
    if attempt.watched is None or window is None or not attempt.simulated:
        return ()
    return lateness_findings(attempt.watched.readings, window_ns=window)


def _telemetry_of(attempt: Attempt) -> Telemetry | None:
    if attempt.watched is None or attempt.driven is None:
        return None
    traces = attempt.driven.measured
    window = window_ns(traces)
    if window is None:
        return None
    totals = total(traces, good=0)
    output_tokens = None if totals.output_tokens_unknown else totals.output_tokens
    return attempt.watched.summary(window_ns=window, output_tokens=output_tokens)


def planned_by(plan: PlanFile, seeds: Seeds) -> Planned:
    """What is to be sent, as records say it."""
    return Planned(
        seed=seeds.seed,
        salt=seeds.salt,
        sha256=plan.sha256,
        requests=plan.measured if plan.complete else None,
        tokenizer=plan.tokens.name,
    )


def served_by(server: Server, gpus: tuple[Gpu, ...]) -> Served:
    """Who answers, as records say it."""
    at = server.endpoint
    return Served(
        engine=at.engine,
        engine_version=at.engine_version,
        model=at.model,
        url=redact_url(at.url),
        command=at.command,
        log=str(at.log_path) if at.log_path else None,
        started_in_s=at.started_in_s,
        image_digest=at.image_digest,
        gpus=tuple(gpu.uuid for gpu in gpus),
    )


def _outlook_of(fault: BaseException | None) -> Outlook:
    """A server's fault fails; a fault of ours, or of the person at the keyboard, says nothing about the server."""
    return Outlook.FAIL if isinstance(fault, EngineError) else Outlook.INVALID


def _overruled(verdict: Verdict, fault: BaseException | None) -> Verdict:
    """The verdict of a case that broke: never better than what broke it."""
    if fault is None:
        return verdict
    return replace(verdict, outlook=_outlook_of(fault), reasons=(_words(fault), *verdict.reasons))


def _words(fault: BaseException) -> str:
    if isinstance(fault, KeyboardInterrupt):
        return "interrupted; what was measured until then is kept"
    return str(fault) if isinstance(fault, InferbenchError) else f"{type(fault).__name__}: {fault}"
