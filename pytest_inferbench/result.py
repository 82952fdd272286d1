"""What a measurement gave, as a test or a person looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_inferbench.errors import EngineError, MeasurementInvalid
from pytest_inferbench.load.trace import Traces
from pytest_inferbench.metrics.summary import Summary
from pytest_inferbench.objectives.explain import Context, explain
from pytest_inferbench.objectives.verdict import Objective, Outlook, Verdict
from pytest_inferbench.records.record import Record


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Result:
    """
    What a measurement gave; what a test looks at.

    Attributes:
        record: everything that is kept of the case.
        traces: its measured requests, in columns; None where no load was driven.
        inconclusive_passes: what is not sure is taken for good, as ``--inferbench-inconclusive=pass`` asks.
    """

    record: Record
    traces: Traces | None
    inconclusive_passes: bool = False

    @property
    def verdict(self) -> Verdict:
        """All objectives held against the figures."""
        return self.record.verdict

    @property
    def meets_slo(self) -> bool:
        """
        Every objective is met for sure, no request failed, and the figures can be believed.

        Where the session takes what is inconclusive for good, that is enough too.
        """
        outlook = self.verdict.outlook
        return outlook is Outlook.PASS or (self.inconclusive_passes and outlook is Outlook.INCONCLUSIVE)

    @property
    def summary(self) -> Summary:
        """The figures; see `metrics.registry` for their names and units."""
        if self.record.summary is None:
            raise MeasurementInvalid(f"{self.record.case.id} has no figures: {self.record.error}")
        return self.record.summary

    def explain(self) -> str:
        """What was missed, by how much, and how to run just this case again; made to be an assertion's message."""
        return explained(self.record, self.traces)

    def __repr__(self) -> str:
        # pytest shows it beside every assertion on a result, and explain() says the rest.
        return f"<Result of {self.record.case.id}: {self.verdict.outlook}>"


def explained(record: Record, traces: Traces | None) -> str:
    """What a person needs to know of a case that did not pass."""
    served = record.served
    engine = record.case.engine.name
    if served is not None:
        engine = " ".join(part for part in (served.engine, served.engine_version, "at", served.url) if part)
    context = Context(
        case_id=record.case.id,
        counts=record.summary.counts if record.summary else None,
        engine=engine,
        log=served.log if served else None,
        again=record.again,
        errors=tuple(traces.errors.values()) if traces is not None else (),
    )
    return explain(record.verdict, context)


def raise_unless_believable(result: Result, objectives: Sequence[Objective]) -> None:
    """
    Nothing, where the figures can be believed, and nothing else went wrong where a miss is expected.

    Raises:
        MeasurementInvalid: the figures must not be believed, or are too few where a miss is expected.
        EngineError: requests failed where it was a missed objective that is expected.
    """
    verdict = result.verdict
    if verdict.outlook is Outlook.INVALID:
        raise MeasurementInvalid(result.explain())
    if result.record.case.expected_miss is None:
        return
    failed = [each.objective for each in verdict.judgements if each.outlook is Outlook.FAIL]
    if not result.summary.counts.completed or any(objective not in objectives for objective in failed):
        raise EngineError(f"a missed objective is expected here, not requests that fail\n{result.explain()}")
    if verdict.outlook is Outlook.INCONCLUSIVE:
        raise MeasurementInvalid(f"a missed objective is expected here, and none could be established\n{result.explain()}")
