"""A case that looks for its level, measured from its lease to its record, on a real server that answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pytest_inferbench.cases.case import Load, SearchSpec
from pytest_inferbench.engines.engine import TokenizerRef
from pytest_inferbench.errors import ConfigError
from pytest_inferbench.experiment import Experiment, Settings
from pytest_inferbench.launch.endpoint import Endpoint
from pytest_inferbench.load.loopback import MODEL, Loopback
from pytest_inferbench.load.seeds import Seeds
from pytest_inferbench.objectives.verdict import Outlook
from pytest_inferbench.records.reader import read_record, read_traces
from pytest_inferbench.records.run_directory import RunDirectory, open_run
from pytest_inferbench.replay import recorded_cases
from pytest_inferbench.reporting.progress import Progress
from pytest_inferbench.result import Result
from pytest_inferbench.resume import Asked, Stored
from tests.quiet_machine import quiet_machine
from tests.sessions import QUICK
from tests.test_experiment import CASE, PlainServer, Pool

__all__ = ["quiet_machine"]
pytestmark = pytest.mark.usefixtures("quiet_machine")

SEARCH = SearchSpec(metric="max_concurrency", low=1.0, high=4.0, within=0.5)
# As seen: the loads are too short to be sure of anything, and how they are judged is tested elsewhere.
SOUGHT = replace(
    CASE,
    id="cpu-openai-loopback-tp1-d8x4-maxconcurrency",
    load=Load(requests=8, search=SEARCH),
    slo=("ttft_p50 <= 30s", "max_concurrency >= 2"),
    confidence=0.0,
)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Loopback.start(QUICK) as running:
        at = Endpoint(url=running.url, model=MODEL, engine="loopback", tokenizer=TokenizerRef(kind="none"), pid=1)
        yield Pool(PlainServer(at))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return open_run("r1", output=tmp_path / "run")


def experiment(run: RunDirectory, pool: Pool, shown: list[Progress], **settings: Any) -> Experiment:
    servers: Any = pool
    chosen = Settings(seeds=Seeds(seed=1, salt=2), calibration=False, **settings)
    return Experiment(run, servers, chosen, on_progress=shown.append)


def measure(run: RunDirectory, pool: Pool, shown: list[Progress] | None = None) -> Result:
    return experiment(run, pool, [] if shown is None else shown).measure(SOUGHT, node_id="n", again="pytest -k x")


def test_every_level_has_a_record_of_its_own_below_the_case(run: RunDirectory, pool: Pool) -> None:
    result = measure(run, pool)
    found = result.record.capacity
    assert found is not None
    assert (found.low, found.high) == (4.0, inf)
    assert result.verdict.outlook is Outlook.PASS
    folder = run.path / result.record.folder
    assert [path.name for path in sorted(folder.glob("probe-*"))] == [look.folder for look in found.looks]
    assert (folder / "capacity-1.svg").is_file()
    for look in found.looks:
        record = read_record(folder / look.folder)
        assert record.case.load.concurrency == look.level
        assert record.verdict.outlook is look.outlook
        assert len(read_traces(folder / look.folder) or ()) == 8
        assert (folder / look.folder / "manifest.json").is_file()


def test_the_record_of_the_case_comes_back_and_counts_for_a_run_that_goes_on(run: RunDirectory, pool: Pool) -> None:
    result = measure(run, pool)
    folder = run.path / result.record.folder
    stored = Stored(record=read_record(folder), folder=folder)
    assert repr(stored.record) == repr(result.record)
    assert stored.record.case.load.concurrency == 4
    assert stored.record.summary is not None
    assert stored.record.summary.scalars["max_concurrency"] == 4
    assert stored.valid
    assert stored.changed(SOUGHT, Asked(endpoint=pool.server.endpoint.url)) == ()
    assert len(stored.result().traces or ()) == 8


def test_people_see_where_the_search_is(run: RunDirectory, pool: Pool) -> None:
    shown: list[Progress] = []
    measure(run, pool, shown)
    notes = {each.note for each in shown if each.phase == "measuring"}
    assert "search: trying 2 users with 8 requests" in notes
    assert "search: 2 users passes; trying 4 users with 8 requests" in notes


def test_what_was_found_until_ctrl_c_is_kept(run: RunDirectory, pool: Pool) -> None:
    def interrupt(at: Progress) -> None:
        if at.note is not None and "passes; trying" in at.note:
            raise KeyboardInterrupt

    servers: Any = pool
    stopped = Experiment(run, servers, Settings(seeds=Seeds(seed=1, salt=2), calibration=False), on_progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        stopped.measure(SOUGHT, node_id="n", again="pytest -k x")
    record = read_record(run.path / SOUGHT.id)
    assert record.error == "interrupted; what was measured until then is kept"
    assert record.verdict.outlook is Outlook.INVALID
    assert record.capacity is not None
    assert record.capacity.low == 2
    assert read_record(run.path / SOUGHT.id / "probe-01-c2").verdict.outlook is Outlook.PASS


def test_a_search_with_nothing_to_hold_is_refused_before_anything_starts(run: RunDirectory, pool: Pool) -> None:
    with pytest.raises(ConfigError, match="needs an objective that is to be held"):
        experiment(run, pool, []).measure(replace(SOUGHT, slo=()), node_id="n", again="x")
    assert pool.asked == []


def test_a_search_is_not_sent_again_and_each_of_its_loads_can_be(run: RunDirectory, pool: Pool) -> None:
    result = measure(run, pool)
    folder = run.path / result.record.folder
    replay = recorded_cases(folder / "probe-01-c2")
    (recorded,) = replay.values()
    again = experiment(run, pool, [], replay=replay).measure(recorded.case, node_id="n", again="x")
    assert again.record.planned == recorded.planned
    with pytest.raises(ConfigError, match="searches for its load and cannot be sent again"):
        experiment(run, pool, [], replay={SOUGHT.id: recorded}).measure(SOUGHT, node_id="n", again="x")
