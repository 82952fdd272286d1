"""
What measures in a session, put together from what was asked for on its command line.

Rule: everything heavy may be imported here; whoever has a first case to measure or to describe imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_inferbench.cases.case import Case
from pytest_inferbench.dry_run import DryCase, Setting, describe
from pytest_inferbench.engines import registry
from pytest_inferbench.experiment import Experiment, Settings, environment
from pytest_inferbench.launch import ledger
from pytest_inferbench.launch.kept import kept_words
from pytest_inferbench.launch.pool import Attachment, ServerPool, Stay
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.load.tokens import tokenizer_at
from pytest_inferbench.options import Options
from pytest_inferbench.records.run_directory import RunDirectory
from pytest_inferbench.replay import recorded_cases
from pytest_inferbench.reporting.progress import Progress
from pytest_inferbench.resume import Asked, Resume, plan

if TYPE_CHECKING:
    from pytest_inferbench.records.artifact_uploader import Uploader


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What was asked for.

    Attributes:
        config: pytest's, whose plugins may bring engines.
        options: the plugin's own.
        run: where results go.
        seeds: of all plans.
        cases: how many are to come.
        live: somebody looks on at a terminal.
        is_worker: others measure cases of the same run (pytest-xdist).
    """

    config: pytest.Config
    options: Options
    run: RunDirectory
    seeds: Seeds
    cases: int
    live: bool = False
    is_worker: bool = False


def experiment(wish: Wish, *, show: Callable[[Progress], None], waiting: Callable[[str], None]) -> tuple[Experiment, list[str]]:
    """
    What measures the cases of a session, and what is to be said of the run it goes on with, in sentences.

    Args:
        wish: what was asked for.
        show: told where a case is.
        waiting: told in a sentence what a case waits for.
    """
    _register_engines(wish.config)
    options = wish.options
    stay = Stay(
        run_id=wish.run.run_id,
        keep=options.keep_servers,
        reuse=options.reuse_servers,
        lease_timeout_s=options.lease_timeout_s,
    )
    pool = ServerPool(folder=wish.run.path / "servers", attachment=_attachment(options), stay=stay, progress=waiting)
    resume, troubles = _resume(options)
    settings = Settings(
        seeds=wish.seeds,
        slo=options.slo,
        lease_timeout_s=options.lease_timeout_s,
        workers=options.workers,
        cases=wish.cases,
        replay=None if options.replay is None else recorded_cases(options.replay),
        resume=resume,
        exclusive=options.exclusive,
        calibration=options.calibration,
        live=wish.live,
    )
    return Experiment(wish.run, pool, settings, on_progress=show, uploader=_uploader(wish)), troubles


def described(wish: Wish, case: Case, *, node_id: str) -> DryCase:
    """
    What would be run for a case, which is written down, and nothing started.

    Raises:
        RecordError: it could not be written.
    """
    _register_engines(wish.config)
    setting = Setting(
        run_id=wish.run.run_id,
        seeds=wish.seeds,
        environment=environment(),
        attachment=_attachment(wish.options),
    )
    return describe(case, node_id=node_id, folder=wish.run.case_folder(case.id), setting=setting)


def closing_notices(experiment: Experiment) -> list[str]:
    """What is to be said of an experiment at its end, in sentences: none of it is a fault."""
    resumed = f"{experiment.resumed} results were there already and were not measured again"
    kept = [entry for entry in ledger.entries() if entry.reach and entry.run_id == experiment.run.run_id]
    return [
        *experiment.notices,
        *experiment.pool.notices,
        *([resumed] if experiment.resumed else []),
        *(kept_words(entry) for entry in kept),
    ]


def _resume(options: Options) -> tuple[Resume | None, list[str]]:
    if options.resume is None:
        return None, []
    found = plan(options.resume)
    asked = Asked(slo=options.slo, seed=options.seed, endpoint=options.endpoint)
    return Resume(plan=found, asked=asked), list(found.troubles)


def _uploader(wish: Wish) -> Uploader | None:
    """Who sends cases away as they finish; None where nobody asked, or where another process may be in the midst of a load."""
    if wish.options.upload is None or wish.is_worker:
        return None
    from pytest_inferbench.records.artifact_uploader import Uploader  # noqa: PLC0415 - fsspec comes with it

    return Uploader(wish.options.upload, wish.run.path)


def _register_engines(config: pytest.Config) -> None:
    """Take in the engines of other packages."""
    for engines in config.hook.pytest_inferbench_engines(config=config):
        for engine in engines:
            registry.register(engine)


def _attachment(options: Options) -> Attachment | None:
    if options.endpoint is None:
        return None
    return Attachment(
        url=options.endpoint,
        model=options.endpoint_model,
        api_key_env=options.api_key_env,
        tokenizer=tokenizer_at(options.tokenizer) if options.tokenizer else None,
    )
