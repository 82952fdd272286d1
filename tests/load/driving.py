"""Whole loads, driven at a server of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_inferbench.cases.case import Case
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.drive import Driven, Driver, Progress
from pytest_inferbench.load.plan import PlanFile, Recipe, make_plan
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import EstimatedCounter
from pytest_inferbench.load.trace import Outcome
from pytest_inferbench.metrics.books import contradictions

Watch = Callable[[Progress], None]


def endpoint_of(url: str, **more: Any) -> Endpoint:
    return Endpoint(url=url, model="tiny", engine="openai", tokenizer=TokenizerRef(kind="none"), **more)


@contextmanager
def planned(case: Case) -> Iterator[PlanFile]:
    plan = make_plan(Recipe(case=case, model="tiny", seeds=Seeds(seed=1, salt=2), counter=EstimatedCounter()))
    try:
        yield plan
    finally:
        plan.close()


@contextmanager
def driver_of(case: Case, url: str, *, watch: Watch = lambda _: None, **endpoint: Any) -> Iterator[Driver]:
    with planned(case) as plan:
        yield Driver(case, endpoint_of(url, **endpoint), plan, id_prefix="run", on_progress=watch)


def drive(case: Case, url: str, **endpoint: Any) -> Driven:
    """Drive a load to its end; whatever comes of it must be on the books."""
    with driver_of(case, url, **endpoint) as driver:
        driven = driver.run()
    assert driver.driven is driven
    assert not driven.stopped
    assert contradictions(driven.measured) == ()
    return driven


def outcomes(driven: Driven) -> dict[str, int]:
    """How many requests ended how; what never occurred is left out."""
    ended = [Outcome(value).name for value in driven.measured.outcome.tolist()]
    return {name: ended.count(name) for name in sorted(set(ended))}


def is_running(pid: int) -> bool:
    """A process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
